"""The model cache: changes on disk are noticed, and the number of loaded models is limited."""

import logging
import os
import shutil
from collections.abc import Callable

import pytest

from model.bundle import Bundle
from model.bundle_files import ONNX_MODEL
from model.errors import ModelDamagedError, ModelNotFoundError, NothingTrainedError
from model.promotion import promote, roll_back
from model.registry import Latest, Registry
from model.serving.model_cache import ModelCache
from model.workspace import Workspace
from tests.support.fake_predictor import FakePredictor

AddModel = Callable[..., Bundle]
OLD, NEW, NEWER = (f"2026-01-0{day}T00:00:00+00:00" for day in (1, 2, 3))


@pytest.fixture
def cache() -> ModelCache:
    return ModelCache(Registry())


def _described(latest: Latest[Bundle]) -> tuple[str | None, bool, tuple[str, ...]]:
    return latest.name, latest.promoted, latest.warnings


def test_latest_is_the_newest_model_without_a_restart(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("b-old", OLD)
    assert cache.find(workspace, "latest").predictor.bundle.name == "b-old"
    add_model("a-new", NEW)
    assert cache.find(workspace, "latest").predictor.bundle.name == "a-new"
    assert cache.find(workspace, "latest").predictor.bundle.name == "a-new"
    assert loaded == ["b-old", "a-new"]


def test_a_model_is_reloaded_when_its_manifest_changes(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("a")
    cache.find(workspace, "a")
    add_model("a", temperature=2.0)
    assert cache.find(workspace, "a").predictor.bundle.manifest.temperature == 2.0
    assert cache.find(workspace, "latest").predictor.bundle.manifest.temperature == 2.0
    assert loaded == ["a", "a"]


def test_the_least_recently_used_model_is_evicted(
    workspace: Workspace,
    add_model: AddModel,
    cache: ModelCache,
    loaded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOPGRAFT_MODELS_IN_MEMORY", "2")
    for name in "abc":
        add_model(name)
    for name in "abacaba":
        cache.find(workspace, name)
    # c took the place of b, the one unused for longest; then b that of c.
    assert loaded == ["a", "b", "c", "b"]


def test_a_removed_model_is_not_served(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("a")
    cache.find(workspace, "a")
    shutil.rmtree(workspace.models / "a")
    with pytest.raises(ModelNotFoundError, match="none yet"):
        cache.find(workspace, "a")
    with pytest.raises(NothingTrainedError, match="topgraft train"):
        cache.find(workspace, "latest")


@pytest.mark.parametrize("name", ["missing", "../models/a", "a/../a", ".running", "", "a\0", "/etc"])
def test_names_that_are_no_models_are_refused(
    name: str, workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("a")
    with pytest.raises(ModelNotFoundError):
        cache.find(workspace, name)


def test_latest_skips_damaged_models(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("good", OLD)
    add_model("corrupt", NEW, content=b"corrupt")
    add_model("truncated", NEWER)
    os.truncate(workspace.models / "truncated" / ONNX_MODEL, 1)
    assert cache.find(workspace, "latest").predictor.bundle.name == "good"
    for name in ("corrupt", "truncated"):
        with pytest.raises(ModelDamagedError, match=name):
            cache.find(workspace, name)


def test_latest_with_only_damaged_models_is_an_error(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("corrupt", content=b"corrupt")
    with pytest.raises(ModelDamagedError, match="corrupt"):
        cache.find(workspace, "latest")


def test_a_loaded_model_that_becomes_damaged_is_not_served(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    """Each worker would say something else: those that have it in memory, and those that have not."""
    add_model("good", OLD)
    add_model("hurt", NEW)
    assert cache.find(workspace, "latest").predictor.bundle.name == "hurt"
    network = workspace.models / "hurt" / ONNX_MODEL
    whole = network.read_bytes()
    network.write_bytes(b"corrupt")
    found = cache.find(workspace, "latest")
    assert found.predictor.bundle.name == "good"
    assert len(found.warnings) == 1 and "hurt" in found.warnings[0]
    with pytest.raises(ModelDamagedError, match="hurt"):
        cache.find(workspace, "hurt")
    network.write_bytes(whole)
    assert cache.find(workspace, "latest") == (cache.find(workspace, "hurt").predictor, ())


def test_loading_a_damaged_model_is_retried_only_after_a_while(
    workspace: Workspace, add_model: AddModel, loaded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    cache = ModelCache(Registry(), clock=lambda: now[0])
    add_model("good", OLD)
    add_model("corrupt", NEW, content=b"corrupt")
    for _ in range(3):
        assert cache.find(workspace, "latest").predictor.bundle.name == "good"
    assert loaded == ["corrupt", "good"]
    assert caplog.text.count("skipping a damaged model") == 1
    now[0] += 60
    cache.find(workspace, "latest")
    assert loaded == ["corrupt", "good", "corrupt"]


def test_a_model_is_loaded_with_the_threads_of_this_worker(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int | None] = []

    def load(bundle: Bundle, threads: int | None = None) -> FakePredictor:
        given.append(threads)
        return FakePredictor(bundle)

    monkeypatch.setattr("model.serving.predictor.load_predictor", load)
    monkeypatch.setattr("model.resources.available_processors", lambda: 6)
    monkeypatch.setenv("TOPGRAFT_THREADS", "share")
    cache.workers = 3
    add_model("a")
    cache.find(workspace, "a")
    assert given == [2]


def test_a_model_replaced_while_loading_is_loaded_again(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model("a")
    seen: list[float] = []

    def load(bundle: Bundle, threads: int | None = None) -> FakePredictor:
        seen.append(bundle.manifest.temperature)
        if len(seen) == 1:
            add_model("a", content=b"another network", temperature=2.0)
            raise ModelDamagedError("the manifest is of one model and the network of another")
        return FakePredictor(bundle)

    monkeypatch.setattr("model.serving.predictor.load_predictor", load)
    assert cache.find(workspace, "a").predictor.bundle.manifest.temperature == 2.0
    assert seen == [1.0, 2.0]


def test_a_model_removed_while_loading_is_not_served(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model("a")

    def load(bundle: Bundle, threads: int | None = None) -> FakePredictor:
        shutil.rmtree(bundle.directory)
        raise ModelDamagedError("it cannot be read")

    monkeypatch.setattr("model.serving.predictor.load_predictor", load)
    with pytest.raises(ModelNotFoundError):
        cache.find(workspace, "a")


def test_a_promoted_model_is_latest_until_rolled_back(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    def latest() -> str:
        return cache.find(workspace, "latest").predictor.bundle.name

    for name, created in (("a", OLD), ("b", NEW), ("c", NEWER)):
        add_model(name, created)
    registry = Registry()
    assert (latest(), _described(registry.latest(workspace))) == ("c", ("c", False, ()))
    promote(workspace, "a")
    promote(workspace, "b")
    assert (latest(), _described(registry.latest(workspace))) == ("b", ("b", True, ()))
    assert roll_back(workspace) == "a"
    assert (latest(), _described(registry.latest(workspace))) == ("a", ("a", True, ()))
    assert roll_back(workspace) is None
    assert (latest(), _described(registry.latest(workspace))) == ("c", ("c", False, ()))


def test_a_removed_or_damaged_promoted_model_is_skipped_with_a_warning(
    workspace: Workspace,
    add_model: AddModel,
    cache: ModelCache,
    loaded: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, created in (("a", OLD), ("b", NEW), ("c", NEWER)):
        add_model(name, created)
        promote(workspace, name) if name != "c" else None
    (workspace.models / "b" / ONNX_MODEL).write_bytes(b"")
    caplog.set_level(logging.WARNING)
    found = cache.find(workspace, "latest")
    assert found.predictor.bundle.name == "a" and "b" in found.warnings[0]
    assert _described(Registry().latest(workspace)) == ("a", False, found.warnings)
    shutil.rmtree(workspace.models / "b")
    found = cache.find(workspace, "latest")
    assert found.predictor.bundle.name == "a" and "does not exist any more" in found.warnings[0]
    assert found.warnings[0] in caplog.text
    shutil.rmtree(workspace.models / "a")
    assert cache.find(workspace, "latest").predictor.bundle.name == "c"


def test_an_unreadable_promotion_history_does_not_stop_the_service(
    workspace: Workspace, add_model: AddModel, cache: ModelCache, loaded: list[str]
) -> None:
    add_model("a")
    (workspace.models / "promoted.json").write_text("{")
    found = cache.find(workspace, "latest")
    assert found.predictor.bundle.name == "a" and "promoted.json" in found.warnings[0]
