"""TIFF: the first page, decoded by tifffile; what its kind is, and whether it is read.

tifffile returns the stored values: `to_pixels` turns them into gray or RGB by the photometric interpretation.
"""

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from model.dataset.decoders import tiff_segments
from model.dataset.decoders.depth import to_full_depth
from model.dataset.decoders.exif import valid_orientation
from model.dataset.decoders.source import (
    FULL_SIZE_BYTES,
    ImageSource,
    Pixels,
    Size,
    array_bytes,
    not_supported,
    opacity,
    stream,
)
from model.dataset.decoders.tiff_directory import (
    COMPRESSION,
    DNG_VERSION,
    HEIGHT,
    MAKE,
    PHOTOMETRIC,
    WIDTH,
    Directory,
    read_directories,
)
from model.dataset.image_limits import check_size
from model.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffPage

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_PHOTOMETRICS = {
    _WHITE_IS_ZERO: "gray (0 is white)",
    _BLACK_IS_ZERO: "gray",
    _RGB: "RGB",
    _PALETTE: "palette",
    4: "transparency mask",
    _SEPARATED: "CMYK",
    _YCBCR: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "camera raw",
    32844: "LogL",
    32845: "LogLuv",
    34892: "camera raw",
}
_OF_CAMERAS = (32803, 34892)
_FORMATS = {1: "unsigned", 2: "signed", 3: "float", 4: "unsigned", 5: "complex", 6: "complex"}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_CMYK_INKS = 1
_ADVICE = "save it as gray or RGB TIFF of 8 or 16 bits, or as PNG"
# tifffile looks up other variants of TIFF, whose further pages it would read.
_VARIANTS: dict[str, Any] = {"is_lsm": False, "is_scanimage": False, "is_ndpi": False}
# A first page with at most this part of the pixels of another page is its thumbnail.
_THUMBNAIL = 16
_WORK_PER_SAMPLE = 2
# Of a directory that is read outside a child process: tifffile reads all its values.
_SHORT_ENTRIES, _SHORT_BYTES = 200, 1 << 20
# Encoded strips or tiles that are read at a time.
_READ_AHEAD = 1 << 20


def open_tiff(content: bytes) -> ImageSource:
    """Read the first directory of a TIFF.

    Raises:
        ImageNotSupportedError: a kind of TIFF that is not read, or a first image that is a reduced version of another.
        ImageTooLargeError: more parts than any program writes.
        ImageError: the directory is damaged.
    """
    _refuse_reduced(content)
    page = _first_page(content)
    width, height, samples = page.imagewidth, page.imagelength, page.samplesperpixel
    check_size(width, height)
    _refuse_kind(page)
    tiff_segments.check_segments(page, content)
    has_alpha = _alpha_index(page) is not None
    itemsize = tiff_segments.bytes_per_sample(page)

    def decode(_target: Size | None) -> Pixels:
        return to_pixels(page)

    def memory(target: Size | None) -> int:
        decoded = width * height * samples * itemsize + tiff_segments.buffer_bytes(page)
        return max(decoded, width * height * _converted_bytes(page, has_alpha, full=target is None))

    work = tiff_segments.work(page, content) + width * height * samples * max(_WORK_PER_SAMPLE, itemsize)
    orientation = valid_orientation(page.tags.valueof(274, 1))
    return ImageSource("TIFF", width, height, memory, decode, work, orientation)


def has_short_directory(content: bytes) -> bool:
    """Whether the first directory is short, and its strips or tiles contain no files of other formats."""
    try:
        first, _ = read_directories(content, _SHORT_ENTRIES)
    except ImageError:
        return False
    return (
        first.value_bytes <= _SHORT_BYTES
        and len(set(first.tags)) == len(first.tags)
        and first.number(COMPRESSION, 1) in tiff_segments.QUICK
    )


def to_pixels(page: "TiffPage") -> Pixels:
    """Decode a page, and convert its stored values to gray or RGB."""
    stored = page.asarray(squeeze=False, maxworkers=1, buffersize=_READ_AHEAD)
    # (samples, depth, height, width, 1) for separate planes, else (1, depth, height, width, samples).
    values = stored[:, 0, :, :, 0].transpose(1, 2, 0) if stored.shape[0] > 1 else stored[0, 0]
    photometric, bits = _photometric(page), int(page.bitspersample)
    if photometric == _PALETTE:
        return Pixels(_from_palette(page, values[..., 0]))
    alpha_index = _alpha_index(page)
    alpha = None if alpha_index is None else opacity(to_full_depth(values[..., alpha_index].copy(), bits))
    colors: np.ndarray = values[..., : _COLORS[photometric]]
    if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
        colors = colors[..., 0]
    if colors.dtype.kind in "bu":
        colors = to_full_depth(colors, bits)
    if photometric == _WHITE_IS_ZERO:
        colors = np.iinfo(colors.dtype).max - colors
    if photometric == _SEPARATED or (photometric == _YCBCR and not tiff_segments.is_jpeg(page)):
        converted = _from_pillow_mode("CMYK" if photometric == _SEPARATED else "YCbCr", colors)
        if alpha is None:
            return Pixels(converted)
        colors = np.asarray(converted)
    return Pixels(colors, alpha, is_premultiplied=_ASSOCIATED in page.extrasamples[:1])


def _from_palette(page: "TiffPage", indices: np.ndarray) -> np.ndarray:
    colors: np.ndarray | None = page.colormap
    if colors is None or colors.shape[0] != 3 or colors.shape[1] < 1 << int(page.bitspersample):
        raise ImageError("the palette is missing or incomplete")
    # Some programs write 8-bit colours into the 16 bits.
    if colors.max() > 255:
        colors = colors >> 8
    return np.ascontiguousarray(colors.astype(np.uint8).T)[indices.view(np.uint8) if indices.dtype == bool else indices]


def _from_pillow_mode(mode: str, values: np.ndarray) -> Image.Image:
    eight = np.ascontiguousarray(values) if values.dtype == np.uint8 else (values >> 8).astype(np.uint8, order="C")
    height, width, _ = values.shape
    return Image.frombuffer(mode, (width, height), eight, "raw", mode, 0, 1).convert("RGB")


def _converted_bytes(page: "TiffPage", has_alpha: bool, full: bool) -> int:
    """Bytes per pixel of the stored values and of their conversion to the input of a network."""
    photometric, samples = _photometric(page), page.samplesperpixel
    itemsize = tiff_segments.bytes_per_sample(page)
    fitted = array_bytes(samples, itemsize, has_alpha, full)
    if photometric == _PALETTE:
        return itemsize + array_bytes(3, 1, has_alpha, full)
    if photometric == _SEPARATED or (photometric == _YCBCR and not tiff_segments.is_jpeg(page)):
        return samples * itemsize + 8 + (FULL_SIZE_BYTES if full else 0) + 4 * has_alpha
    # A copy of values of few bits, or of white as zero.
    is_copied = photometric == _WHITE_IS_ZERO or page.bitspersample != 8 * itemsize
    return fitted + itemsize * samples * is_copied


def _photometric(page: "TiffPage") -> int:
    """Photometric interpretation; programs that leave it out mean black as zero, or RGB."""
    if PHOTOMETRIC in page.tags:
        return int(page.photometric)
    return _RGB if page.samplesperpixel >= 3 else _BLACK_IS_ZERO


def _alpha_index(page: "TiffPage") -> int | None:
    """Index of the sample that is the opacity: the first extra sample, if it says so."""
    if page.extrasamples and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED):
        return _COLORS[_photometric(page)]
    return None


def _refuse_kind(page: "TiffPage") -> None:
    """Raise the error that names the kind of TIFF, if it is not read."""
    photometric, samples = _photometric(page), page.samplesperpixel
    bits, sample_format = page.bitspersample, page.sampleformat
    is_unsigned = _FORMATS.get(sample_format) == "unsigned"
    extras = [] if not page.extrasamples else [int(extra) for extra in page.extrasamples]
    is_read = (
        page.dtype is not None
        and page.dtype.kind in "buif"
        and isinstance(bits, int)
        and photometric in _COLORS
        and page.imagedepth == 1
        and tiff_segments.is_read(page)
        # Gray with further channels has no channel that is the photo, unless it is the opacity.
        and (
            samples == _COLORS[photometric]
            or (samples > _COLORS[photometric] and (photometric != 1 or extras[:1] != [0]))
        )
    )
    if is_read and photometric in (_WHITE_IS_ZERO, _PALETTE, _SEPARATED, _YCBCR):
        is_read = is_unsigned and bits <= 16
    if is_read and photometric in (_SEPARATED, _YCBCR):
        is_read = bits in (8, 16) and page.tags.valueof(332, _CMYK_INKS) == _CMYK_INKS
    if is_read and photometric == _YCBCR and not tiff_segments.is_jpeg(page):
        is_read = not page.is_subsampled and bits == 8
    if not is_read:
        depth = "/".join(map(str, bits)) if isinstance(bits, tuple) else bits
        described = [
            f"{depth}-bit {_FORMATS.get(sample_format, 'unknown')}",
            _PHOTOMETRICS.get(photometric, f"colours of kind {photometric}"),
            f"of {samples} channel{'s' * (samples > 1)}",
            *([f"in {page.imagedepth} layers"] if page.imagedepth > 1 else []),
            f"with {tiff_segments.compression_name(page)}",
        ]
        raise not_supported(f"TIFF ({' '.join(described)})", _ADVICE)


def _refuse_reduced(content: bytes) -> None:
    """Raise an error for a file whose first image is not the photo itself, whether or not it is marked as reduced."""
    first, others = read_directories(content)
    is_raw = any(item.number(PHOTOMETRIC) in _OF_CAMERAS for item in (first, *others)) or DNG_VERSION in first.values
    largest = max(others, key=lambda item: item.area, default=first)
    is_reduced = first.is_reduced or _is_smaller_version(first, largest)
    if not is_raw and not is_reduced and content[8:10] != b"CR":
        return
    make = first.values.get(MAKE, b"")
    name = make.decode("ascii", "replace").strip() if isinstance(make, bytes) else ""
    if is_raw or name:
        camera = f" of {name}" if name.isprintable() and name else ""
        kind = f"camera raw file{camera}{' (DNG)' if DNG_VERSION in first.values else ''}"
        raise not_supported(kind, "develop it, and save it as JPEG or TIFF")
    size = f"{first.number(WIDTH)} x {first.number(HEIGHT)} pixels"
    if first.is_reduced:
        kind = f"TIFF whose first image, {size}, is a reduced version of another"
    else:
        whole = f"{largest.number(WIDTH)} x {largest.number(HEIGHT)} pixels"
        kind = f"TIFF whose first image, {size}, looks like a reduced version of another, {whole}"
    raise not_supported(kind, "save the full image as the first page")


def _is_smaller_version(first: Directory, other: Directory) -> bool:
    """Whether an image has the shape of another one and at most half its width and height, or 1/16 of its pixels.

    Stacks have pages of one size; in pyramids and files with thumbnails, the other sizes follow the full image.
    """
    width, height = first.number(WIDTH), first.number(HEIGHT)
    other_width, other_height = other.number(WIDTH), other.number(HEIGHT)
    if not width or not height or 2 * (width - 1) > other_width or 2 * (height - 1) > other_height:
        return False
    # The shape is the same up to a pixel of rounding; small thumbnails may be cropped or padded.
    is_same_shape = abs(width * other_height - height * other_width) <= max(other_width, other_height)
    return is_same_shape or _THUMBNAIL * first.area <= other.area


def _first_page(content: bytes) -> Any:
    # Without it, tifffile calls the compressions of a file wrong.
    import imagecodecs  # noqa: F401
    import tifffile

    # It logs what it tolerates; what it does not, it raises.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    opened = tifffile.TiffFile(stream(content), **_VARIANTS)
    page: Any = opened.pages[0]
    if not page.imagewidth or not page.imagelength or not math.prod(page.shaped):
        raise ImageError("the first directory has no size")
    return page
