"""Other datasets, archives and labels, copied into a dataset that is edited."""

import json
import zipfile
from pathlib import Path

import pytest

from model.curation import changes
from model.curation.imports import import_dataset
from model.curation.places import INCOMING, read_contents
from model.curation.plans import AddClass
from model.errors import DatasetError, StorageFullError
from model.workspace import Workspace
from tests.support.photos import encoded, random_image, write_photos


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)


def counts(dataset: Path) -> dict[str, int]:
    return {name: len(photos) for name, photos in read_contents(dataset).classes.items()}


def test_a_dataset_of_any_layout_is_copied_as_one_change(workspace: Workspace) -> None:
    for split in ("train", "val"):
        write_photos(workspace.data / "split" / split)
    for path in (workspace.data / "split" / "val").rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"another photo of the same name")
    dataset = changes.create_dataset(workspace.data, "mine")
    applied = import_dataset(dataset, "split", workspace, by="ana")
    assert counts(dataset) == {"blue": 16, "red": 16} and len(applied.photos) == 32
    assert (dataset / "blue" / "0 (2).jpg").is_file()
    assert not list((dataset / INCOMING).iterdir())
    changes.undo(dataset)
    assert counts(dataset) == {} and len(read_contents(dataset).removed) == 32
    assert len(list((workspace.data / "split").rglob("*.jpg"))) == 32


def test_photos_that_are_there_are_not_imported_again(workspace: Workspace) -> None:
    source = write_photos(workspace.data / "colours")
    dataset = changes.create_dataset(workspace.data, "mine")
    import_dataset(dataset, "colours", workspace)
    (source / "red" / "new.jpg").write_bytes(encoded(random_image(99)))
    (source / "red" / "1.jpg").unlink()
    (source / "red" / "1.jpg").write_bytes(encoded(random_image(98)))
    import_dataset(dataset, "colours", workspace)
    assert counts(dataset) == {"blue": 8, "red": 10} and (dataset / "red" / "1 (2).jpg").is_file()
    with pytest.raises(DatasetError, match="found all of them there"):
        import_dataset(dataset, "mine", workspace)
    assert not list((dataset / INCOMING).iterdir())


def test_a_photo_that_is_in_the_class_under_another_name_is_not_imported(workspace: Workspace) -> None:
    source = write_photos(workspace.data / "colours")
    dataset = changes.create_dataset(workspace.data, "mine")
    import_dataset(dataset, "colours", workspace)
    (source / "red" / "1.jpg").rename(source / "red" / "renamed.jpg")
    (source / "red" / "new.jpg").write_bytes(encoded(random_image(99)))
    import_dataset(dataset, "colours", workspace)
    assert counts(dataset) == {"blue": 8, "red": 9}


def test_an_archive_and_existing_classes(workspace: Workspace, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "Colours")
    (source / "red").rename(source / "Red")
    with zipfile.ZipFile(workspace.data / "colours.zip", "w") as archive:
        for path in source.rglob("*.jpg"):
            archive.write(path, path.relative_to(source))
    dataset = changes.create_dataset(workspace.data, "mine")
    changes.change(dataset, AddClass("red"))
    import_dataset(dataset, "colours.zip", workspace)
    assert counts(dataset) == {"blue": 8, "red": 8}


def test_the_labels_of_a_label_studio_export(workspace: Workspace) -> None:
    folder = workspace.data / "export"
    folder.mkdir()
    tasks = []
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(encoded(random_image(number)))
        choice: dict[str, object] = {
            "type": "choices",
            "from_name": "kind",
            "to_name": "image",
            "value": {"choices": [["elm", "oak"][number % 2]]},
        }
        annotation = {"id": number, "result": [choice], "completed_by": 1}
        tasks.append({"id": number, "data": {"image": f"{number}.jpg"}, "annotations": [annotation]})
    (folder / "project.json").write_text(json.dumps(tasks))
    dataset = changes.create_dataset(workspace.data, "mine")
    import_dataset(dataset, "export/project.json", workspace)
    assert counts(dataset) == {"elm": 2, "oak": 2}


def test_what_is_no_dataset_or_does_not_fit_changes_nothing(workspace: Workspace) -> None:
    write_photos(workspace.data / "colours")
    dataset = changes.create_dataset(workspace.data, "mine")
    with pytest.raises(DatasetError, match="no such folder"):
        import_dataset(dataset, "none", workspace)
    with pytest.raises(StorageFullError):
        import_dataset(dataset, "colours", workspace, max_bytes=1000)
    assert counts(dataset) == {} and not changes.changes(dataset)
