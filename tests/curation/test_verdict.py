"""The verdict beside the photos: what a training would meet, computed in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.config import TrainConfig
from model.curation import changes, thumbnails, verdict
from model.curation.places import CURATION
from model.curation.plans import MovePhotos, RemovePhotos
from model.curation.verdict import check_dataset, read_verdict, start_check
from model.dataset.prepare import prepare_dataset
from model.errors import DatasetError, ImageError
from tests.support.photos import encoded, photo, random_image, write_photos


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "colours")


def verdict_in_child(dataset: Path) -> dict[str, Any]:
    with start_check(dataset) as child:
        return read_verdict(dataset, child.communicate()[0])


def test_a_good_dataset_is_ready(dataset: Path) -> None:
    found = verdict_in_child(dataset)
    assert found["ready"] and found["classes"] == {"blue": 8, "red": 8} and found["photos"] == 16
    assert found["few"] == ["blue", "red"] and not found["imbalance"] and not any(found["counts"].values())


def test_each_finding_names_its_photos(dataset: Path) -> None:
    same = (dataset / "red" / "0.jpg").read_bytes()
    (dataset / "blue" / "same.jpg").write_bytes(same)
    (dataset / "red" / "copy.jpg").write_bytes((dataset / "red" / "1.jpg").read_bytes())
    (dataset / "red" / "broken.jpg").write_bytes(same[:300])
    (dataset / "red" / "small.png").write_bytes(encoded(random_image(1, (20, 20)), "PNG"))
    for number in range(90):
        (dataset / "red" / f"more {number}.jpg").write_bytes(encoded(random_image(number + 5)))
    found = check_dataset(dataset)
    assert found.conflicts == (("blue/same.jpg", "red/0.jpg"),)
    assert found.duplicates == (("red/1.jpg", "red/copy.jpg"),)
    assert [name for name, _ in found.unreadable] == ["red/broken.jpg"] and "damaged JPEG" in found.unreadable[0][1]
    assert found.imbalance == ("red", "blue") and found.few == ("blue",)
    assert found.counts == {"unreadable": 1, "conflicts": 1, "duplicates": 1}
    assert "red/small.png (20 x 20)" in found.remarks[0]


def nothing(dataset: Path) -> None:
    for name in ("blue", "red"):
        changes.change(dataset, RemovePhotos(tuple(f"{name}/{number}.jpg" for number in range(8))))


def one_class(dataset: Path) -> None:
    changes.change(dataset, RemovePhotos(tuple(f"red/{number}.jpg" for number in range(8))))


def two_photos(dataset: Path) -> None:
    one_class(dataset)
    changes.change(dataset, RemovePhotos(tuple(f"blue/{number}.jpg" for number in range(1, 8))))
    changes.change(dataset, MovePhotos((f"{CURATION}/removed/red/0.jpg",), "red"))


def one_photo_and_its_copies(dataset: Path) -> None:
    two_photos(dataset)
    (dataset / "red" / "copy.jpg").write_bytes((dataset / "red" / "0.jpg").read_bytes())


def three_photos(dataset: Path) -> None:
    two_photos(dataset)
    changes.change(dataset, MovePhotos((f"{CURATION}/removed/red/1.jpg",), "red"))


@pytest.mark.parametrize(
    ("reduce", "missing"),
    [
        (nothing, "photos"),
        (one_class, "classes"),
        (two_photos, "validation"),
        (one_photo_and_its_copies, "validation"),
        (three_photos, ""),
    ],
)
def test_what_is_missing_is_what_a_training_refuses(
    dataset: Path, tmp_path: Path, reduce: Callable[[Path], None], missing: str
) -> None:
    reduce(dataset)
    assert check_dataset(dataset).missing == missing
    if missing:
        with pytest.raises(DatasetError):
            prepare_dataset(dataset, TrainConfig(dataset=str(dataset)), tmp_path)
    else:
        prepare_dataset(dataset, TrainConfig(dataset=str(dataset)), tmp_path)


def test_after_a_change_only_new_photos_are_decoded(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    inspect = verdict.inspect_images
    monkeypatch.setattr(
        verdict,
        "inspect_images",
        lambda samples, progress: decoded.extend(sample.name for sample in samples) or inspect(samples, progress),
    )
    check_dataset(dataset)
    assert len(decoded) == 16
    changes.change(dataset, MovePhotos(("red/0.jpg",), "blue"))
    (dataset / "red" / "new.jpg").write_bytes(encoded(random_image(3)))
    decoded.clear()
    assert check_dataset(dataset).classes == {"blue": 9, "red": 8}
    assert decoded == ["red/new.jpg"]


def test_a_dataset_of_another_layout_is_checked_too(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_photos(tmp_path / "split" / split)
    found = check_dataset(tmp_path / "split")
    assert found.classes == {"blue": 16, "red": 16} and found.counts["duplicates"] == 16
    with pytest.raises(DatasetError, match="expected the folder of a dataset"):
        verdict_in_child(tmp_path / "none")
    with pytest.raises(DatasetError, match="without a verdict"):
        read_verdict(tmp_path, b"")


def test_a_thumbnail_is_small_and_kept(dataset: Path, tmp_path: Path, empty_cache: Path) -> None:
    path = dataset / "red" / "0.jpg"
    first = thumbnails.thumbnail(path)
    assert first.startswith(b"\xff\xd8") and len(first) < 20_000
    [cached] = empty_cache.rglob("*.jpg")
    path.rename(dataset / "blue" / "moved.jpg")
    cached.chmod(0o400)
    assert thumbnails.thumbnail(dataset / "blue" / "moved.jpg") == first
    assert len(list(empty_cache.rglob("*.jpg"))) == 1
    with pytest.raises(ImageError):
        thumbnails.thumbnail(path)
    assert thumbnails.preview(dataset / "blue" / "moved.jpg").startswith(b"\xff\xd8")


def test_the_cache_of_thumbnails_is_bounded(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / "aa" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo(number))
    size = len(photo(0))
    thumbnails.limit_cache(tmp_path, 10 * size + 1000)
    assert len(list(tmp_path.glob("*/*"))) == 10
    thumbnails.limit_cache(tmp_path, 5 * size)
    assert len(list(tmp_path.glob("*/*"))) == 4


def test_editing_loads_neither_pandas_nor_a_network() -> None:
    code = (
        "import sys, model.curation.uploads, model.curation.verdict, model.curation.imports; "
        "print([name for name in ('pandas', 'scipy', 'onnxruntime', 'tensorflow', 'keras', 'sklearn') "
        "if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
