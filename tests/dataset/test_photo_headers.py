"""Headers of photos are read within bounds, by few steps, whatever the file says."""

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from model.dataset.decoders import jpeg
from model.dataset.decoders.exif import orientation_of_exif, orientation_of_xmp
from model.dataset.decoders.jpeg_header import has_all_scans, read_jpeg_header
from model.dataset.images import measure_image, open_photo
from model.errors import ImageTooLargeError
from model.results import InputSpec
from tests.support.cost import cost_of
from tests.support.photos import encoded
from tests.support.slow_photos import (
    exif_of_overlapping_values,
    jpeg_metadata,
    many_segments_between_scans,
    restart_markers_without_end,
)

SPEC = InputSpec.square(64)
MEGABYTE = 1_000_000


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_segments_between_scans_are_counted(end: bytes) -> None:
    content = many_segments_between_scans(5001, end)
    for work in (measure_image, open_photo):
        with pytest.raises(ImageTooLargeError, match="at most 5,000 segments between scans"):
            work(content)
    few = many_segments_between_scans(4000, end)
    assert measure_image(few) == (10, 10) and has_all_scans(few, read_jpeg_header(few))


@pytest.mark.parametrize(
    "start", [b"Exif\0\0MM\0*\0\0\0\x08", b"Photoshop 3.0\x008BIM", b"ICC_PROFILE\0\1\1", b"MPF\0"]
)
def test_a_library_never_sees_metadata_of_a_jpeg(start: bytes) -> None:
    content = jpeg_metadata(3, start)
    opened = jpeg._open(content, read_jpeg_header(content))
    assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "adobe"}
    assert measure_image(content) == (10, 10)


@pytest.mark.parametrize("kind", [3, 4, 8, 9])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_read_from_any_integer(kind: int, order: str) -> None:
    form = {3: "H", 4: "I", 8: "h", 9: "i"}[kind]
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1)
    block = start + struct.pack(order + form, 6).ljust(4, b"\0") + bytes(4)
    exif = Image.Exif()
    exif.load(block)
    assert orientation_of_exif(block) == orientation_of_exif(b"Exif\0\0" + block) == exif[0x0112] == 6
    for length in range(len(block) - 5):
        assert orientation_of_exif(block[:length]) is None


def test_values_of_exif_that_overlap_are_not_read() -> None:
    block = exif_of_overlapping_values()
    cost = cost_of(lambda: orientation_of_exif(block))
    assert cost.answer == "None" and cost.size < 20 * MEGABYTE


def test_an_orientation_of_xmp_counts_where_exif_has_none() -> None:
    plain = encoded(Image.new("RGB", (20, 10)))
    packet = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + plain[2:]
    assert measure_image(turned) == (20, 10) and measure_image(plain) == (10, 20)
    assert orientation_of_xmp(b"tiff:Orientation>8<") == 8 and orientation_of_xmp(packet[:-5]) is None


@pytest.mark.parametrize("make", [restart_markers_without_end])
def test_markers_are_not_collected(make: Callable[[], bytes]) -> None:
    content = make()
    cost = cost_of(lambda: open_photo(content, SPEC).cost.is_quick)
    assert cost.size < 100 * MEGABYTE, cost
