"""JPEG XL, decoded by libjxl.

Method: the signature and size header of ISO/IEC 18181-1, section 6, read bit by bit.
"""

from model.dataset.decoders.boxes import read_boxes
from model.dataset.decoders.source import ImageSource, Pixels, Size, array_bytes, not_supported, split_alpha
from model.dataset.image_limits import check_size
from model.errors import ImageError

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_BITS_OF_SIDES = (9, 13, 18, 30)
_HEADER_BYTES = 16
# The type of the values is not known before decoding: 16 bits, or floats of which libjxl keeps several planes.
_BYTES_PER_PIXEL = 24
_WORK_PER_PIXEL = 10


def open_jpegxl(content: bytes) -> ImageSource:
    """Read the header of a JPEG XL; of an animation, the first frame is the image.

    Raises:
        ImageNotSupportedError: channels that are neither gray nor RGB, nor their transparency.
        ImageError: the header is damaged.
    """
    width, height = _read_size(content)
    check_size(width, height)
    pixels = width * height

    def decode(_target: Size | None) -> Pixels:
        import imagecodecs

        values = imagecodecs.jpegxl_decode(content, index=0, numthreads=1)
        if values.ndim == 3 and values.shape[2] not in (1, 2, 3, 4):
            raise not_supported(f"JPEG XL of {values.shape[2]} channels", "save it as PNG or TIFF")
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        return split_alpha(values) if values.ndim == 3 and values.shape[2] != 3 else Pixels(values)

    def memory(target: Size | None) -> int:
        return pixels * (_BYTES_PER_PIXEL + array_bytes(4, 2, alpha=True, full=target is None))

    return ImageSource("JPEG XL", width, height, memory, decode, float(pixels * _WORK_PER_PIXEL))


def _read_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels, upright: libjxl applies the orientation of the file."""
    bits = _Bits(_codestream(content))
    if bits.read(16) != 0x0AFF:
        raise ImageError("the header has no size")
    is_small = bits.read(1)
    height = _side(bits, is_small)
    ratio = bits.read(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else _side(bits, is_small)
    has_defaults = bits.read(1)
    orientation = 1 + bits.read(3) if not has_defaults and bits.read(1) else 1
    return (height, width) if orientation > 4 else (width, height)


def _side(bits: "_Bits", is_small: int) -> int:
    if is_small:
        return 8 * (1 + bits.read(5))
    return 1 + bits.read(_BITS_OF_SIDES[bits.read(2)])


def _codestream(content: bytes) -> bytes:
    """The first bytes of the codestream, which may be inside a box."""
    if content.startswith(_CODESTREAM):
        return content[:_HEADER_BYTES]
    for box in read_boxes(content):
        if box.kind in (b"jxlc", b"jxlp"):
            start = box.start + (4 if box.kind == b"jxlp" else 0)
            return content[start : start + _HEADER_BYTES]
    raise ImageError("there is no codestream after the header")


class _Bits:
    """Numbers of a few bits each, the lowest bit first."""

    def __init__(self, content: bytes) -> None:
        self._left = int.from_bytes(content, "little")

    def read(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value
