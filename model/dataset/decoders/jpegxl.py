"""JPEG XL, decoded by libjxl.

Method: the signature and size header of ISO/IEC 18181-1, section 6, read bit by bit.
"""

from model.dataset.decoders.boxes import read_boxes
from model.dataset.decoders.source import FULL_SIZE_BYTES, ImageSource, Pixels, Size, array_pixels, not_supported
from model.dataset.image_limits import check_size
from model.errors import ImageError

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_BITS_OF_SIDES = (9, 13, 18, 30)
_HEADER_BYTES = 16
# libjxl decodes groups of pixels as floats: to 8 bits, and to 16 bits or floats.
_BYTES_OF_8_BITS, _BYTES_OF_OTHERS = 6, 18
_WORK_PER_PIXEL = 10


def open_jpegxl(content: bytes) -> ImageSource:
    """Read the header of a JPEG XL; of an animation, the first frame is the image.

    Raises:
        ImageNotSupportedError: channels that are neither gray nor RGB, nor their transparency.
        ImageError: the header is damaged.
    """
    width, height, has_8_bits = _read_header(content)
    check_size(width, height)
    pixels = width * height

    def decode(_target: Size | None) -> Pixels:
        import imagecodecs

        values = imagecodecs.jpegxl_decode(content, index=0, numthreads=1)
        if values.ndim == 3 and values.shape[2] not in (1, 2, 3, 4):
            raise not_supported(f"JPEG XL of {values.shape[2]} channels", "save it as PNG or TIFF")
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        return array_pixels(values)

    def memory(target: Size | None) -> int:
        decoding = _BYTES_OF_8_BITS if has_8_bits else _BYTES_OF_OTHERS
        return pixels * (decoding + 3 + (FULL_SIZE_BYTES if target is None else 0))

    return ImageSource("JPEG XL", width, height, memory, decode, float(pixels * _WORK_PER_PIXEL))


def _read_header(content: bytes) -> tuple[int, int, bool]:
    """Width and height in pixels, and whether all channels certainly have 8 bits.

    The size is upright: libjxl applies the orientation of the file.
    """
    bits = _Bits(_codestream(content))
    if bits.read(16) != 0x0AFF:
        raise ImageError("the header has no size")
    is_small = bits.read(1)
    height = _side(bits, is_small)
    ratio = bits.read(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else _side(bits, is_small)
    orientation, has_8_bits = 1, bool(bits.read(1))
    if not has_8_bits:
        # Fields of previews and animations may follow an orientation.
        if bits.read(1):
            orientation = 1 + bits.read(3)
        else:
            has_8_bits = bits.read(3) == 0
    return (height, width, has_8_bits) if orientation > 4 else (width, height, has_8_bits)


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
