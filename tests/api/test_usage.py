"""Usage counts of requests, which are off unless the operator enables them."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api import plugin, worker_state
from api.errors import ApiError
from model.config import PREDICT_DEFAULTS
from model.usage.record import Record
from model.usage.store import NO_MODEL, ModelVersion, UsageStore, model_version
from model.workspace import Workspace
from tests.support.fake_predictor import Upload
from tests.support.photos import photo
from tests.support.small_model import write_small_model

Send = Callable[..., Any]


@pytest.fixture
def usage(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[worker_state.Usage]:
    """A process that counts, and has written all it counted when asked to."""
    monkeypatch.setenv("TOPGRAFT_MONITOR", "1")
    counting = worker_state.Usage()
    monkeypatch.setattr(plugin, "USAGE", counting)
    monkeypatch.setattr(plugin, "USAGE_READER", worker_state.UsageReader())
    # A drift check starts a process: that is for the live server.
    monkeypatch.setattr("model.usage.drift_check.DriftChecks.start", lambda self, models: None)
    yield counting


@pytest.fixture
def send(upload: Callable[..., Upload]) -> Send:
    def predict(content: bytes, accept: str = "application/json", **options: Any) -> Any:
        return plugin.predict(upload(content), accept=accept, **{**vars(PREDICT_DEFAULTS), **options})

    return predict


def refused(send: Send, *arguments: Any, **options: Any) -> int:
    with pytest.raises(ApiError) as refusal:
        send(*arguments, **options)
    return refusal.value.status


def zip_of(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.jpg", content)
    return stream.getvalue()


def counted(usage: worker_state.Usage, workspace: Workspace, version: ModelVersion) -> Record:
    """The usage on disk, after writing all counts."""
    for recorder in usage._recorders.values():
        recorder.write()
    total = Record()
    for record in UsageStore(workspace).days(version).values():
        total.merge(record)
    return total


def version(workspace: Workspace, name: str) -> ModelVersion:
    from model.registry import find_bundle

    return model_version(name, find_bundle(workspace, name).manifest)


def test_usage_is_counted_only_if_enabled(workspace: Workspace, send: Send, loaded: list[str], add_model: Any) -> None:
    add_model("one")
    assert send(photo())["status"] == "OK"
    assert not workspace.monitor.exists()
    assert plugin.USAGE._recorders == {}
    assert "usage" not in plugin.get_metadata()


def test_predictions_and_errors_are_counted_by_kind(
    workspace: Workspace, usage: worker_state.Usage, send: Send, loaded: list[str], add_model: Any
) -> None:
    add_model("one")
    for accept in ("application/json", "*/*", "text/csv", "image/png"):
        send(photo(240), accept)
    send(zip_of(a=photo(250), b=b"no image", c=photo(10)))
    assert refused(send, b"no image") == 415
    assert refused(send, photo(), explain_class=7) == 422
    assert refused(send, zip_of(a=photo()), "image/png") == 400
    assert refused(send, photo(), model="nosuch") == 404
    assert refused(send, b"") == 400

    found = counted(usage, workspace, version(workspace, "one"))
    assert (found.photos, found.unreadable) == (6, 1)
    assert found.answers == {"json": 3, "csv": 1, "png": 1}
    assert {form: sum(steps.values()) for form, steps in found.durations.items()} == {
        "json": 2,
        "csv": 1,
        "png": 1,
        "zip": 1,
    }
    assert found.errors == {"415": 1, "400": 1}
    assert sum(found.confidence["bright"]) == 5 and sum(found.confidence["dark"]) == 1
    assert found.confidence["dark"][19] == 1
    assert counted(usage, workspace, NO_MODEL).errors == {"422": 1, "404": 1, "400": 1}


def test_counts_of_a_replaced_model_start_at_zero(
    workspace: Workspace, usage: worker_state.Usage, send: Send, loaded: list[str], add_model: Any
) -> None:
    add_model("one")
    send(photo())
    first = version(workspace, "one")
    add_model("one", content=b"another network")
    send(photo())
    send(photo())
    assert counted(usage, workspace, first).photos == 1
    assert counted(usage, workspace, version(workspace, "one")).photos == 2
    assert [model["photos"] for model in plugin.get_metadata()["usage"]["models"]] == [2]


def test_the_metadata_summarise_the_usage_of_the_last_days(
    workspace: Workspace, usage: worker_state.Usage, send: Send, loaded: list[str], add_model: Any
) -> None:
    add_model("one")
    add_model("unused")
    assert plugin.get_metadata()["usage"] == {"days": 7, "models": [], "errors_without_model": {}}
    send(photo(240), model="one")
    refused(send, photo(), model="nosuch")
    counted(usage, workspace, NO_MODEL)
    summary = plugin.get_metadata()["usage"]
    [model] = summary["models"]
    assert (model["name"], model["photos"], model["unknown_share"], model["drift"]) == ("one", 1, 0.0, None)
    assert model["answers"] == {"json": 1} and 0 < model["latency_ms"]["json"]["p50"] < 10_000
    assert summary["errors_without_model"] == {"404": 1}


def test_a_damaged_usage_file_does_not_break_the_metadata(
    workspace: Workspace, usage: worker_state.Usage, send: Send, loaded: list[str], add_model: Any
) -> None:
    add_model("one")
    send(photo())
    counted(usage, workspace, NO_MODEL)
    [path] = UsageStore(workspace).day_files(version(workspace, "one")).values()
    path.write_text("{")
    assert plugin.get_metadata()["usage"]["models"] == []
    send(photo())
    counted(usage, workspace, NO_MODEL)
    assert plugin.get_metadata()["usage"]["models"][0]["photos"] == 1


def test_only_numbers_of_a_photo_are_kept_and_duplicates_count_once_for_drift(
    workspace: Workspace, usage: worker_state.Usage, send: Send
) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (40, 3))
    write_small_model(workspace.models / "small", learned_colours=colours)
    for _ in range(5):
        send(photo())
    found = counted(usage, workspace, version(workspace, "small"))
    assert (found.photos, found.sample.distinct, len(found.sample.rows[0])) == (5, 1, 6)
    [path] = UsageStore(workspace).day_files(version(workspace, "small")).values()
    assert path.stat().st_size < 1000 and "photo" not in path.read_text().replace('"photos"', "")
    assert {file.suffix for file in workspace.monitor.rglob("*") if file.is_file()} <= {".json", ""}


def test_photos_in_a_zip_count_for_drift(workspace: Workspace, usage: worker_state.Usage, send: Send) -> None:
    rng = np.random.default_rng(0)
    write_small_model(workspace.models / "small", learned_colours=rng.integers(0, 256, (40, 3)))
    send(zip_of(**{f"p{number}": coloured(colour) for number, colour in enumerate(rng.integers(0, 256, (12, 3)))}))
    found = counted(usage, workspace, version(workspace, "small"))
    assert found.photos == found.sample.distinct == 12
    distances = np.array(found.sample.rows)[:, 0] / 10_000
    assert 0 < distances.max() <= 2


def coloured(colour: np.ndarray) -> bytes:
    """An image of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), tuple(map(int, colour))).save(stream, "PNG")
    return stream.getvalue()


def test_without_a_workspace_the_error_is_unchanged(
    usage: worker_state.Usage, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = photo()
    monkeypatch.setenv("TOPGRAFT_HOME", str(Path("/nonexistent")))
    assert refused(send, content) == 503
