"""Changes of a dataset: what they move, their journal, and their undo."""

import json
import os
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.curation import changes, journal
from model.curation.places import CURATION, JOURNAL, REMOVED, UNLABELLED, read_contents, version_of
from model.curation.plans import (
    AddClass,
    Change,
    MergeClasses,
    MovePhotos,
    RemoveClass,
    RemovePhotos,
    RenameClass,
    change_from_json,
)
from model.dataset.prepare import prepare_dataset
from model.errors import ConfigError, DatasetError, StorageBusyError, TopgraftError
from tests.support.photos import photo, write_photos


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "data" / "colours")


def contents(dataset: Path) -> dict[str, bytes]:
    """Path -> bytes of each file outside of the hidden folder."""
    return {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in dataset.rglob("*")
        if path.is_file() and CURATION not in path.parts
    }


def photos(dataset: Path) -> list[bytes]:
    """Bytes of all photos, wherever they are, sorted."""
    return sorted(path.read_bytes() for path in dataset.rglob("*.jpg"))


EACH_CHANGE: tuple[Change, ...] = (
    AddClass("green"),
    RenameClass("blue", "navy"),
    RenameClass("blue", "Blue"),
    MergeClasses(("blue",), "red"),
    RemoveClass("red"),
    MovePhotos(("blue/0.jpg", "blue/1.jpg"), "red"),
    MovePhotos(("blue/0.jpg",), ""),
    RemovePhotos(("blue/0.jpg", "red/0.jpg")),
)


@pytest.mark.parametrize("requested", EACH_CHANGE, ids=lambda one: type(one).__name__)
def test_each_change_keeps_every_photo_and_can_be_undone(dataset: Path, requested: Change) -> None:
    before, all_photos = contents(dataset), photos(dataset)
    applied = changes.change(dataset, requested, by="ana", model="colours-1")
    assert photos(dataset) == all_photos
    assert not applied.missing
    assert contents(dataset) != before or isinstance(requested, AddClass)
    changes.undo(dataset)
    assert contents(dataset) == before
    assert sorted(read_contents(dataset).classes) == ["blue", "red"]
    last, first = changes.changes(dataset)
    assert (first.by, first.model, first.done, last.undoes) == ("ana", "colours-1", True, (1,))


def test_several_changes_are_undone_one_after_another(dataset: Path) -> None:
    before = contents(dataset)
    states = []
    for requested in (
        MergeClasses(("blue",), "red"),
        RenameClass("red", "violet"),
        AddClass("blue"),
        MovePhotos(("violet/0.jpg",), "blue"),
        RemovePhotos(("blue/0.jpg",)),
    ):
        states.append(contents(dataset))
        changes.change(dataset, requested)
    for state in reversed(states):
        changes.undo(dataset)
        assert contents(dataset) == state
    assert contents(dataset) == before
    with pytest.raises(DatasetError, match="there is none"):
        changes.undo(dataset)


def test_photos_of_the_same_name_get_a_number(dataset: Path) -> None:
    changes.change(dataset, MergeClasses(("blue",), "red"))
    assert sorted(path.name for path in (dataset / "red").iterdir())[:2] == ["0 (2).jpg", "0.jpg"]


def test_folders_and_other_files_of_a_class_move_with_it(dataset: Path) -> None:
    (dataset / "blue" / "deep" / "er").mkdir(parents=True)
    (dataset / "blue" / "deep" / "er" / "1.jpg").write_bytes(photo(1))
    (dataset / "blue" / "notes.txt").write_text("seen at dawn")
    before = contents(dataset)
    changes.change(dataset, MergeClasses(("blue",), "red"))
    assert (dataset / "red" / "deep" / "er" / "1.jpg").is_file() and (dataset / "red" / "notes.txt").is_file()
    assert not (dataset / "blue").exists()
    changes.undo(dataset)
    assert contents(dataset) == before


def test_a_step_that_is_not_possible_stops_no_later_change(dataset: Path) -> None:
    (dataset / "red" / "deep" / "x").mkdir(parents=True)
    (dataset / "red" / "deep" / "x" / "1.jpg").write_bytes((dataset / "red" / "0.jpg").read_bytes())
    (dataset / "blue" / "deep").write_text("a file where the other class has a folder")
    before = sorted(path.read_bytes() for path in dataset.rglob("*.jpg"))
    changes.change(dataset, MergeClasses(("red",), "blue"))
    changes.change(dataset, RemovePhotos(("blue/0.jpg",)))
    assert sorted(path.read_bytes() for path in dataset.rglob("*.jpg")) == before


def test_a_name_of_the_maximum_length_is_numbered(dataset: Path) -> None:
    name = f"{'n' * 251}.jpg"
    for label in ("red", "blue"):
        (dataset / label / name).write_bytes((dataset / label / "0.jpg").read_bytes())
    moved = changes.change(dataset, MovePhotos((f"red/{name}",), "blue"))
    assert moved.photos == {f"red/{name}": f"blue/{'n' * 247} (2).jpg"}


def test_a_change_is_not_undone_in_place_of_another_one(dataset: Path) -> None:
    mine = changes.change(dataset, RemovePhotos(("blue/0.jpg",)), by="ana").entry.number
    changes.change(dataset, MovePhotos(("red/1.jpg",), ""), by="ben")
    before = contents(dataset)
    with pytest.raises(DatasetError, match="found change 2"):
        changes.undo(dataset, number=mine)
    assert contents(dataset) == before
    changes.undo(dataset, number=mine + 1)
    assert changes.undo(dataset, number=mine).photos


def test_removed_and_unlabelled_photos_are_in_no_training(dataset: Path, tmp_path: Path) -> None:
    changes.change(dataset, RemovePhotos(("blue/0.jpg",)))
    changes.change(dataset, MovePhotos(("red/1.jpg",), ""))
    verdict = prepare_dataset(dataset, TrainConfig(dataset=str(dataset)), tmp_path)
    assert verdict.dataset.classes == ("blue", "red")
    names = {sample.name for sample in verdict.dataset.samples}
    assert len(names) == 14 and not names & {"blue/0.jpg", "red/1.jpg"}
    content = read_contents(dataset)
    assert content.removed == [f"{REMOVED}/blue/0.jpg"] and content.unlabelled == [f"{UNLABELLED}/1.jpg"]


def test_a_removed_photo_is_restored_by_moving_it(dataset: Path) -> None:
    before = photos(dataset)
    changes.change(dataset, RemovePhotos(("blue/0.jpg",)))
    changes.change(dataset, MovePhotos((f"{REMOVED}/blue/0.jpg",), "red"))
    assert (dataset / "red" / "0 (2).jpg").is_file() and photos(dataset) == before


def test_a_label_is_corrected_with_who_when_and_by_which_model(dataset: Path) -> None:
    changes.relabel(dataset, "blue/0.jpg", "red", by="ana", model="colours-2")
    changes.relabel(dataset, "blue/1.jpg", "green", by="ben")
    second, first = changes.changes(dataset)
    assert (first.by, first.model) == ("ana", "colours-2") and first.at.endswith("+00:00")
    assert second.by == "ben" and (dataset / "green" / "1.jpg").is_file()


def test_an_added_photo_is_a_copy_and_its_undo_keeps_it(dataset: Path, tmp_path: Path) -> None:
    source = tmp_path / "0.jpg"
    source.write_bytes(photo(99))
    changes.add_photo(dataset, "red", source, by="ana", model="colours-2")
    changes.add_photo(dataset, "", source)
    assert (dataset / "red" / "0 (2).jpg").read_bytes() == source.read_bytes()
    assert (dataset / UNLABELLED / "0.jpg").is_file()
    changes.undo(dataset)
    changes.undo(dataset)
    assert not (dataset / "red" / "0 (2).jpg").exists()
    assert len([path for path in (dataset / REMOVED).rglob("*.jpg") if path.read_bytes() == source.read_bytes()]) == 2


def test_a_photo_that_is_there_already_gets_no_second_label(dataset: Path) -> None:
    """It is confirmed, then said to be another class, by its content under another name."""
    before, source = contents(dataset), dataset / "blue" / "0.jpg"
    content = source.read_bytes()
    confirmed = changes.add_photo(dataset, "blue", source, name="tried.jpg")
    assert (confirmed.same, confirmed.photos, confirmed.entry.number) == (("blue/0.jpg",), {}, 0)
    assert contents(dataset) == before and changes.changes(dataset) == []
    moved = changes.add_photo(dataset, "green", source, by="ana", name="tried.jpg")
    assert moved.photos == {"blue/0.jpg": "green/0.jpg"}
    assert [path for path, found in contents(dataset).items() if found == content] == ["green/0.jpg"]
    changes.undo(dataset)
    assert contents(dataset) == before


@pytest.mark.parametrize("sorted_to", ["red", "blue"])
def test_sorting_a_copy_of_a_labelled_photo_leaves_one_label(dataset: Path, sorted_to: str) -> None:
    content = (dataset / "blue" / "0.jpg").read_bytes()
    (dataset / UNLABELLED).mkdir(parents=True)
    (dataset / UNLABELLED / "copy.jpg").write_bytes(content)
    before = contents(dataset)
    changes.relabel(dataset, f"{UNLABELLED}/copy.jpg", sorted_to)
    [labelled] = [path for path, found in contents(dataset).items() if found == content]
    assert labelled.startswith(f"{sorted_to}/")
    changes.undo(dataset)
    assert contents(dataset) == before


HOSTILE_PHOTOS = ("../x.jpg", "/etc/passwd", "blue/../../x.jpg", "blue//0.jpg", "", "blue", f"{JOURNAL}", "blue\\0.jpg")


@pytest.mark.parametrize("name", HOSTILE_PHOTOS)
def test_a_photo_is_named_by_a_path_inside_the_dataset(dataset: Path, name: str) -> None:
    before = contents(dataset)
    for requested in (MovePhotos((name,), "red"), RemovePhotos((name,))):
        with pytest.raises(DatasetError, match="no such photo"):
            changes.change(dataset, requested)
    assert contents(dataset) == before and not changes.changes(dataset)


@pytest.mark.parametrize(
    "requested",
    [
        AddClass("../x"),
        AddClass("BLUE"),
        RenameClass("blue", "red"),
        RenameClass("blue", "<script>"),
        RenameClass("green", "x"),
        MergeClasses(("blue",), "blue"),
        MergeClasses(("blue",), "green"),
        RemoveClass(CURATION),
        MovePhotos(("blue/0.jpg",), "green"),
        MovePhotos((), "red"),
    ],
    ids=str,
)
def test_a_change_that_is_not_possible_changes_nothing(dataset: Path, requested: Change) -> None:
    before = contents(dataset)
    with pytest.raises(DatasetError):
        changes.change(dataset, requested)
    assert contents(dataset) == before and not changes.changes(dataset)


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], {}, {"kind": "explode"}, {"kind": "add_class"}, {"kind": "add_class", "name": 1}),
        {"kind": "add_class", "name": "x", "by": "y"},
        {"kind": "remove_photos", "photos": "blue/0.jpg"},
        {"kind": "remove_photos", "photos": [1]},
    ],
)
def test_other_requests_are_no_change(content: object) -> None:
    with pytest.raises(ConfigError):
        change_from_json(content)


def test_a_change_is_read_from_json() -> None:
    read = change_from_json({"kind": "move_photos", "photos": ["a/1.jpg"], "to": "b"})
    assert read == MovePhotos(("a/1.jpg",), "b")


def test_a_photo_that_another_program_moved_is_reported_and_the_others_are_moved(dataset: Path) -> None:
    changes.change(dataset, MergeClasses(("blue",), "red"))
    (dataset / "red" / "0 (2).jpg").unlink()
    (dataset / "blue").mkdir()
    (dataset / "blue" / "1.jpg").write_bytes(b"of another program")
    undone = changes.undo(dataset)
    assert set(undone.missing) == {"red/0 (2).jpg", "red/1 (2).jpg"}
    assert (dataset / "blue" / "1.jpg").read_bytes() == b"of another program"
    assert (dataset / "red" / "1 (2).jpg").is_file() and (dataset / "blue" / "2.jpg").is_file()


def test_changes_by_other_programs_are_noticed(dataset: Path) -> None:
    versions = {version_of(dataset)}
    for act in (
        lambda: (dataset / "blue" / "0.jpg").rename(dataset / "blue" / "x.jpg"),
        lambda: (dataset / "blue" / "1.jpg").unlink(),
        lambda: (dataset / "green").mkdir(),
        lambda: changes.change(dataset, AddClass("white")),
    ):
        act()
        versions.add(version_of(dataset))
    assert len(versions) == 5 and version_of(dataset) in versions


def test_a_line_that_was_not_written_whole_stands_for_nothing(dataset: Path) -> None:
    changes.change(dataset, AddClass("green"))
    with open(dataset / JOURNAL, "a", encoding="utf-8") as stream:
        stream.write('{"entry":{"number":2,"kind":"remo')
    changes.change(dataset, AddClass("white"))
    assert [entry.number for entry in changes.changes(dataset)] == [2, 1]


def test_the_steps_of_a_killed_process_are_made_first(dataset: Path) -> None:
    before = photos(dataset)
    changes.change(dataset, RenameClass("blue", "navy"))
    entry = {"number": 2, "at": "", "kind": "move_photos", "details": {}}
    entry["steps"] = [["navy/0.jpg", "red/x.jpg"], ["red/1.jpg", "navy/x.jpg"]]
    os.rename(dataset / "navy" / "0.jpg", dataset / "red" / "x.jpg")
    with open(dataset / JOURNAL, "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"entry": entry}) + "\n")
    changes.change(dataset, AddClass("white"))
    assert (dataset / "navy" / "x.jpg").is_file() and photos(dataset) == before
    assert all(one.done and not one.skipped for one in changes.changes(dataset))


def test_a_damaged_journal_is_reported(dataset: Path) -> None:
    changes.change(dataset, AddClass("green"))
    (dataset / JOURNAL).write_text("[]\n")
    with pytest.raises(DatasetError, match="damaged line"):
        changes.change(dataset, AddClass("white"))


def test_a_dataset_that_another_process_changes_is_busy(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SECONDS_TO_WAIT", 0.05)
    with journal.locked(dataset), pytest.raises(StorageBusyError, match="another process"):
        changes.change(dataset, AddClass("green"))


def test_a_dataset_of_another_layout_is_not_changed(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_photos(tmp_path / "split" / split)
    content = read_contents(tmp_path / "split")
    assert not content.is_editable and {name: len(names) for name, names in content.classes.items()} == {
        "blue": 16,
        "red": 16,
    }
    with pytest.raises(DatasetError, match="Copy its photos"):
        changes.change(tmp_path / "split", AddClass("green"))
    assert not (tmp_path / "split" / CURATION).exists()


def test_a_dataset_begins_empty(tmp_path: Path) -> None:
    dataset = changes.create_dataset(tmp_path / "data", "Leaves")
    assert read_contents(dataset).classes == {}
    changes.change(dataset, AddClass("oak"))
    assert read_contents(dataset).classes == {"oak": []}
    for name in ("leaves", "../x", ""):
        with pytest.raises(TopgraftError):
            changes.create_dataset(tmp_path / "data", name)
