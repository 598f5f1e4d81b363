"""Usage records on disk: summed over concurrent processes, written atomically, bounded in number."""

import json
import logging
import multiprocessing
from pathlib import Path

import pytest

from model.bundle import open_bundle
from model.provenance import utc_today
from model.results import Prediction
from model.usage.record import BINS, Record
from model.usage.sample import MAX_ROWS
from model.usage.store import KEPT_DAYS, NO_MODEL, ModelVersion, UsageStore, days_before, model_version
from model.usage.summary import short_summary
from model.workspace import Workspace
from tests.support.small_model import write_small_model
from tests.usage.records import PETS, record

DAY = "2026-11-21"
WRITERS, WRITES = 4, 25


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path)


@pytest.fixture
def store(workspace: Workspace) -> UsageStore:
    return UsageStore(workspace)


def test_written_counts_are_read_unchanged(store: UsageStore) -> None:
    whole = record(3)
    whole.add_prediction(Prediction("b", error="no image"))
    whole.add_prediction(Prediction("c", ("dog", "cat"), (1.0, 0.0)))
    whole.add_answer("json", 2.0, is_zip=True)
    store.add(PETS, DAY, whole)
    read = store.days(PETS)[DAY]
    assert read.to_json() == whole.to_json()
    assert (read.photos, read.unreadable, read.marks["confidence"], read.errors["415"]) == (4, 1, 3, 1)
    assert read.confidence["cat"][18] == 3 and read.confidence["dog"][BINS - 1] == 1
    assert set(read.durations) == {"json", "zip"} and read.sample.distinct == 3


def _write(root: Path, writer: int) -> None:
    store = UsageStore(Workspace(root))
    for number in range(WRITES):
        store.add(PETS, DAY, record(2, first=1000 * writer + 2 * number))


def test_concurrent_processes_lose_no_count(workspace: Workspace, store: UsageStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(workspace.root, writer)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    total = store.days(PETS)[DAY]
    assert total.photos == total.sample.distinct == 2 * WRITERS * WRITES
    assert total.answers["json"] == total.errors["415"] == WRITERS * WRITES
    assert sorted(path.name for path in store.folder(PETS).iterdir()) == [f"{DAY}.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 2}', '{"format": 1, "photos": -1}', '{"format": 1, "photos": "many"}', b"\xff"],
)
def test_a_damaged_file_is_skipped_with_a_warning_and_counting_continues(
    store: UsageStore, caplog: pytest.LogCaptureFixture, content: str | bytes
) -> None:
    store.add(PETS, DAY, record())
    store.add(PETS, "2026-11-20", record())
    path = store.folder(PETS) / f"{DAY}.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with caplog.at_level(logging.WARNING):
        assert list(store.days(PETS)) == ["2026-11-20"]
    assert str(path) in caplog.text
    store.add(PETS, DAY, record(5))
    assert store.days(PETS)[DAY].photos == 5
    assert path.with_suffix(".damaged").exists()


def test_an_invalid_number_in_the_sample_is_damage(store: UsageStore) -> None:
    store.add(PETS, DAY, record())
    path = store.folder(PETS) / f"{DAY}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"sample": [[1, 2, 3], [1, 2]]}))
    assert store.days(PETS) == {}


def test_old_days_are_deleted_and_files_stay_bounded(store: UsageStore) -> None:
    kept, old = days_before(utc_today(), KEPT_DAYS), days_before(utc_today(), KEPT_DAYS + 1)
    removed = ModelVersion("pets", "another version")
    for version, day in ((PETS, old), (PETS, kept), (removed, old), (NO_MODEL, old)):
        store.add(version, day, record())
    store.add(PETS, utc_today(), record(3 * MAX_ROWS))
    assert list(store.days(PETS)) == [kept, utc_today()]
    assert not store.folder(removed).exists() and store.days(NO_MODEL) == {}
    size = (store.folder(PETS) / f"{utc_today()}.json").stat().st_size
    store.add(PETS, utc_today(), record(3 * MAX_ROWS, first=3 * MAX_ROWS))
    assert (store.folder(PETS) / f"{utc_today()}.json").stat().st_size < 1.1 * size


def test_another_manifest_is_counted_as_another_version(workspace: Workspace) -> None:
    write_small_model(workspace.models / "pets")
    first = model_version("pets", open_bundle(workspace.models / "pets").manifest)
    (workspace.models / "pets").rename(workspace.models / "away")
    write_small_model(workspace.models / "pets", created="2026-02-01T00:00:00Z")
    again = model_version("pets", open_bundle(workspace.models / "pets").manifest)
    (workspace.models / "pets").rename(workspace.models / "away2")
    write_small_model(workspace.models / "pets", always=1)
    other = model_version("pets", open_bundle(workspace.models / "pets").manifest)
    assert len({first, again, other}) == 3
    assert first == model_version("pets", open_bundle(workspace.models / "away").manifest)


def test_a_reset_deletes_the_counts_of_one_model_or_all(store: UsageStore) -> None:
    cars = ModelVersion("cars", "v")
    for version in (PETS, cars, NO_MODEL):
        store.add(version, DAY, record())
    assert store.models() == ["cars", "pets"]
    store.reset("pets")
    assert store.models() == ["cars"] and store.days(NO_MODEL)
    store.reset()
    assert store.models() == [] and store.days(NO_MODEL) == {}


def test_marks_counted_by_an_older_version_are_read_by_their_present_names() -> None:
    content = record().to_json() | {
        "photos": 10,
        "unknown": {"confidence": 4, "features": 2, "confidence and features": 1},
    }
    summary = short_summary("pets", Record.from_json(content), None)
    assert (summary["unknown"], summary["uncertain"]) == (3, 4)
    assert (summary["unknown_share"], summary["uncertain_share"]) == (0.3, 0.4)


def test_unknown_and_uncertain_photos_are_counted_apart() -> None:
    counted = Record()
    counted.add_prediction(Prediction("a", ("cat",), (0.9,), True, None, "features"))
    counted.add_prediction(Prediction("b", ("cat",), (0.4,), uncertain=True))
    counted.add_prediction(Prediction("c", ("cat",), (0.9,)))
    summary = short_summary("pets", counted, None)
    assert (summary["photos"], summary["unknown"], summary["uncertain"]) == (3, 1, 1)
