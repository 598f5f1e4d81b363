"""Names that classes and photos of older models have today, by the journal of the dataset."""

import datetime
from pathlib import Path

import pytest

from model.curation import changes, journal
from model.curation.plans import AddClass, Change, MergeClasses, MovePhotos, RenameClass
from model.curation.renames import todays_classes, todays_photos
from tests.support.photos import write_photos

CLASSES = ("blue", "red")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "colours")


def made(dataset: Path, *requested: Change | None) -> dict[str, str]:
    """Today's names after changes; None is an undo."""
    for one in requested:
        changes.undo(dataset) if one is None else changes.change(dataset, one)
    return todays_classes(dataset, "2026-01-01T00:00:00Z", CLASSES)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ((), {}),
        ((RenameClass("red", "crimson"),), {"red": "crimson"}),
        ((RenameClass("red", "crimson"), None), {}),
        ((RenameClass("red", "crimson"), RenameClass("crimson", "ruby")), {"red": "ruby"}),
        ((RenameClass("red", "crimson"), RenameClass("crimson", "ruby"), None), {"red": "crimson"}),
        ((RenameClass("red", "crimson"), RenameClass("crimson", "red")), {}),
        (
            (RenameClass("red", "a"), RenameClass("blue", "red"), RenameClass("a", "blue")),
            {"red": "blue", "blue": "red"},
        ),
        ((MergeClasses(("red",), "blue"),), {"red": "blue"}),
        ((MergeClasses(("red",), "blue"), None), {}),
        ((MergeClasses(("red",), "blue"), RenameClass("blue", "any")), {"red": "any", "blue": "any"}),
        ((RenameClass("red", "crimson"), AddClass("red")), {"red": "crimson"}),
        ((MovePhotos(("red/0.jpg",), "blue"),), {}),
    ],
)
def test_classes_have_the_names_of_today(
    dataset: Path, requested: tuple[Change | None, ...], expected: dict[str, str]
) -> None:
    assert made(dataset, *requested) == expected


def test_only_changes_since_the_training_count(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes.change(dataset, RenameClass("red", "crimson"))
    after = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)).isoformat()
    assert todays_classes(dataset, after, ["crimson", "blue"]) == {}
    monkeypatch.setattr(journal, "_now", lambda: after)
    changes.undo(dataset)
    assert todays_classes(dataset, after, ["crimson", "blue"]) == {"crimson": "red"}
    assert todays_classes(dataset, "not known", CLASSES) == todays_photos(dataset, "", ()) == {}


def test_photos_are_followed_through_every_change(dataset: Path) -> None:
    photos = ["red/0.jpg", "red/1.jpg", "blue/0.jpg"]
    changes.change(dataset, RenameClass("red", "crimson"))
    changes.change(dataset, MovePhotos(("crimson/1.jpg",), ""))
    changes.change(dataset, MergeClasses(("crimson",), "blue"))
    found = todays_photos(dataset, "2026-01-01T00:00:00Z", photos)
    assert found["blue/0.jpg"] == "blue/0.jpg" and found["red/0.jpg"] == "blue/0 (2).jpg"
    assert (dataset / found["red/1.jpg"]).is_file() and found["red/1.jpg"].startswith(".curation/unlabelled/")
    for _ in range(3):
        changes.undo(dataset)
    assert todays_photos(dataset, "2026-01-01T00:00:00Z", photos) == {photo: photo for photo in photos}
