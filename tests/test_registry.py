"""The registry: which models there are, and which of them is `latest`."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle import Bundle, open_bundle, write_manifest
from model.bundle_files import MANIFEST, ONNX_MODEL
from model.errors import ModelDamagedError, ModelNotFoundError, NothingTrainedError
from model.provenance import utc_now
from model.registry import Registry, find_bundle, find_model, model_names, remove_bundle
from model.workspace import Workspace
from tests.support.slowness import slowness

AddModel = Callable[..., Bundle]
OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"


def test_models_are_listed_by_age_found_and_removed(workspace: Workspace, add_model: AddModel) -> None:
    assert model_names(workspace) == []
    add_model("b", OLD)
    add_model("a", NEW)
    assert model_names(workspace) == ["b", "a"]
    assert (find_bundle(workspace).name, find_bundle(workspace, "b").name) == ("a", "b")
    remove_bundle(workspace, "a")
    assert find_bundle(workspace, "latest").name == "b"
    assert not (workspace.models / "a").exists()
    for use in (find_bundle, remove_bundle):
        with pytest.raises(ModelNotFoundError, match=r"received 'a'\. There are: b"):
            use(workspace, "a")


def test_an_unusable_model_is_skipped_for_latest_only(
    workspace: Workspace, add_model: AddModel, caplog: pytest.LogCaptureFixture
) -> None:
    def network_of(name: str) -> bytes:
        return find_model(workspace, name, lambda model: model.open().read_file(ONNX_MODEL))

    add_model("intact", OLD)
    changed: Path = add_model("changed", NEW).directory / ONNX_MODEL
    changed.write_bytes(b"NETWORK")
    assert network_of("latest") == b"network"
    assert "skipping a damaged model: the model changed" in caplog.text
    with pytest.raises(ModelDamagedError, match="changed"):
        network_of("changed")


def test_latest_without_an_intact_model_reports_the_damaged_ones(workspace: Workspace, add_model: AddModel) -> None:
    with pytest.raises(NothingTrainedError, match="topgraft train"):
        find_bundle(workspace)
    for name in ("a", "b"):
        (add_model(name).directory / ONNX_MODEL).unlink()
    with pytest.raises(ModelDamagedError, match=r"found 2, all damaged\. the model b .* missing"):
        find_bundle(workspace)


def test_summaries_describe_the_models_oldest_first(workspace: Workspace, add_model: AddModel) -> None:
    registry = Registry()
    assert (registry.models(workspace), registry.latest(workspace).name) == ([], None)
    add_model("a", OLD)
    add_model("b", NEW, metrics={"val": {"accuracy": float("nan")}, "test": {}})
    add_model("damaged")
    (workspace.models / "damaged" / MANIFEST).write_text("{}")
    (workspace.models / "not-a-model").mkdir()
    names = {model.name: model.summary for model in registry.models(workspace)}
    assert list(names) == ["damaged", "a", "b"]
    measured = {"accuracy": 0.9, "macro_f1": None, "measured_by": "test"}
    measured |= dict.fromkeys(("accuracy_interval", "images", "macro_f1_interval"))
    on_leaderboard = {"dataset": "", "dataset_fingerprint": "", "backbone": names["a"]["backbone"]}
    on_leaderboard |= {"megabytes": names["a"]["megabytes"], "training_seconds": None, "milliseconds_per_photo": None}
    assert names["a"] == {"name": "a", "created": OLD, "classes": 3} | measured | on_leaderboard
    assert names["b"]["accuracy"] is None
    assert "manifest.json" in names["damaged"]["problem"]
    assert registry.latest(workspace).name == "b"


def test_a_summary_has_what_a_training_took_and_no_folder_of_its_dataset(
    workspace: Workspace, add_model: AddModel
) -> None:
    add_model("a", OLD, dataset={"path": "/home/ana/private/birds", "fingerprint": "5" * 64})
    cost = {"seconds": 61.5, "milliseconds_per_photo": 5.8, "energy_joules": 1}
    (workspace.models / "a" / "training_cost.json").write_text(json.dumps(cost))
    manifest = open_bundle(workspace.models / "a").manifest
    write_manifest(workspace.models / "a", manifest)
    [model] = Registry().models(workspace)
    assert (model.summary["dataset"], model.summary["dataset_fingerprint"]) == ("birds", "5" * 12)
    assert (model.summary["training_seconds"], model.summary["milliseconds_per_photo"]) == (61.5, 5.8)
    assert "private" not in json.dumps(model.summary)
    for content in ("{", "[1]", '{"seconds": "5"}', '{"seconds": -1}'):
        (workspace.models / "a" / "training_cost.json").write_text(content)
        write_manifest(workspace.models / "a", manifest)
        assert Registry().models(workspace)[0].summary["training_seconds"] is None


def test_manifests_are_read_once(workspace: Workspace, add_model: AddModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service reads them in its event loop."""
    registry = Registry()
    for number in range(100):
        add_model(f"m{number}")
    registry.models(workspace)
    start = time.perf_counter()
    assert len(registry.models(workspace)) == 100
    assert time.perf_counter() - start < 0.02 * slowness()
    reads: list[object] = []
    monkeypatch.setattr("model.registry._read", lambda directory, stamp: reads.append(directory))
    registry.models(workspace)
    assert reads == []


def test_a_time_in_the_future_does_not_make_a_model_latest(workspace: Workspace, add_model: AddModel) -> None:
    add_model("trained", NEW)
    for name, created in (("future", "9999-12-31T23:59:59+00:00"), ("text", "9999-zzzz"), ("odd", "~")):
        add_model(name, created)
        os.utime(workspace.models / name / MANIFEST, (0, 0))
    assert Registry().latest(workspace).name == "trained"


def test_the_model_imported_last_is_latest_whenever_it_was_trained(workspace: Workspace, add_model: AddModel) -> None:
    add_model("trained", NEW)
    add_model("imported", OLD)
    (workspace.models / "imported" / "imported.json").write_text(json.dumps({"time": utc_now()}))
    assert Registry().latest(workspace).name == "imported"
    (workspace.models / "imported" / "imported.json").write_text('{"time": "9999-01-01"}')
    assert Registry().latest(workspace).name == "trained"


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"history": 5}', '{"history": [[1]]}', "\udcff", "NaN"])
def test_a_damaged_history_of_promotions_is_ignored(workspace: Workspace, add_model: AddModel, content: str) -> None:
    add_model("a", OLD)
    (workspace.models / "promoted.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    latest = Registry().latest(workspace)
    assert latest.name == "a" and "promotions are ignored" in latest.warnings[0]
