"""Every reader of our own files, with odd content in them: no traceback, no waiting, and a message with the file."""

import dataclasses
import json
import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model import durable
from model.bundle_files import MLFLOW_RUN, PROVENANCE
from model.cli.saved_predictions import saved_predictions
from model.creation import _imported
from model.dataset.verdict import Leakage, Rejected, Verdict
from model.errors import TopgraftError
from model.files.packing import INDEX, verify_unpacked
from model.importing.imgclas import _read_conf, _read_stats
from model.intensity import IntensityRange
from model.manifest_migration import read_manifest
from model.promotion import HistoryEntry, read_history
from model.provenance import provenance_of
from model.publishing.child_module import WRITTEN, _written_before
from model.publishing.record import read_record
from model.reading import UnreadableError, parse_json
from model.results import Dataset, Neighbour, Prediction, Sample, TrainingStatus
from model.runs.listing import interrupted_trainings
from model.runs.recorded_dataset import read_recorded
from model.runs.run import read_config, read_status
from model.storage.pulling import _marker_path, _read_marker
from model.tracking.experiment_tracking import Outcome, TrackingServer, _read_outcome
from model.training.checkpoints import CachedCounts
from model.training.fine_tuning.automatic_choice import Choice, saved_choice
from model.usage.record import Record
from model.usage.store import ModelVersion, UsageStore, read_day
from model.workspace import Workspace
from tests.support.odd_files import ODD_CONTENTS, ODD_PLACES, spoiled

_SECONDS = 60

_VERDICT = Verdict(
    Dataset(Path("/data"), ("a", "b"), (Sample(Path("/data/1"), "1", 0),), (), ()),
    (Rejected("2", "damaged"),),
    (Leakage("near", (("train", "1"), ("val", "3"))),),
    ("a warning",),
    "f" * 64,
    "folders",
    True,
    {"1": "0" * 64},
    groups={"1": 0},
    intensity=IntensityRange(0, 4095),
)
_PREDICTION = Prediction(
    "1.jpg", ("a",), (1.0,), True, neighbours=(Neighbour("2.jpg", "a", 0.5),), unknown_reason="features", distance=1.0
)
_DRIFT = {"verdict": "drift", "reason": "x", "p_value": 0.1, "effect": 0.2, "comparisons": [], "looked": "2026-01-01"}
_DRIFT |= {"day": "2026-01-01"}
_VERSION = ModelVersion("pets", "1")


def _saved(path: Path) -> None:
    with saved_predictions(path.with_suffix(""), {"model": "pets"}) as predictions:
        list(predictions)


def _history(path: Path) -> object:
    return read_history(Workspace(path.parent.parent))


def _drift(path: Path) -> object:
    workspace = Workspace(path.parents[4])
    store = UsageStore(workspace)
    assert store.folder(_VERSION) == path.parent
    return store.drift(_VERSION)


def _marker(path: Path) -> object:
    marker = _marker_path(path.parent)
    marker.parent.mkdir(parents=True, exist_ok=True)
    path.rename(marker)
    return _read_marker(path.parent)


def _problems(read: Callable[[Path, list[str]], object]) -> Callable[[Path], object]:
    """A reader that reports problems in a list, as one that raises them."""

    def call(path: Path) -> object:
        problems: list[str] = []
        value = read(path, problems)
        if problems:
            raise TopgraftError("; ".join(problems))
        return value

    return call


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of a file.

    Attributes:
        place: path of the file.
        content: valid content.
        read: reads the file.
        is_needed: whether odd content is an error; otherwise the file counts as missing, or as empty.
    """

    place: str
    content: Any
    read: Callable[[Path], object]
    is_needed: bool = False


_SERVER = TrackingServer("http://mlflow")
READERS = {
    "status": Reader(
        "models/.running/pets/status.json",
        dataclasses.asdict(TrainingStatus("pets", "running", metrics={"loss": 1.0}, pid=1)),
        lambda path: (read_status(path.parent), interrupted_trainings(Workspace(path.parents[3]))),
    ),
    "options": Reader("pets/config.json", {"epochs": 3}, lambda path: read_config(path.parent), True),
    "recorded dataset": Reader("dataset.json", durable.to_json(dataclasses.asdict(_VERDICT)), read_recorded),
    "mark of a pull": Reader("pulled.json", {"source": "r:x", "files": {"1.jpg": 3}}, _marker),
    "index of a pack": Reader(
        INDEX,
        {"format": 1, "files": [{"name": "1.jpg", "size": 0, "sha256": "0" * 64}]},
        lambda path: verify_unpacked(path.parent),
        True,
    ),
    "outcome of mlflow": Reader(
        "outcome.json", dataclasses.asdict(Outcome("pets")), lambda path: _read_outcome(path.parent, _SERVER)
    ),
    "promotions": Reader(
        "models/promoted.json",
        {"history": [dataclasses.asdict(HistoryEntry("2026-01-01T00:00:00", "promote", "pets"))]},
        _history,
        True,
    ),
    "usage of a day": Reader("2026-01-01.json", Record().to_json(), read_day),
    "drift": Reader(
        "models/.monitor/pets/1/drift.json", _DRIFT | {"latest_day": _DRIFT | {"day": "2026-01-01"}}, _drift
    ),
    "time of an import": Reader("imported.json", {"time": "2026-01-01T00:00:00"}, lambda path: _imported(path.parent)),
    "job": Reader(PROVENANCE, {"nomad_job": "x"}, lambda path: provenance_of(path.parent)),
    "run": Reader(MLFLOW_RUN, {"run_id": "x"}, lambda path: provenance_of(path.parent)),
    "publication": Reader("publication.json", {"child": "x"}, lambda path: read_record(path.parent)),
    "child module": Reader(WRITTEN, {"README.md": ["0" * 64]}, lambda path: _written_before(path.parent), True),
    "fine-tuning": Reader(
        "choice.json",
        dataclasses.asdict(Choice("none", "few photos")),
        lambda path: saved_choice(path, lambda: Choice("none", "made again")),
    ),
    "cached features": Reader("cached_features.json", {"x": 3}, lambda path: CachedCounts(path.parent)("y", 1)),
    "conf of imgclas": Reader("conf.json", {"model": {"modelname": "x"}}, _problems(_read_conf), True),
    "stats of imgclas": Reader("stats.json", {"loss": [float("nan"), 1.0]}, _problems(_read_stats), True),
    "saved predictions": Reader("out.csv.part", {"model": "pets"}, _saved, True),
}


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    """End a reader that waits for a pipe."""

    def stop(*_: object) -> None:
        raise AssertionError(f"the reader took more than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each odd content."""
    folder = tmp_path_factory.mktemp("odd")
    for name, make in ODD_CONTENTS.items():
        (folder / name).write_bytes(make())
    return {name: folder / name for name in ODD_CONTENTS}


def _place(reader: Reader, folder: Path) -> Path:
    path = folder / reader.place
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _read(reader: Reader, path: Path) -> object:
    """What the reader returns, or its message; any other error is a failure of the test."""
    try:
        return reader.read(path)
    except TopgraftError as error:
        assert reader.is_needed, error
        assert len(error.message) < 3000
        assert path.name in error.message or path.parent.name in error.message, error.message
        return error
    except OSError as error:
        # The command reports it with its path.
        assert path.name in str(error), error
        return error


@pytest.mark.parametrize("name", READERS)
def test_valid_content_is_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = _place(reader, tmp_path)
    path.write_text(json.dumps(reader.content) + "\n")
    if name == "index of a pack":
        with pytest.raises(TopgraftError, match=r"1\.jpg is missing"):
            reader.read(path)
        return
    valid = reader.read(path)
    if not reader.is_needed and name != "cached features":
        path.write_text("{")
        assert reader.read(path) != valid


@pytest.mark.parametrize("name", READERS)
def test_odd_content_is_no_traceback(name: str, tmp_path: Path, contents: dict[str, Path]) -> None:
    for odd, source in contents.items():
        path = _place(READERS[name], tmp_path / odd)
        shutil.copyfile(source, path)
        _read(READERS[name], path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("odd", ODD_PLACES)
def test_what_is_no_file_is_not_waited_for(name: str, odd: str, tmp_path: Path) -> None:
    path = _place(READERS[name], tmp_path)
    ODD_PLACES[odd](path)
    _read(READERS[name], path)


@pytest.mark.parametrize("name", READERS)
def test_values_of_other_types_are_no_traceback(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = READERS[name]
    caplog.set_level(logging.ERROR)
    for number, (_, content) in enumerate(spoiled(reader.content)):
        path = _place(reader, tmp_path / str(number))
        path.write_text(json.dumps(content) + "\n")
        _read(reader, path)


def test_a_training_with_an_unreadable_status_is_listed_with_the_reason(workspace: Workspace) -> None:
    for name, content in (("broken", "[" * 100_000), ("whole", json.dumps({"name": "other", "state": "failed"}))):
        folder = workspace.running / name
        folder.mkdir(parents=True)
        (folder / "status.json").write_text(content)
    broken, whole = interrupted_trainings(workspace)
    assert (broken.name, broken.state) == ("broken", "interrupted")
    assert "broken/status.json: expected the status of a training, received: it is nested too deep" in broken.message
    assert (whole.name, whole.state) == ("whole", "failed")


@pytest.mark.parametrize("row", [_PREDICTION.to_json(), {"image": "1.jpg", "error": "damaged"}])
def test_saved_predictions_with_odd_values_are_refused_with_their_file(row: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out.csv.part"
    for _, content in [("valid", row), *spoiled(row)]:
        path.write_text('{"model": "pets"}\n' + json.dumps(content) + "\n")
        try:
            _saved(path)
        except TopgraftError as error:
            assert str(path) in error.message and len(error.message) < 1000


def test_an_index_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    for name in ("/etc/passwd", "../x", "a/../../x", "a//b", ""):
        rows = [{"name": name, "size": 0, "sha256": "0" * 64}]
        (tmp_path / INDEX).write_text(json.dumps({"format": 1, "files": rows}))
        with pytest.raises(TopgraftError, match="expected a path inside the folder"):
            verify_unpacked(tmp_path)


def test_names_that_are_not_utf_8_are_allowed_where_files_are_listed() -> None:
    assert parse_json(b'"\\udcff"', file_names=True) == "\udcff"
    with pytest.raises(UnreadableError, match="not UTF-8"):
        parse_json(b'"\\udcff"')


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_allowed_only_where_requested(text: str) -> None:
    assert isinstance(parse_json(text, not_finite=True), float)
    with pytest.raises(UnreadableError, match="finite numbers"):
        parse_json(text)


@pytest.mark.parametrize("name", ODD_CONTENTS)
def test_an_odd_manifest_is_an_error_of_the_reader(name: str, contents: dict[str, Path]) -> None:
    with pytest.raises((UnreadableError, TopgraftError)):
        read_manifest(contents[name])
