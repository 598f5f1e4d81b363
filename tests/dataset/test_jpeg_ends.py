"""JPEGs with another end than usual: whole pixels are read, missing ones are refused."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from model.dataset.decoders.jpeg_header import has_all_scans, read_jpeg_header
from model.dataset.images import decode_image
from model.errors import ImageError
from model.results import InputSpec
from tests.support.photos import encoded, random_image

PHOTO = random_image(1).filter(ImageFilter.GaussianBlur(4))
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "progressive with restart markers": {"progressive": True, "restart_marker_blocks": 1},
    "full chroma": {"subsampling": 0},
    "own Huffman tables": {"optimize": True},
    "progressive of low quality": {"progressive": True, "quality": 20},
}
MODES = ("RGB", "L", "CMYK")


def jpeg(kind: str, mode: str) -> bytes:
    stream = io.BytesIO()
    # Pillow's conversion has no black, which no scan would add to.
    image = Image.merge("CMYK", (*PHOTO.split(), PHOTO.convert("L"))) if mode == "CMYK" else PHOTO.convert(mode)
    image.save(stream, "JPEG", **KINDS[kind])
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_jpeg_of_whole_pixels_is_read_whatever_its_end(kind: str, mode: str) -> None:
    content = jpeg(kind, mode)
    pixels = decode_image(content)
    for other in (
        content[:-1],
        content[:-2],
        content[:-2] + b"\xff\xff",
        content[:-2] + bytes(500),
        content + b"garbage \xff\xd9 \xff\xda" * 30,
        content + content,
        content + content[: len(content) // 2],
    ):
        assert np.array_equal(decode_image(other), pixels)
    small = InputSpec.square(16)
    assert np.array_equal(decode_image(content[:-2], small), decode_image(content, small))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_jpeg_that_lost_pixels_is_damaged(kind: str, mode: str) -> None:
    content = jpeg(kind, mode)
    start = content.index(b"\xff\xda")
    for keep in (
        *range(start + 40, len(content) - 200, max(23, len(content) // 40)),
        *range(len(content) - 60, len(content) - 12, 6),
    ):
        # At a small scale most coefficients are not decoded.
        for spec in (None, InputSpec.square(8)):
            with pytest.raises(ImageError, match="damaged JPEG"):
                decode_image(content[:keep], spec)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "restart" in kind])
@pytest.mark.parametrize("mode", MODES)
def test_a_jpeg_cut_at_one_of_its_last_restart_markers_is_damaged(kind: str, mode: str) -> None:
    content = jpeg(kind, mode)
    pixels = decode_image(content)
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)][-9:]
    assert len(markers) > 5
    for keep in (marker + length for marker in markers for length in (0, 1, 2)):
        try:
            assert np.array_equal(decode_image(content[:keep]), pixels)
        except ImageError as error:
            assert "damaged JPEG" in str(error)


@pytest.mark.parametrize("mode", MODES)
def test_a_progressive_jpeg_without_its_last_scan_is_damaged(mode: str) -> None:
    content = jpeg("progressive", mode)
    without = content[: content.rindex(b"\xff\xda")]
    header = read_jpeg_header(content)
    assert has_all_scans(content, header)
    assert not has_all_scans(without, header)
    with pytest.raises(ImageError, match="damaged JPEG"):
        decode_image(without)


def test_a_whole_image_after_one_that_lost_its_end_does_not_stand_for_it() -> None:
    content = jpeg("baseline", "RGB")
    with pytest.raises(ImageError, match="damaged JPEG"):
        decode_image(content[: len(content) // 2] + encoded(Image.new("RGB", (8, 8))))
