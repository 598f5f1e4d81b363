"""The history of a dataset: an upload is one line, and long histories are read in pages."""

from pathlib import Path

from model.curation import changes
from model.curation.history import history
from model.curation.plans import AddClass, MergeClasses, RemoveClass
from tests.curation.forked_editors import send
from tests.support.photos import write_photos


def test_an_upload_is_one_line_with_the_number_of_its_photos(tmp_path: Path) -> None:
    source = write_photos(tmp_path / "source")
    dataset = changes.create_dataset(tmp_path, "mine")
    changes.change(dataset, AddClass("first"))
    send(str(dataset), str(source))
    changes.change(dataset, MergeClasses(("red",), "blue"))
    assert len(changes.changes(dataset)) > 4
    lines, total = history(dataset, 0, 10)
    assert [(line.kind, line.photos) for line in lines] == [("merge_classes", 8), ("add_photos", 16), ("add_class", 0)]
    assert [line.names for line in lines] == [("red", "blue"), (), ("first",)]
    changes.undo(dataset)
    assert history(dataset, 0, 1)[0][0].names == ("red", "blue")
    changes.undo(dataset)
    lines, total = history(dataset, 0, 10)
    assert [line.is_undo for line in lines] == [True, True, False, False, False] and total == 5
    assert [line.photos for line in lines[:2]] == [16, 8]


def test_a_long_history_is_read_in_pages(tmp_path: Path) -> None:
    dataset = changes.create_dataset(tmp_path, "mine")
    for number in range(5):
        changes.change(dataset, AddClass(f"class {number}"))
    changes.change(dataset, RemoveClass("class 0"))
    pages = [history(dataset, offset, 4) for offset in (0, 4, 8)]
    assert [total for _, total in pages] == [6, 6, 6]
    assert [[line.number for line in lines] for lines, _ in pages] == [[6, 5, 4, 3], [2, 1], []]
