"""Real photos of a synthesis are hard links: nothing is written through them."""

import os
import shutil
from pathlib import Path

import pytest

from model.dataset.lists import write_lists
from model.errors import DatasetError
from model.files.new_files import link_or_copy, write_new, write_replacement
from model.labels.former import Former
from model.synthesis.composition import write_demo_dataset
from tests.synthesis.cutout_files import COLOURS, content_of, photo_bytes, write_cutouts
from tests.synthesis.test_synthesize import make


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    return write_cutouts(tmp_path / "cutouts")


def write_listed(folder: Path, names: dict[str, int]) -> Path:
    """A dataset of photos with these names and labels, all in train."""
    for seed, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(COLOURS["red"], seed))
    write_lists(folder / "dataset_files", ("blue", "red"), {"train": list(names.items())})
    return folder


@pytest.mark.parametrize("folder", ["synthetic", "Synthetic"])
def test_real_photos_with_names_of_synthetic_ones_are_refused_and_kept(
    tmp_path: Path, cutouts: Path, folder: str
) -> None:
    real = write_listed(tmp_path / "real", {f"{folder}/red/000000.jpg": 1, "a.jpg": 1, "b.jpg": 0})
    before = content_of(real)
    with pytest.raises(DatasetError, match=rf"found 1 with names that synthetic photos get: {folder}/red/000000\.jpg"):
        make(tmp_path, real=real)
    assert content_of(real) == before and not (tmp_path / "made").exists()


def test_a_former_synthesis_without_its_table_of_origins_is_refused_and_kept(tmp_path: Path, cutouts: Path) -> None:
    make(tmp_path)
    shutil.copytree(tmp_path / "made", tmp_path / "copied")
    (tmp_path / "copied" / "origin.csv").unlink()
    before = content_of(tmp_path / "copied")
    with pytest.raises(DatasetError, match=r"found 6 with names that synthetic photos get: synthetic/blue/000000\.jpg"):
        make(tmp_path, real=tmp_path / "copied", seed=1)
    assert content_of(tmp_path / "copied") == before


def test_a_folder_called_synthetic_with_other_names_can_be_completed(tmp_path: Path, cutouts: Path) -> None:
    names = {"synthetic/red/photo.jpg": 1, "synthetic/1.jpg": 1, "b.jpg": 0}
    real = write_listed(tmp_path / "real", names)
    before = content_of(real)
    make(tmp_path, real=real, count=1)
    assert content_of(real) == before
    lists = [path for path in (tmp_path / "made" / "dataset_files").iterdir() if path.name != "classes.txt"]
    listed = sorted(line for path in lists for line in path.read_text().splitlines())
    synthetic = ["synthetic/blue/000000.jpg 0", "synthetic/red/000000.jpg 1"]
    assert listed == sorted([*(f"{name} {label}" for name, label in names.items()), *synthetic])


def test_drawing_the_demo_dataset_again_keeps_the_photos_of_a_synthesis_that_links_to_it(
    tmp_path: Path, cutouts: Path
) -> None:
    write_demo_dataset(tmp_path / "demo", images_per_class=3)
    linked = tmp_path / "linked.jpg"
    photo = next((tmp_path / "demo" / "images").rglob("*.jpg"))
    os.link(photo, linked)
    before = linked.read_bytes()
    write_demo_dataset(tmp_path / "demo", images_per_class=3, seed=1)
    assert linked.read_bytes() == before != photo.read_bytes()


def test_new_files_never_change_existing_ones(tmp_path: Path) -> None:
    original, linked, other = tmp_path / "original", tmp_path / "linked", tmp_path / "other"
    write_new(original, b"original")
    link_or_copy(original, linked)
    write_new(other, b"other")
    assert linked.samefile(original)
    with pytest.raises(FileExistsError):
        write_new(linked, b"new")
    with pytest.raises(FileExistsError):
        link_or_copy(other, linked)
    assert original.read_bytes() == linked.read_bytes() == b"original"
    write_replacement(linked, b"new")
    assert (original.read_bytes(), linked.read_bytes()) == (b"original", b"new")


def test_without_hard_links_a_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_paths: object) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr(os, "link", fail)
    write_new(tmp_path / "original", b"content")
    link_or_copy(tmp_path / "original", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content" and not (tmp_path / "copy").samefile(tmp_path / "original")


def test_an_image_of_a_former_import_is_kept_twice(tmp_path: Path) -> None:
    for name in ("former", "new"):
        (tmp_path / name).mkdir()
    write_new(tmp_path / "former" / "a.png", b"content")
    former = Former(tmp_path / "former")
    assert [former.keep("a.png", tmp_path / "new") for _ in range(2)] == [True, True]
    assert not former.keep("b.png", tmp_path / "new") and (tmp_path / "new" / "a.png").read_bytes() == b"content"
