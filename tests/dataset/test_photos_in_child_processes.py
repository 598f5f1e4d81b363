"""Which photos are read in a child process, with a time limit: all whose header or pixels may take long."""

import io
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pillow_heif
import pytest

from model.dataset import images
from model.dataset.decoders import png as png_decoder
from model.dataset.decoders.dicom import open_dicom
from model.dataset.decoders.jpeg2000 import read_codestream
from model.dataset.image_limits import MAX_DECODING_BYTES
from model.dataset.images import decode_image, decode_in_this_process, measure_image, open_photo
from model.errors import ImageError, ImageTooLargeError
from model.results import InputSpec
from tests.support.photos import encoded, photo, random_image
from tests.support.slow_photos import chunk, deflated_dicom, jpeg2000_of_tiles
from tests.support.tiff_files import Tiff

SPEC = InputSpec.square(64)
PHOTO = random_image(1)


def _heif() -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(PHOTO).save(stream)
    return stream.getvalue()


def _png_of_16_bits(pixels: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _tiff(**tags: tuple[int, tuple[int, ...] | bytes]) -> bytes:
    return Tiff(tags={int(name[1:]): value for name, value in tags.items()}).encode(np.zeros((4, 4), np.uint8))


HEADERS: dict[str, Callable[[], bytes]] = {
    "JPEG 2000": lambda: encoded(PHOTO, "JPEG2000"),
    "JPEG XL": lambda: bytes(imagecodecs.jpegxl_encode(np.asarray(PHOTO))),
    "AVIF": lambda: encoded(PHOTO, "AVIF"),
    "HEIF": _heif,
    "TIFF with a long tag": lambda: _tiff(t65000=(2, b"a" * 1_100_000)),
    "TIFF with many tags": lambda: _tiff(**{f"t{tag}": (3, (0,)) for tag in range(64000, 64300)}),
    "TIFF of JPEG": lambda: encoded(PHOTO, "TIFF", compression="jpeg"),
}
"""Photos whose header libraries of others read, or whose header is long."""

PIXELS: dict[str, Callable[[], bytes]] = {
    "PNG of 16 bits with data after its pixels": lambda: _png_of_16_bits(zlib.compress(bytes(300_000_000))),
    "PNG of many parts": lambda: (lambda plain: plain[:33] + chunk(b"IDAT", b"") * 90_000 + plain[33:])(
        encoded(PHOTO, "PNG")
    ),
    "BMP of run lengths": lambda: (
        struct.pack("<2sIHHI", b"BM", 0, 0, 0, 1078)
        + struct.pack("<IiiHHIIiiII", 40, 10, 10, 1, 8, 1, 0, 0, 0, 256, 0)
        + bytes(1024 + 40)
    ),
    "PPM with comments between its numbers": lambda: b"P2 10 10 255\n" + b"#\n" * 1000 + b"1 " * 100,
    "PPM of 100 levels": lambda: b"P6 10 10 100\n" + bytes(300),
}
"""Photos whose header is read in this process, and whose pixels may take long."""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the contents whose header is read in this process."""
    found: list[int] = []
    real = images._open

    def spy(content: bytes) -> object:
        found.append(len(content))
        return real(content)

    monkeypatch.setattr(images, "_open", spy)
    return found


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_may_take_long_are_read_in_a_child(kind: str, opened: list[int]) -> None:
    content = HEADERS[kind]()
    assert not open_photo(content, SPEC).cost.is_quick
    pixels, size = decode_image(content, SPEC), measure_image(content)
    assert not opened
    expected = decode_in_this_process(content, SPEC, MAX_DECODING_BYTES)
    assert np.array_equal(pixels, expected.pixels)
    header = images.open_in_this_process(content, SPEC, MAX_DECODING_BYTES)
    assert size == (header.height, header.width) and open_photo(content, SPEC).cost.memory == header.memory


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_that_may_take_long_are_decoded_in_a_child(kind: str) -> None:
    assert not open_photo(PIXELS[kind](), SPEC).cost.is_quick


def test_errors_of_a_header_come_from_the_child(opened: list[int]) -> None:
    content = HEADERS["JPEG 2000"]()
    with pytest.raises(ImageTooLargeError, match=r"at most 0 MB to decode, received JPEG 2000 of 80 x 60 pixels"):
        open_photo(content, SPEC, max_memory=1000)
    for work in (measure_image, open_photo):
        with pytest.raises(ImageError, match="received a damaged JPEG 2000"):
            work(content[:40])
    assert not opened


def test_a_plain_tiff_is_read_without_a_process(opened: list[int]) -> None:
    assert open_photo(photo(form="TIFF", size=(640, 480)), SPEC).cost.is_quick and opened


def test_tiles_of_a_jpeg_2000_count_as_memory() -> None:
    content = jpeg2000_of_tiles(255, 256, 1)
    assert read_codestream(content).tiles == 255 * 256
    with pytest.raises(ImageTooLargeError, match=r"JPEG 2000 of 255 x 256 pixels, which takes 1,[0-9]* MB"):
        open_photo(content, SPEC)
    assert read_codestream(encoded(PHOTO, "JPEG2000", tile_size=(32, 32))).tiles == 6


def test_a_deflated_dicom_that_becomes_large_is_refused() -> None:
    with pytest.raises(ImageTooLargeError, match="deflated DICOM file of at most 100,000,000 bytes"):
        open_dicom(deflated_dicom(101))
    with pytest.raises(ImageError, match="DICOM file without pixels"):
        open_dicom(deflated_dicom(1))


def test_a_repeated_chunk_of_a_png_is_left_out() -> None:
    plain = encoded(PHOTO, "PNG")
    content = plain[:33] + chunk(b"gAMA", bytes(4)) * 50_000 + plain[33:]
    assert png_decoder._read(content).chunks < 10
    assert np.array_equal(decode_image(content, SPEC), decode_image(plain, SPEC))
