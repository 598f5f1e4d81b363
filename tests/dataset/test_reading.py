"""A temporarily unavailable disk or mount is waited for; photos are not rejected for it."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from model.dataset import reading as storage
from model.dataset.inspection import inspect_images
from model.dataset.reading import read_photo, read_sample, wait_for_dataset
from model.errors import ImageError, StorageError
from model.results import Sample, no_progress


class Clock:
    """The time, which passes at once; at each pause something may happen."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.happens: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.waited += seconds
            self.happens()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(storage, "time", clock)
    return clock


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    names = ["cat/1.png", "cat/2.png", "dog/1.png"]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (80 * number, 9, 9)).save(tmp_path / "photos" / name)
    return [Sample(tmp_path / "photos" / name, name, 0) for name in names]


def test_a_mount_that_comes_back_is_waited_for(samples: list[Sample], tmp_path: Path, clock: Clock):
    root, moved = tmp_path / "photos", tmp_path / "elsewhere"
    expected = read_sample(samples[0])
    root.rename(moved)
    # What a mount leaves when it goes.
    root.mkdir()
    clock.happens = lambda: moved.rename(root) if moved.exists() and clock.waited >= 3 else None
    assert np.array_equal(read_sample(samples[0]), expected)
    assert 3 <= clock.waited < 10


@pytest.mark.parametrize("leaves_a_folder", [True, False])
def test_photos_are_not_rejected_if_the_mount_stays_unavailable(
    samples: list[Sample], tmp_path: Path, clock: Clock, leaves_a_folder: bool
):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    if leaves_a_folder:
        (tmp_path / "photos").mkdir()
    with pytest.raises(StorageError, match=r"photos: expected the dataset to be readable.*disk or mount"):
        inspect_images(samples, no_progress)
    assert clock.waited >= 10


def test_a_single_missing_photo_is_rejected_at_once(samples: list[Sample], clock: Clock):
    samples[1].path.unlink()
    inspection = inspect_images(samples, no_progress)
    assert [(photo.name, "No such file" in photo.reason) for photo in inspection.rejected] == [("cat/2.png", True)]
    assert len(inspection.samples) == 2 and clock.waited == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_an_io_error_of_the_mount_is_retried_then_raised(
    samples: list[Sample], clock: Clock, monkeypatch: pytest.MonkeyPatch, number: int
):
    failures = [2]

    def unsteady(path: Path, mode: str) -> IO[bytes]:
        failures[0] -= 1
        if failures[0] >= 0:
            raise OSError(number, "of the mount")
        return open(path, mode)

    monkeypatch.setattr("model.dataset.images.open", unsteady, raising=False)
    assert read_photo(samples[0]) == samples[0].path.read_bytes()
    assert clock.waited == 3
    failures[0] = 100
    with pytest.raises(StorageError, match="of the mount"):
        read_photo(samples[0])


def test_a_damaged_photo_is_not_retried(samples: list[Sample], clock: Clock):
    samples[0].path.write_bytes(samples[0].path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"cat/1\.png: .*damaged"):
        read_sample(samples[0])
    assert clock.waited == 0


def test_an_unavailable_archive_is_waited_for(tmp_path: Path, clock: Clock):
    archive = tmp_path / "photos.zip"
    clock.happens = lambda: archive.write_bytes(b"PK")
    wait_for_dataset(archive)
    assert clock.waited == 1
