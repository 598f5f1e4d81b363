"""Names of a table that stand for images: what each may be, in time that grows with their number only."""

import re
import time
from collections.abc import Callable

import pytest

from model.dataset.image_index import ImageIndex, Search
from tests.support.slowness import slowness

_ROWS = 20_000
# Of the processor, per row; about 2 µs for a missing name, and 60 µs for an ambiguous one, on an idle machine.
_MAX_SECONDS_PER_ROW = 0.0005

INDEX = ImageIndex(("images/1.jpg", "a/2.JPG", "a/3.png", "b/3.png", "b/Old/4.jpg", "c/4.jpg", "5.jpg/6.jpg"))
FOUND = {
    "1": ("images/1.jpg",),
    "1.JPG": ("images/1.jpg",),
    "1.png": (),
    r"C:\photos\2.jpg": ("a/2.JPG",),
    "3.png": ("a/3.png", "b/3.png"),
    "/home/B/3.png": ("b/3.png",),
    "elsewhere/3": ("a/3.png", "b/3.png"),
    "/x/old/4.jpg": ("b/Old/4.jpg",),
    "../4.jpg": ("b/Old/4.jpg", "c/4.jpg"),
    "5.jpg": (),
    "": (),
    "a/": (),
    "..": (),
}


@pytest.mark.parametrize("written", FOUND)
def test_a_name_stands_for_the_images_that_it_may_be(written: str) -> None:
    assert INDEX.find(written, Search()) == FOUND[written]


NAMES: dict[str, Callable[[int], str]] = {
    "missing": lambda row: f"no-{row}.jpg",
    "missing, in folders": lambda row: f"/home/photos/a/b/c/d/no-{row}.jpg",
    "of a thousand images of that name": lambda row: f"/home/x{row}/{row % 20}.JPG",
    "of a thousand, one in such a folder": lambda row: f"/home/C{row % 1000}/{row % 20}.JPG",
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_time_of_a_name_does_not_grow_with_the_images(kind: str) -> None:
    index = ImageIndex(f"c{folder}/{number}.jpg" for folder in range(1000) for number in range(20))
    index.find("a", Search())
    start = time.process_time()
    for row in range(_ROWS):
        found = index.find(NAMES[kind](row), Search())
    seconds = time.process_time() - start
    assert len(found) == (0 if re.match("missing", kind) else 1 if "one" in kind else 1000)
    assert seconds < _ROWS * _MAX_SECONDS_PER_ROW * slowness()
