"""Bytes to pixels: the one decoder of training, evaluation, prediction and the command line.

Everywhere here pixels are uint8 RGB in [0, 255] of shape (height, width, 3), and a size is (height, width).
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.dataset import dicom
from model.errors import ImageError, ImageTooLargeError
from model.results import InputSpec

# Pillow knows more, but some of those start programs (EPS) and some recognise almost anything (TGA).
_NAMES = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "TIFF": "TIFF",
    "WEBP": "WebP",
    "GIF": "GIF",
    "BMP": "BMP",
    "AVIF": "AVIF",
    "JPEG2000": "JPEG 2000",
    "PPM": "PPM",
}
FORMATS = tuple(_NAMES)

# As people are told of them.
FORMAT_NAMES = ", ".join(_NAMES.values())

# Lower-case endings of files that mean to be a picture, whether or not it can be decoded.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".avif"}
    | {".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".dcm", ".heic", ".heif"}
)

# Above as many, Pillow begins to warn of decompression bombs: a quarter of a gigabyte as RGB.
MAX_PIXELS = 89_478_485
MAX_BYTES = 512 * 1024 * 1024

# Most backbones scale this gray to zero.
PADDING = (127, 127, 127)

DecodedImage = Image.Image | np.ndarray
"""A PIL image, or an array uint8 RGB of shape (height, width, 3)."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)

_SIGNATURES = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive (or an office document)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%!PS", "a PostScript file"),
    (4, b"ftyphei", "a HEIC photo: save it as JPEG"),
    (4, b"ftypmif1", "a HEIF photo: save it as JPEG"),
    (4, b"ftyp", "a video"),
)


def decode_image(content: bytes, spec: InputSpec | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image, upright as its EXIF orientation says, and resize it to the input of a network.

    A JPEG much larger than the input is decoded at 1/2, 1/4 or 1/8 of its scale (DCT scaling), never below
    the input's size. Transparent parts become white. Of several frames the first is taken. 16-bit channels are scaled
    by their full range; for 32-bit integers and floats see `_to_8_bits`.

    Args:
        content: the bytes of the file.
        spec: the size to resize to, and how; None keeps the size of the image.
        max_pixels: a picture with more is refused by its header, before anything is decoded.

    Returns:
        uint8 RGB of shape (height, width, 3), writable.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels.
        ImageError: not a picture, or a damaged one; the message tells what came.
    """
    try:
        picture = _open(content, max_pixels)
        if spec is not None:
            _decode_small(picture, spec)
        picture.load()
        picture = _upright(_to_rgb(picture))
        return np.array(picture if spec is None else _fit(picture, spec))
    except (ImageError, MemoryError):
        raise
    # A damaged file makes decoders raise anything: OSError, SyntaxError, struct.error, IndexError, zlib.error ...
    except Exception as error:
        raise ImageError(_explain(content, error)) from error


def fit_image(image: DecodedImage, spec: InputSpec) -> np.ndarray:
    """Bring an image in memory to the input of a network; the counterpart of `decode_image`.

    Args:
        image: a PIL image, turned upright as its EXIF says; or an array uint8 RGB of shape (height, width, 3).
        spec: the input of the network.

    Returns:
        uint8 RGB of the shape of `spec`, writable.

    Raises:
        ImageError: the array has another type or shape, or the file behind the PIL image is damaged.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            received = f"{image.dtype} of shape {image.shape}"
            raise ImageError(f"expected an array uint8 RGB of shape (height, width, 3), received {received}")
        image = Image.fromarray(image)
    try:
        return np.array(_fit(_upright(_to_rgb(image)), spec))
    except MemoryError:
        raise
    # As in `decode_image`.
    except Exception as error:
        raise ImageError(f"expected a PIL image that can be decoded, received: {error}") from error


def read_image(path: Path, spec: InputSpec | None = None) -> np.ndarray:
    """Decode the picture in a file as `decode_image` does; the messages of its errors begin with `path`.

    Raises:
        ImageTooLargeError: more than `MAX_PIXELS` pixels or `MAX_BYTES` bytes.
        ImageError: no such file, not a picture, or a damaged one.
    """
    try:
        return decode_image(read_content(path), spec)
    except ImageError as error:
        raise type(error)(f"{path}: {error.message}") from error


def read_content(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        ImageTooLargeError: it has more than `MAX_BYTES` bytes.
        ImageError: it cannot be read.
    """
    try:
        return read_bytes(path)
    except OSError as error:
        raise ImageError(f"expected a file that can be read, received: {error.strerror or error}") from error


def read_bytes(path: Path) -> bytes:
    """As `read_content`, for who tells a missing file from a missing disk.

    Raises:
        ImageTooLargeError: it has more than `MAX_BYTES` bytes.
        OSError: it cannot be read.
    """
    if (length := path.stat().st_size) > MAX_BYTES:
        raise ImageTooLargeError(f"expected a picture of at most {MAX_BYTES:,} bytes, received {length:,}")
    return path.read_bytes()


def measure_image(content: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """The (height, width) of a picture when upright, in pixels, from its header alone.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels.
        ImageError: the header is not that of a picture.
    """
    try:
        picture = _open(content, max_pixels)
        width, height = picture.size
        return (width, height) if _is_lying(picture) else (height, width)
    except (ImageError, MemoryError):
        raise
    # As in `decode_image`.
    except Exception as error:
        raise ImageError(_explain(content, error)) from error


def looks_like_image(beginning: bytes) -> bool:
    """Whether the first bytes of a file, 12 or more, are those of a common picture format, whatever its name."""
    return (
        beginning.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*"))
        or (beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP")
        or beginning[4:12] == b"ftypavif"
    )


def _open(content: bytes, max_pixels: int) -> Image.Image:
    if dicom.is_dicom(content):
        return dicom.open_dicom(content, max_pixels)
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"expected a picture of at most {max_pixels:,} pixels, received: {error}") from error
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"expected a picture of at most {max_pixels:,} pixels, received {width} x {height} = {width * height:,}"
        )
    return picture


def _decode_small(picture: Image.Image, spec: InputSpec) -> None:
    wanted = spec.size if _is_lying(picture) else spec.size[::-1]
    if spec.resize != "squash":
        wanted = _scaled(picture.size, wanted, covering=spec.resize == "crop")
    picture.draft(None, wanted)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        deep = np.asarray(picture)
        # Pillow reads 16-bit netpbm files as 32-bit integers of the range of 16.
        if picture.mode == "I" and picture.format == "PPM":
            deep = deep.astype(np.uint16)
        return Image.fromarray(_to_8_bits(deep)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return picture.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Gray values of more than 8 bits as uint8; Pillow would clip them.

    16-bit values are scaled by their full range, as Pillow does with 16-bit RGB: the high byte counts.
    32-bit integers and floats have no range of their own: it is [0, 1] for floats, [0, 255] or [0, 65535]
    where all values are inside, else from the lowest value to the highest. NaN and infinities become 0.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    finite = np.nan_to_num(values.astype(np.float32), nan=0, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    top = next((top for top in ranges if low >= 0 and high <= top), None)
    if top is None:
        finite -= low
        top = high - low or 1.0
    return np.rint(finite * np.float32(255 / top)).astype(np.uint8)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    # A broken EXIF block says nothing about the pixels; its readers raise anything.
    except Exception:
        return 1


def _is_lying(picture: Image.Image) -> bool:
    """Whether the width of an undecoded picture is its height when upright; Pillow turns TIFF by itself."""
    return picture.format != "TIFF" and _orientation(picture) in _LYING


def _upright(picture: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(picture))
    return picture if method is None else picture.transpose(method)


def _fit(picture: Image.Image, spec: InputSpec) -> Image.Image:
    wanted = spec.size[::-1]
    if spec.resize == "squash":
        return picture.resize(wanted, Image.Resampling.BILINEAR)
    if spec.resize == "pad":
        return _pad(picture, wanted)
    return _crop(picture, wanted)


def _pad(picture: Image.Image, wanted: tuple[int, int]) -> Image.Image:
    inner = picture.resize(_scaled(picture.size, wanted, covering=False), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", wanted, PADDING)
    canvas.paste(inner, ((wanted[0] - inner.width) // 2, (wanted[1] - inner.height) // 2))
    return canvas


def _crop(picture: Image.Image, wanted: tuple[int, int]) -> Image.Image:
    scale = max(wanted[0] / picture.width, wanted[1] / picture.height)
    width, height = min(picture.width, wanted[0] / scale), min(picture.height, wanted[1] / scale)
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (left, top, min(picture.width, left + width), min(picture.height, top + height))
    return picture.resize(wanted, Image.Resampling.BILINEAR, box=box)


def _scaled(size: tuple[int, int], wanted: tuple[int, int], covering: bool) -> tuple[int, int]:
    ratios = (wanted[0] / size[0], wanted[1] / size[1])
    scale = max(ratios) if covering else min(ratios)
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return (width, height) if covering else (min(width, wanted[0]), min(height, wanted[1]))


def _explain(content: bytes, error: Exception) -> str:
    expected = f"expected a picture ({FORMAT_NAMES})"
    if isinstance(error, UnidentifiedImageError):
        return f"{expected}, received {_describe(content)}"
    return f"{expected}, received a damaged one of {len(content):,} bytes: {error or type(error).__name__}"


def _describe(content: bytes) -> str:
    if not content:
        return "an empty file"
    for start, signature, description in _SIGNATURES:
        if content[start : start + len(signature)] == signature:
            return description
    if looks_like_image(content[:16]):
        return f"a damaged one of {len(content):,} bytes: its header cannot be read"
    beginning = content[:512].decode("utf-8", errors="replace").strip("\ufeff\ufffd")
    if beginning.isprintable() or all(char.isprintable() or char.isspace() for char in beginning):
        return f"text beginning with {' '.join(beginning.split())[:40]!r}"
    return f"{len(content):,} bytes beginning with {content[:8].hex(' ')}"
