"""Near duplicates are found, and images that are only similar are not."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from model.dataset.duplicates import HASH_INPUT, equal_keys, hash_image, join, near_duplicates
from model.dataset.images import decode_image, read_image
from model.results import InputSpec
from model.synthesis.composition import write_demo_dataset
from tests.support.photos import encoded, random_image
from tests.support.slowness import slowness


def groups_of(contents: list[bytes]) -> list[int]:
    hashed = [hash_image(decode_image(content, InputSpec.square(HASH_INPUT))) for content in contents]
    hashes, thumbnails = zip(*hashed, strict=True)
    return near_duplicates(np.array(hashes), np.array(thumbnails)).tolist()


def test_recompressed_scaled_and_brightened_copies_are_near_duplicates() -> None:
    image = random_image(1, (300, 400))
    contents = [
        encoded(image),
        encoded(random_image(2, (300, 400))),
        encoded(image, quality=30),
        encoded(image.resize((133, 100)), "PNG"),
        encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    ]
    assert groups_of(contents) == [0, 1, 0, 0, 0]


def test_colour_and_brightness_distinguish_images() -> None:
    shape = Image.new("L", (64, 64), 0)
    shape.paste(255, (16, 16, 48, 48))
    signs = [
        Image.composite(Image.new("RGB", (64, 64), color), Image.new("RGB", (64, 64), "gray"), shape)
        for color in ("red", "blue")
    ]
    flat = [Image.new("RGB", (64, 64), color) for color in ("black", "white")]
    assert groups_of([encoded(image, "PNG") for image in (*signs, *flat)]) == [0, 1, 2, 3]


def test_different_plankton_on_plain_background_are_no_duplicates(shared_datasets: Path) -> None:
    files = sorted((shared_datasets / "phytoplankton-mini" / "images").rglob("*.jpg"))
    assert groups_of([path.read_bytes() for path in files]) == list(range(len(files)))


def test_recompressed_plankton_is_a_duplicate(shared_datasets: Path) -> None:
    files = sorted((shared_datasets / "phytoplankton-mini" / "images").rglob("*.jpg"))
    again = [encoded(Image.fromarray(read_image(path)), quality=50) for path in files]
    groups = groups_of([*(path.read_bytes() for path in files), *again])
    found = sum(groups[len(files) + number] == number for number in range(len(files)))
    assert found >= 0.98 * len(files)


def test_demo_images_are_no_duplicates(tmp_path: Path) -> None:
    write_demo_dataset(tmp_path, images_per_class=8)
    files = sorted(tmp_path.rglob("*.jpg"))
    assert len(files) == 64
    assert groups_of([path.read_bytes() for path in files]) == list(range(64))


@pytest.mark.parametrize("alike", [False, True])
def test_many_images_are_compared_quickly(alike: bool) -> None:
    count = 6000
    generator = np.random.default_rng(0)
    hashes = np.packbits(generator.random((count, 144)) < (0.01 if alike else 0.5), axis=1)
    hashes[-10:] = hashes[:10]
    thumbnails = np.zeros((count, 192), np.uint8)
    start = time.process_time()
    groups = near_duplicates(hashes, thumbnails)
    assert time.process_time() - start < 10 * slowness()
    assert len(np.unique(groups)) == (1 if alike else count - 10)


def test_duplicate_groups_are_transitive() -> None:
    groups = equal_keys(["a", "b", "a", "c", "d"])
    assert groups.tolist() == [0, 1, 0, 3, 4]
    assert join(groups, np.array([[2, 3], [4, 4]])).tolist() == [0, 1, 0, 0, 4]
    assert join(groups, np.empty((0, 2), np.int64)) is groups


def test_no_images_have_no_duplicates() -> None:
    assert near_duplicates(np.empty((0, 18), np.uint8), np.empty((0, 192), np.uint8)).tolist() == []
