"""Decoding of images, for training, evaluation and prediction alike.

Pixels are uint8 RGB in [0, 255] of shape (height, width, 3); a size is (height, width) in pixels.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.dataset import dicom
from model.dataset.gray_levels import reduce_photo
from model.dataset.value_distribution import ValueDistribution
from model.errors import ImageError, ImageTooLargeError
from model.intensity import FULL, Intensity
from model.results import InputSpec

# Pillow has more formats, but some start other programs (EPS) and some accept almost any bytes (TGA).
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

# Names for messages.
FORMAT_NAMES = ", ".join(_NAMES.values())

# Lower-case suffixes of image files, whether or not they can be decoded.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".avif"}
    | {".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".dcm", ".heic", ".heif"}
)

# Pillow warns of decompression bombs above this number: a quarter of a gigabyte as RGB.
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
_SWAPPING = (5, 6, 7, 8)

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


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """Photo as a network sees it.

    Attributes:
        pixels: uint8 RGB of shape (height, width, 3), writable.
        values: distribution of the values in the file, if they have more than 8 bits per channel; otherwise None.
    """

    pixels: np.ndarray
    values: ValueDistribution | None


def decode_image(content: bytes, spec: InputSpec | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image to uint8 RGB of shape (height, width, 3), writable; see `decode_photo`."""
    return decode_photo(content, spec, max_pixels).pixels


def decode_photo(
    content: bytes,
    spec: InputSpec | None = None,
    max_pixels: int = MAX_PIXELS,
) -> DecodedPhoto:
    """Decode an image, apply its EXIF orientation, and resize it to the input of a network.

    A JPEG much larger than the input is decoded at 1/2, 1/4 or 1/8 of its scale (DCT scaling), never below
    the input's size. Transparent parts become white. Of several frames the first is taken.

    Args:
        content: bytes of the file.
        spec: size, resize mode and intensity range; None keeps the size of the image, and the full intensity range.
        max_pixels: maximum number of pixels, checked on the header before decoding.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels.
        ImageError: not an image, or a damaged one; the message describes the content.
    """
    try:
        image = _open(content, max_pixels)
        if spec is not None:
            _decode_small(image, spec)
        image.load()
        image, values = _to_rgb(image, spec.intensity if spec else FULL)
        image = _upright(image)
        return DecodedPhoto(np.array(image if spec is None else _fit(image, spec)), values)
    except (ImageError, MemoryError):
        raise
    # Decoders raise any exception for a damaged file: OSError, SyntaxError, struct.error, IndexError, zlib.error ...
    except Exception as error:
        raise ImageError(_explain(content, error)) from error


def fit_image(image: DecodedImage, spec: InputSpec) -> np.ndarray:
    """Resize an image in memory to uint8 RGB of the shape of `spec`, writable; see `fit_photo`."""
    return fit_photo(image, spec).pixels


def fit_photo(image: DecodedImage, spec: InputSpec) -> DecodedPhoto:
    """Resize an image in memory to the input of a network; the counterpart of `decode_photo`.

    Args:
        image: a PIL image, turned upright as its EXIF says; or an array uint8 RGB of shape (height, width, 3).
        spec: the input of the network.

    Raises:
        ImageError: the array has another type or shape, or the file behind the PIL image is damaged.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            received = f"{image.dtype} of shape {image.shape}"
            raise ImageError(f"expected an array uint8 RGB of shape (height, width, 3), received {received}")
        image = Image.fromarray(image)
    try:
        rgb, values = _to_rgb(image, spec.intensity)
        return DecodedPhoto(np.array(_fit(_upright(rgb), spec)), values)
    except MemoryError:
        raise
    # As in `decode_image`.
    except Exception as error:
        raise ImageError(f"expected a PIL image that can be decoded, received: {error}") from error


def read_image(path: Path, spec: InputSpec | None = None) -> np.ndarray:
    """Decode an image file as `decode_image` does; messages of errors begin with `path`.

    Raises:
        ImageTooLargeError: more than `MAX_PIXELS` pixels or `MAX_BYTES` bytes.
        ImageError: the file does not exist, or is no image, or a damaged one.
    """
    try:
        return decode_image(read_content(path), spec)
    except ImageError as error:
        raise type(error)(f"{path}: {error.message}") from error


def read_content(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        ImageTooLargeError: the file has more than `MAX_BYTES` bytes.
        ImageError: the file cannot be read.
    """
    try:
        return read_bytes(path)
    except OSError as error:
        raise ImageError(f"expected a readable file, received: {error.strerror or error}") from error


def read_bytes(path: Path) -> bytes:
    """Read the bytes of an image file, raising the error of the operating system if that fails.

    Raises:
        ImageTooLargeError: the file has more than `MAX_BYTES` bytes.
        OSError: the file cannot be read.
    """
    if (length := path.stat().st_size) > MAX_BYTES:
        raise ImageTooLargeError(f"expected an image of at most {MAX_BYTES:,} bytes, received {length:,}")
    return path.read_bytes()


def measure_image(content: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an image in pixels, with its EXIF orientation applied, from its header only.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels.
        ImageError: the header is not that of an image.
    """
    try:
        image = _open(content, max_pixels)
        width, height = image.size
        return (width, height) if _swaps_sides(image) else (height, width)
    except (ImageError, MemoryError):
        raise
    # As in `decode_image`.
    except Exception as error:
        raise ImageError(_explain(content, error)) from error


def looks_like_image(beginning: bytes) -> bool:
    """Whether the first bytes of a file, 12 or more, are those of a common image format."""
    return (
        beginning.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*"))
        or (beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP")
        or beginning[4:12] == b"ftypavif"
    )


def _open(content: bytes, max_pixels: int) -> Image.Image:
    if dicom.is_dicom(content):
        return dicom.open_dicom(content, max_pixels)
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"expected an image of at most {max_pixels:,} pixels, received: {error}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"expected an image of at most {max_pixels:,} pixels, received {width} x {height} = {width * height:,}"
        )
    return image


def _decode_small(image: Image.Image, spec: InputSpec) -> None:
    target = spec.size if _swaps_sides(image) else spec.size[::-1]
    if spec.resize != "squash":
        target = _scaled(image.size, target, covering=spec.resize == "crop")
    image.draft(None, target)


def _to_rgb(image: Image.Image, intensity: Intensity) -> tuple[Image.Image, ValueDistribution | None]:
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image)
        # Pillow reads 16-bit netpbm files as 32-bit integers of the range of 16.
        if image.mode == "I" and image.format == "PPM":
            deep = deep.astype(np.uint16)
        gray, values = reduce_photo(deep, intensity)
        return Image.fromarray(gray).convert("RGB"), values
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white, None
    return image.convert("RGB"), None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    # A damaged EXIF block does not affect the pixels; its readers raise any exception.
    except Exception:
        return 1


def _swaps_sides(image: Image.Image) -> bool:
    """Whether the EXIF orientation swaps width and height of an undecoded image; Pillow rotates TIFF itself."""
    return image.format != "TIFF" and _orientation(image) in _SWAPPING


def _upright(image: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _fit(image: Image.Image, spec: InputSpec) -> Image.Image:
    target = spec.size[::-1]
    if spec.resize == "squash":
        return image.resize(target, Image.Resampling.BILINEAR)
    if spec.resize == "pad":
        return _pad(image, target)
    return _crop(image, target)


def _pad(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    inner = image.resize(_scaled(image.size, target, covering=False), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", target, PADDING)
    canvas.paste(inner, ((target[0] - inner.width) // 2, (target[1] - inner.height) // 2))
    return canvas


def _crop(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    scale = max(target[0] / image.width, target[1] / image.height)
    width, height = min(image.width, target[0] / scale), min(image.height, target[1] / scale)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, min(image.width, left + width), min(image.height, top + height))
    return image.resize(target, Image.Resampling.BILINEAR, box=box)


def _scaled(size: tuple[int, int], target: tuple[int, int], covering: bool) -> tuple[int, int]:
    ratios = (target[0] / size[0], target[1] / size[1])
    scale = max(ratios) if covering else min(ratios)
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return (width, height) if covering else (min(width, target[0]), min(height, target[1]))


def _explain(content: bytes, error: Exception) -> str:
    expected = f"expected an image ({FORMAT_NAMES})"
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
