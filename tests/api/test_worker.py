"""Models are found as they are on disk now, and only as many as allowed stay in memory."""

import os
import shutil
import time
from collections.abc import Callable

import pytest

from api.worker import Listing, Predictors
from model.bundle import MANIFEST, ONNX_MODEL, Bundle
from model.errors import ModelDamagedError, ModelNotFoundError, NothingTrainedError
from model.workspace import Workspace

AddModel = Callable[..., Bundle]
OLD, NEW, NEWER = (f"2026-01-0{day}T00:00:00+00:00" for day in (1, 2, 3))


@pytest.fixture
def predictors() -> Predictors:
    return Predictors(Listing())


def test_latest_is_the_newest_without_a_restart(
    workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("b-old", OLD)
    assert predictors.find(workspace, "latest").bundle.name == "b-old"
    add_model("a-new", NEW)
    assert predictors.find(workspace, "latest").bundle.name == "a-new"
    assert predictors.find(workspace, "latest").bundle.name == "a-new"
    assert loaded == ["b-old", "a-new"]


def test_a_changed_manifest_reloads(
    workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("a")
    predictors.find(workspace, "a")
    add_model("a", temperature=2.0)
    assert predictors.find(workspace, "a").bundle.manifest.temperature == 2.0
    assert predictors.find(workspace, "latest").bundle.manifest.temperature == 2.0
    assert loaded == ["a", "a"]


def test_memory_is_bounded(
    workspace: Workspace,
    add_model: AddModel,
    predictors: Predictors,
    loaded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOPGRAFT_MODELS_IN_MEMORY", "2")
    for name in "abc":
        add_model(name)
    for name in "abacaba":
        predictors.find(workspace, name)
    # c took the place of b, the one unused for longest; then b that of c.
    assert loaded == ["a", "b", "c", "b"]


def test_a_removed_model_is_gone(
    workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("a")
    predictors.find(workspace, "a")
    shutil.rmtree(workspace.models / "a")
    with pytest.raises(ModelNotFoundError, match="none yet"):
        predictors.find(workspace, "a")
    with pytest.raises(NothingTrainedError, match="topgraft train"):
        predictors.find(workspace, "latest")


@pytest.mark.parametrize("name", ["missing", "../models/a", "a/../a", ".running", "", "a\0", "/etc"])
def test_names_that_are_not_models(
    name: str, workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("a")
    with pytest.raises(ModelNotFoundError):
        predictors.find(workspace, name)


def test_latest_skips_damaged_models(
    workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("good", OLD)
    add_model("corrupt", NEW, content=b"corrupt")
    add_model("truncated", NEWER)
    os.truncate(workspace.models / "truncated" / ONNX_MODEL, 1)
    assert predictors.find(workspace, "latest").bundle.name == "good"
    for name in ("corrupt", "truncated"):
        with pytest.raises(ModelDamagedError, match=name):
            predictors.find(workspace, name)


def test_latest_with_nothing_but_damaged_models(
    workspace: Workspace, add_model: AddModel, predictors: Predictors, loaded: list[str]
) -> None:
    add_model("corrupt", content=b"corrupt")
    with pytest.raises(ModelDamagedError, match="corrupt"):
        predictors.find(workspace, "latest")


def test_the_listing(workspace: Workspace, add_model: AddModel) -> None:
    listing = Listing()
    assert (listing.summaries(workspace), listing.latest(workspace)) == ([], None)
    add_model("a", OLD)
    add_model("b", NEW, metrics={"val": {"accuracy": float("nan")}, "test": {}})
    add_model("damaged")
    (workspace.models / "damaged" / MANIFEST).write_text("{}")
    (workspace.models / "not-a-model").mkdir()
    names = {summary["name"]: summary for summary in listing.summaries(workspace)}
    assert list(names) == ["b", "a", "damaged"]
    measured = {"accuracy": 0.9, "macro_f1": None, "measured_by": "test"}
    assert names["a"] == {"name": "a", "created": OLD, "classes": 3} | measured
    assert names["b"]["accuracy"] is None
    assert "manifest.json" in names["damaged"]["problem"]
    assert listing.latest(workspace) == "b"


def test_manifests_are_read_once(workspace: Workspace, add_model: AddModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing is made in the server's event loop."""
    listing = Listing()
    for number in range(100):
        add_model(f"m{number}")
    listing.summaries(workspace)
    start = time.perf_counter()
    assert len(listing.summaries(workspace)) == 100
    assert time.perf_counter() - start < 0.02
    reads: list[object] = []
    monkeypatch.setattr("api.worker._read", lambda directory, stamp: reads.append(directory))
    listing.models(workspace)
    assert reads == []
