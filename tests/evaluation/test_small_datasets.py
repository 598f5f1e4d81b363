"""`evaluate` and `compare` on datasets that are too small to train on: of one class, of one photo, without train."""

from collections.abc import Callable
from pathlib import Path

import pytest

import topgraft
from model.errors import DatasetError
from model.workspace import Workspace
from tests.support.colours import write_colour_model, write_colours


def one_class(root: Path) -> int:
    write_colours(root, 4, ("red",))
    return 4


def one_photo(root: Path) -> int:
    write_colours(root, 1, ("red",))
    return 1


def a_photo_of_each(root: Path) -> int:
    write_colours(root, 1)
    return 3


def split_folders(root: Path) -> int:
    write_colours(root / "train", 1, ("red",))
    write_colours(root / "test", 3, ("red",), seed=1)
    return 3


def lists(root: Path) -> int:
    write_colours(root / "images", 3, ("red",))
    (root / "dataset_files").mkdir()
    (root / "dataset_files" / "classes.txt").write_text("red\n")
    lines = "".join(f"red/{number}.png 0\n" for number in range(3))
    (root / "dataset_files" / "test.txt").write_text(lines)
    return 3


def table(root: Path) -> int:
    write_colours(root, 2, ("red",))
    for path in sorted((root / "red").iterdir()):
        path.rename(root / path.name)
    (root / "red").rmdir()
    (root / "labels.csv").write_text("image,label\n0.png,red\n1.png,red\n")
    return 2


def a_class_that_cannot_be_read(root: Path) -> int:
    write_colours(root, 20, ("red",))
    (root / "green").mkdir()
    (root / "green" / "0.png").write_bytes(b"no photo")
    return 20


@pytest.mark.parametrize(
    "write", [one_class, one_photo, a_photo_of_each, split_folders, lists, table, a_class_that_cannot_be_read]
)
def test_a_model_is_evaluated_and_compared_on_what_no_model_can_be_trained_on(
    tmp_path: Path, write: Callable[[Path], int]
) -> None:
    workspace = Workspace(tmp_path)
    images = write(workspace.data / "small")
    for name, always in (("good", None), ("green", 1)):
        write_colour_model(workspace.models, name, **({} if always is None else {"always": always}))
    result = topgraft.evaluate("good", "small", workspace=workspace)
    assert result.metrics["images"] == images and result.metrics["accuracy"] == 1
    assert not [warning for warning in result.warnings if "training" in warning and "checksums" not in warning]
    compared = topgraft.compare("green", "good", "small", workspace=workspace)
    assert len(compared.names) == images
    with pytest.raises(DatasetError):
        topgraft.check("small", workspace=workspace)


def test_a_dataset_without_a_photo_that_can_be_read_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.data / "broken" / "red").mkdir(parents=True)
    (workspace.data / "broken" / "red" / "0.png").write_bytes(b"no photo")
    write_colour_model(workspace.models, "good")
    with pytest.raises(DatasetError, match="cannot be decoded"):
        topgraft.evaluate("good", "broken", workspace=workspace, max_bad_fraction=1.0)
