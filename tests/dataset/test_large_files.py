"""Files of hundreds of megabytes among the photos: refused by their beginning, and few of them in memory at a time."""

import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.dataset import memory_budget
from model.dataset.image_limits import MAX_CONTENT_BYTES, QUICK_BYTES
from model.dataset.images import read_bytes
from model.dataset.inspection import inspect_images
from model.dataset.memory_budget import MemoryBudget, reserve_content, with_limited_content
from model.errors import ImageError, ImageTooLargeError
from model.results import Sample
from tests.support.cost import cost_of
from tests.support.photos import encoded, random_image

_LARGE = 400 * 1024**2
_MAX_MEMORY = 160 * 1024**2


def png_header(side: int) -> bytes:
    """The beginning of a PNG that is square."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = struct.pack(">I", _LARGE) + b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + pixels


def bmp_header(side: int) -> bytes:
    """The beginning of a BMP that is square."""
    return b"BM" + struct.pack("<IHHI", _LARGE, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, *[0] * 6)


LARGE = {
    "of no format": (b"\x64\x82\xea\x9a", "received 419,430,400 bytes beginning with 64 82"),
    "text": (b"text " * QUICK_BYTES, "received text beginning with 'text"),
    "a video": (b"\0\0\0\x20ftypisom", "a video"),
    "a PNG of 60,000 pixels a side": (png_header(60_000), "at most 320 MB to decode, received PNG of 60,000 x 60,000"),
    "a PNG of 70,000 pixels a side": (png_header(70_000), "at most 65,000 pixels a side"),
    "a BMP of 12,000 pixels a side": (bmp_header(12_000), "at most 320 MB to decode, received BMP of 12,000 x 12,000"),
}


def sparse(path: Path, beginning: bytes, size: int = _LARGE) -> Path:
    """A file that begins with some bytes, and takes little room on the disk."""
    with open(path, "wb") as stream:
        stream.write(beginning)
        stream.truncate(size)
    return path


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_is_refused_by_its_beginning(name: str, tmp_path: Path) -> None:
    beginning, expected = LARGE[name]
    path = sparse(tmp_path / "large.png", beginning)
    samples = [Sample(path, f"{number}.png", 0) for number in range(3)]
    cost = cost_of(lambda: [one.reason for one in inspect_images(samples, lambda *_: None).rejected])
    assert cost.answer.count(expected) == 3, cost.answer
    assert cost.size < _MAX_MEMORY


def test_a_file_larger_than_any_image_is_not_opened(tmp_path: Path) -> None:
    path = sparse(tmp_path / "large.png", png_header(100), MAX_CONTENT_BYTES + 1)
    with pytest.raises(ImageTooLargeError, match=f"at most {MAX_CONTENT_BYTES:,} bytes, received"):
        read_bytes(path)


def test_files_of_every_size_are_read_whole(tmp_path: Path) -> None:
    photo = encoded(random_image(1), "PNG")
    for size in (0, len(photo), QUICK_BYTES - 1, QUICK_BYTES, QUICK_BYTES + 1, QUICK_BYTES + 1000):
        content = photo.ljust(size, b"\0")[:size]
        path = tmp_path / f"{size}.png"
        path.write_bytes(content)
        assert read_bytes(path) == content


def test_a_file_whose_size_is_unknown_is_read_up_to_the_limit() -> None:
    # The system states 0 bytes for these.
    assert b"VmRSS" in read_bytes(Path("/proc/self/status"))


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "photo.png", png_header(100), QUICK_BYTES + 10)

    def grow(_size: int) -> None:
        sparse(path, png_header(100), _LARGE)

    monkeypatch.setattr("model.dataset.images.reserve_content", grow)
    with pytest.raises(ImageError, match="still being written"):
        read_bytes(path)


def test_large_files_of_all_threads_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    size = QUICK_BYTES + 1
    monkeypatch.setattr(memory_budget, "_CONTENT", MemoryBudget(2 * size))
    lock, inside, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2, timeout=30)

    def work(_item: int) -> None:
        reserve_content(1)  # a small file does not count
        reserve_content(size)
        reserve_content(size)  # nor does a second one of the same thread, which could wait for ever
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        both.wait()  # two fit, and with a third one the next line would see it
        with lock:
            assert inside[0] <= 2
            inside[0] -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(with_limited_content(work), range(8)))
    assert most[0] == 2
