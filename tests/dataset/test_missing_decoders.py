"""Photos that need a library which is not installed: the message names it, and calls no photo damaged."""

import io
import sys
from collections.abc import Callable

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import AvifImagePlugin, Image

from model.dataset.images import MAX_DECODING_BYTES, decode_in_this_process
from model.errors import ImageError

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def _saved(image_format: str, **options: object) -> bytes:
    written = io.BytesIO()
    Image.fromarray(PIXELS).save(written, image_format, **options)
    return written.getvalue()


def _heic() -> bytes:
    written = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("write", "module"),
    [
        (lambda: _saved("TIFF"), "tifffile"),
        (lambda: _saved("TIFF", compression="tiff_lzw"), "imagecodecs"),
        (lambda: _saved("WebP"), "imagecodecs"),
        (lambda: imagecodecs.png_encode(PIXELS.astype(np.uint16)), "imagecodecs"),
        (lambda: imagecodecs.jpegxl_encode(PIXELS), "imagecodecs"),
        (lambda: imagecodecs.jpeg2k_encode(PIXELS.astype(np.uint16), level=0), "imagecodecs"),
        (_heic, "pillow_heif"),
    ],
    ids=["TIFF", "TIFF in LZW", "WebP", "PNG of 16 bits", "JPEG XL", "JPEG 2000 of 16 bits", "HEIC"],
)
def test_a_missing_library_is_named(write: Callable[[], bytes], module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write()
    assert decode_in_this_process(content, None, MAX_DECODING_BYTES).pixels.shape == PIXELS.shape
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageError, match=f"needs a library that cannot be loaded: .*{module}") as raised:
        decode_in_this_process(content, None, MAX_DECODING_BYTES)
    assert "damaged" not in raised.value.message


def test_a_pillow_without_avif_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _saved("AVIF")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(ImageError, match=r"AVIF, which needs a library that cannot be loaded: .* not installed"):
        decode_in_this_process(content, None, MAX_DECODING_BYTES)


def test_a_pillow_without_jpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _saved("JPEG")
    monkeypatch.delattr(Image.core, "jpeg_decoder")
    with pytest.raises(ImageError, match="JPEG, which needs a library that cannot be loaded: decoder jpeg not avail"):
        decode_in_this_process(content, None, MAX_DECODING_BYTES)
