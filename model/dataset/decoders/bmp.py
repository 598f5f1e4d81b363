"""BMP, decoded by Pillow."""

import math

from PIL import BmpImagePlugin

from model.dataset.decoders.source import ImageSource, not_supported, pillow_source, stream

_COMPRESSIONS = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_RUN_LENGTH = (1, 2)


def open_bmp(content: bytes) -> ImageSource:
    """Read the header of a BMP.

    Raises:
        ImageNotSupportedError: pixels in another format inside.
        ImageError: the header is damaged.
    """
    compression = int.from_bytes(content[30:34], "little") if int.from_bytes(content[14:18], "little") >= 40 else 0
    if compression in _COMPRESSIONS:
        raise not_supported(f"BMP with {_COMPRESSIONS[compression]} pixels", "save it as PNG")
    opened = BmpImagePlugin.BmpImageFile(stream(content))
    # Run lengths are decoded in Python, slowly, and those of no pixels as well.
    is_run_length = compression in _RUN_LENGTH
    return pillow_source("BMP", opened, 3 if is_run_length else 0, math.inf if is_run_length else 1)
