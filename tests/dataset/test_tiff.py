"""TIFF: every kind is decoded to the right pixels, or refused by its name."""

import io
import itertools
from collections.abc import Iterator

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from model.dataset.images import decode_image, measure_image, open_photo
from model.errors import ImageError, ImageNotSupportedError, ImageTooLargeError
from model.results import InputSpec
from tests.support import tiff_files
from tests.support.tiff_files import DEFLATE, JPEG, JPEG_2000, LZMA, LZW, NO_COMPRESSION, PACKBITS, WEBP, ZSTD, Tiff

CMYK, YCBCR = 5, 6
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
HEIGHT, WIDTH = 37, 45

# Name of the type, and bits per sample where they are fewer.
DEPTHS = [
    *(("uint8", 1), ("uint8", 2), ("uint8", 4), ("uint8", 6), ("uint8", 8)),
    *(("uint16", 10), ("uint16", 12), ("uint16", 14), ("uint16", 16)),
    *(("uint32", 32), ("uint64", 64), ("int8", 8), ("int16", 16), ("int32", 32), ("int64", 64)),
    *(("float16", 16), ("float32", 32), ("float64", 64)),
]
LAYOUTS: tuple[dict[str, object], ...] = ({}, {"rows": 5}, {"tile": (16, 32)})


def stored(name: str, bits: int, samples: int, seed: int = 0) -> np.ndarray:
    """Smooth values over the whole range of the depth, or in [0, 1] for floats and in [0, 255] for signed types."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float64)[..., :samples] / 255
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    dtype = np.dtype(name)
    if dtype.kind == "f":
        values = smooth.astype(dtype)
    elif dtype.kind == "i":
        values = np.rint(smooth * min(255, np.iinfo(dtype).max)).astype(dtype)
    elif bits <= 16:
        values = np.rint(smooth * ((1 << bits) - 1)).astype(dtype)
    else:
        values = np.rint(smooth * 65535).astype(dtype)
    return values[..., 0] if samples == 1 else values


def shown(values: np.ndarray, bits: int) -> np.ndarray:
    """The values in [0, 255], as the guide promises: by the full range of the type, or by the values."""
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f":
        return numbers * 255
    if values.dtype.kind == "i":
        return numbers
    return numbers * 255 / ((1 << min(bits, 16)) - 1)


def kinds(name: str, bits: int) -> Iterator[tuple[Tiff, int]]:
    """Kinds of TIFF with these values, and their number of channels."""
    dtype = np.dtype(name)
    whole = bits == 8 * dtype.itemsize
    predictors = [1] + [2] * (dtype.kind in "ui" and whole) + [3] * (dtype.kind == "f")
    photometrics = [BLACK_IS_ZERO, RGB] + [WHITE_IS_ZERO] * (dtype.kind == "u" and bits <= 16)
    compressions = (NO_COMPRESSION, LZW, DEFLATE, PACKBITS, LZMA, ZSTD)
    for photometric, compression, predictor, order, layout in itertools.product(
        photometrics, compressions, predictors, "<>", LAYOUTS
    ):
        if predictor > 1 and compression in (NO_COMPRESSION, PACKBITS):
            continue
        samples = 3 if photometric == RGB else 1
        for planar in (1, 2)[:samples]:
            yield (
                Tiff(photometric, bits, order, planar=planar, compression=compression, predictor=predictor, **layout),
                samples,
            )


@pytest.mark.parametrize(("name", "bits"), DEPTHS)
def test_every_depth_is_decoded_in_all_layouts_orders_and_compressions(name: str, bits: int) -> None:
    # A fifth of 3,108 kinds: the step has no factor in common with the number of layouts, orders or compressions.
    for kind, samples in itertools.islice(kinds(name, bits), bits % 5, None, 5):
        values = stored(name, bits, samples)
        content = kind.encode(values)
        expected = shown(values, bits)
        if kind.photometric == WHITE_IS_ZERO:
            expected = 255 - expected
        decoded = decode_image(content)
        assert decoded.shape == (HEIGHT, WIDTH, 3), kind
        difference = np.abs(decoded - (expected if samples == 3 else expected[..., None]))
        # 16-bit values are cut to their high byte.
        assert difference.max() <= 1, kind
        assert measure_image(content) == (HEIGHT, WIDTH)
        assert open_photo(content).cost.is_quick == (kind.compression != LZMA), kind


@pytest.mark.parametrize(("name", "bits"), DEPTHS)
def test_stored_values_are_those_that_tifffile_reads(name: str, bits: int) -> None:
    for kind, samples in itertools.islice(kinds(name, bits), 0, None, 7):
        values = stored(name, bits, samples)
        read = tifffile.imread(io.BytesIO(kind.encode(values)))
        axis_last = read.transpose(1, 2, 0) if kind.planar == 2 else read
        assert np.array_equal(axis_last.view(np.uint8) if bits == 1 else axis_last, values), kind


@pytest.mark.parametrize(("compression", "samples"), [(JPEG, 1), (JPEG, 3), (WEBP, 3), (JPEG_2000, 1), (JPEG_2000, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_in_strips_and_tiles_are_decoded(
    compression: int, samples: int, layout: dict[str, tuple[int, int]]
) -> None:
    values = stored("uint8", 8, samples)
    photometric = BLACK_IS_ZERO if samples == 1 else YCBCR if compression == JPEG else RGB
    decoded = decode_image(Tiff(photometric, compression=compression, **layout).encode(values))
    assert np.abs(decoded - (values if samples == 3 else values[..., None]).astype(int)).max() <= 6


def test_16_bit_jpeg_2000_in_a_tiff_keeps_its_depth() -> None:
    values = stored("uint16", 16, 3)
    decoded = decode_image(Tiff(RGB, compression=JPEG_2000).encode(values))
    assert np.abs(decoded - (values >> 8).astype(int)).max() == 0


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_big", [False, True])
def test_bigtiff_is_decoded(order: str, is_big: bool) -> None:
    values = stored("uint8", 8, 3)
    assert np.array_equal(decode_image(Tiff(RGB, order=order, is_big=is_big).encode(values)), values)


@pytest.mark.parametrize(("bits", "compression"), [(1, NO_COMPRESSION), (4, LZW), (8, DEFLATE), (16, PACKBITS)])
def test_reversed_bits_are_decoded(bits: int, compression: int) -> None:
    values = stored("uint16" if bits > 8 else "uint8", bits, 1)
    decoded = decode_image(Tiff(bits=bits, fill_order=2, compression=compression).encode(values))
    assert np.abs(decoded[..., 0] - shown(values, bits)).max() <= 1


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("inverted", [False, True])
def test_fax_compressions_are_decoded(compression: str, inverted: bool) -> None:
    image = Image.fromarray(stored("uint8", 1, 1) * np.uint8(255)).convert("1")
    content = io.BytesIO()
    image.save(content, "TIFF", compression=compression, tiffinfo={262: 0 if inverted else 1})
    decoded = decode_image(content.getvalue())[..., 0]
    assert np.array_equal(decoded, np.asarray(image.convert("L")))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("eight_bit_colors", [False, True])
def test_palettes_are_applied(bits: int, eight_bit_colors: bool) -> None:
    random = np.random.default_rng(1)
    colors = random.integers(0, 256, (3, 1 << bits))
    colors[0, 0] = 255
    written = tuple(int(color) * (1 if eight_bit_colors else 257) for color in colors.ravel())
    indices = random.integers(0, 1 << bits, (HEIGHT, WIDTH)).astype(np.uint16 if bits == 16 else np.uint8)
    decoded = decode_image(Tiff(PALETTE, bits=bits, tags={320: (3, written)}).encode(indices))
    assert np.array_equal(decoded, colors.T[indices])


@pytest.mark.parametrize("name", ["uint8", "uint16"])
@pytest.mark.parametrize("planar", [1, 2])
def test_cmyk_is_converted(name: str, planar: int) -> None:
    eight = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    expected = np.asarray(Image.frombytes("CMYK", (WIDTH, HEIGHT), eight.tobytes()).convert("RGB"))
    values = eight if name == "uint8" else eight.astype(np.uint16) * 257
    assert np.array_equal(decode_image(Tiff(CMYK, planar=planar).encode(values)), expected)


def test_ycbcr_without_subsampling_is_converted() -> None:
    rgb = stored("uint8", 8, 3)
    values = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    decoded = decode_image(Tiff(YCBCR, tags={530: (3, (1, 1))}).encode(values))
    assert np.abs(decoded - rgb.astype(int)).max() <= 3


@pytest.mark.parametrize("name", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(("samples", "extra"), [(2, 1), (2, 2), (4, 0), (4, 1), (4, 2)])
def test_opacity_is_composited_on_white(name: str, samples: int, planar: int, extra: int) -> None:
    depth = np.dtype(name)
    highest = 1.0 if depth.kind == "f" else float(np.iinfo(depth).max)
    # Half red, or half gray, over white; the last column is opaque.
    color = np.array([1.0, 0.0, 0.0][: samples - 1])
    alpha = np.array([0.0, 0.5, 1.0])[:, None]
    colors = np.broadcast_to(color, (3, samples - 1)) * (alpha if extra == 1 else 1)
    row = np.concatenate([colors, alpha], axis=1) * highest
    values = np.broadcast_to(row if depth.kind == "f" else np.rint(row), (4, 3, samples)).astype(depth)
    decoded = decode_image(
        Tiff(BLACK_IS_ZERO if samples == 2 else RGB, planar=planar, extra_samples=(extra,)).encode(values)
    )
    expected = np.broadcast_to(color, (3, samples - 1)) if extra == 0 else color * alpha + (1 - alpha)
    assert np.abs(decoded[0, :, : samples - 1] - expected * 255).max() <= 1


def test_channels_besides_rgb_that_are_no_opacity_are_left_out() -> None:
    values = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 5), dtype=np.uint8)
    decoded = decode_image(Tiff(RGB, extra_samples=(0, 0)).encode(values))
    assert np.array_equal(decoded, values[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int) -> None:
    values = stored("uint8", 8, 3)
    upright = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.transpose(1, 0, 2),
        6: np.rot90(values, -1),
        7: values[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(values),
    }[orientation]
    content = Tiff(RGB, tags={274: (3, (orientation,))}).encode(values)
    assert np.array_equal(decode_image(content), upright)
    assert measure_image(content) == upright.shape[:2]


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        (Tiff(8), stored("uint8", 8, 3), "CIELab"),
        (Tiff(9), stored("uint8", 8, 3), "ICCLab"),
        (Tiff(32844), stored("uint16", 16, 1), "LogL"),
        (Tiff(4, bits=1), stored("uint8", 1, 1), "transparency mask"),
        (Tiff(YCBCR, tags={530: (3, (2, 2))}), stored("uint8", 8, 3), "YCbCr"),
        (Tiff(YCBCR), stored("uint16", 16, 3), "16-bit unsigned YCbCr"),
        (Tiff(CMYK, tags={332: (3, (2,))}), np.zeros((HEIGHT, WIDTH, 4), np.uint8), "CMYK"),
        (Tiff(CMYK), np.zeros((HEIGHT, WIDTH, 4), np.float32), "32-bit float CMYK"),
        (Tiff(WHITE_IS_ZERO), stored("float32", 32, 1), "gray .0 is white."),
        (Tiff(), np.zeros((HEIGHT, WIDTH), np.complex64), "complex"),
        (Tiff(extra_samples=(0, 0, 0)), np.zeros((HEIGHT, WIDTH, 4), np.uint8), "of 4 channels"),
        (Tiff(tags={258: (3, (5, 6, 5)), 277: (3, (3,))}, photometric=RGB), np.zeros((9, 9), np.uint16), "5/6/5-bit"),
        (Tiff(tags={32997: (4, (3,))}), stored("uint8", 8, 1), "in 3 layers"),
        (Tiff(tags={259: (3, (34887,))}), stored("uint8", 8, 1), "LERC compression"),
        (Tiff(tags={259: (3, (6,))}, photometric=YCBCR), stored("uint8", 8, 3), "old-style JPEG compression"),
        (Tiff(tags={259: (3, (52546,))}), stored("uint8", 8, 1), "JPEG XL compression"),
        (Tiff(tags={259: (3, (34713,))}), stored("uint8", 8, 1), "Nikon compression"),
        (Tiff(tags={259: (3, (12345,))}), stored("uint8", 8, 1), "compression 12345"),
    ],
)
def test_other_kinds_are_refused_by_name(kind: Tiff, values: np.ndarray, named: str) -> None:
    with pytest.raises(ImageNotSupportedError, match=f"not supported: TIFF .*{named}.*; save it as"):
        decode_image(kind.encode(values))


@pytest.mark.parametrize("marked", [{254: (4, (1,))}, {255: (3, (2,))}])
def test_a_reduced_first_image_is_not_taken_for_the_photo(marked: dict[int, tuple[int, tuple[int, ...]]]) -> None:
    with pytest.raises(ImageNotSupportedError, match="45 x 37 pixels, is a reduced version"):
        decode_image(Tiff(RGB, tags=marked).encode(stored("uint8", 8, 3)))


def of_pages(*pages: np.ndarray, below_first: bool = False) -> bytes:
    """A TIFF of several pages that are not marked in any way; or the others below the first."""
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as writer:
        for number, page in enumerate(pages):
            photometric = "rgb" if page.ndim == 3 else "minisblack"
            below = len(pages) - 1 if below_first and not number else 0
            writer.write(page, photometric=photometric, metadata=None, subifds=below)
    return content.getvalue()


FULL_PAGE = np.random.default_rng(5).integers(0, 256, (480, 641, 3), dtype=np.uint8)


@pytest.mark.parametrize("factor", [2, 4, 5, 16])
@pytest.mark.parametrize("below_first", [False, True])
@pytest.mark.parametrize("is_gray", [False, True])
def test_a_smaller_first_page_of_the_same_shape_is_not_taken_for_the_photo(
    factor: int, below_first: bool, is_gray: bool
) -> None:
    small = FULL_PAGE[::factor, ::factor]
    small = small[..., 0].copy() if is_gray else small.copy()
    height, width = small.shape[:2]
    with pytest.raises(
        ImageNotSupportedError, match=f"first image, {width} x {height} pixels, looks like a .* 641 x 480 pixels; save"
    ):
        decode_image(of_pages(small, FULL_PAGE, below_first=below_first))
    with pytest.raises(ImageNotSupportedError, match="looks like a reduced version of another, 641 x 480"):
        decode_image(of_pages(small, FULL_PAGE[::2, ::2].copy() if factor > 4 else small, FULL_PAGE))


@pytest.mark.parametrize("below_first", [False, True])
def test_a_padded_thumbnail_is_not_taken_for_the_photo(below_first: bool) -> None:
    with pytest.raises(ImageNotSupportedError, match="first image, 120 x 120 pixels, looks like a reduced version"):
        decode_image(of_pages(np.zeros((120, 120), np.uint8), FULL_PAGE, below_first=below_first))


@pytest.mark.parametrize("below_first", [False, True])
def test_smaller_pages_and_pages_of_another_shape_may_follow_the_photo(below_first: bool) -> None:
    smaller, taller, slightly_larger = FULL_PAGE[::2, ::2].copy(), np.zeros((2000, 900), np.uint8), FULL_PAGE
    assert np.array_equal(decode_image(of_pages(FULL_PAGE, smaller, below_first=below_first)), FULL_PAGE)
    assert np.array_equal(decode_image(of_pages(FULL_PAGE, taller, below_first=below_first)), FULL_PAGE)
    first = FULL_PAGE[:400, :534].copy()
    assert np.array_equal(decode_image(of_pages(first, slightly_larger, below_first=below_first)), first)


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({254: (4, (1,)), 271: (2, b"NIKON CORPORATION\0")}, "camera raw file of NIKON CORPORATION"),
        ({254: (4, (1,)), 271: (2, b"SONY\0")}, "camera raw file of SONY"),
        ({50706: (3, (1, 4, 0, 0)), 271: (2, b"Apple\0")}, r"camera raw file of Apple \(DNG\)"),
        ({262: (3, (32803,)), 277: (3, (1,))}, "camera raw file"),
    ],
)
def test_camera_raw_files_are_named(tags: dict[int, tuple[int, tuple[int, ...] | bytes]], named: str) -> None:
    with pytest.raises(ImageNotSupportedError, match=f"not supported: {named}; develop it"):
        decode_image(Tiff(RGB, tags=tags).encode(stored("uint8", 8, 3)))


def test_a_camera_raw_file_is_found_by_the_image_below_its_preview() -> None:
    preview = Tiff(RGB, tags={330: (4, (0,)), 271: (2, b"PENTAX\0")}).encode(stored("uint8", 8, 3))
    place = len(preview)
    below = tiff_files.directory({256: (4, (6000,)), 257: (4, (4000,)), 262: (3, (32803,))}, place, "<")
    entry = preview.index((330).to_bytes(2, "little") + (4).to_bytes(2, "little"))
    content = preview[: entry + 8] + place.to_bytes(4, "little") + preview[entry + 12 :] + below
    with pytest.raises(ImageNotSupportedError, match="camera raw file of PENTAX"):
        decode_image(content)


def test_the_first_page_is_taken() -> None:
    pages = np.stack([stored("uint16", 16, 1, seed) for seed in range(3)])
    for options in ({}, {"imagej": True}, {"ome": True}):
        content = io.BytesIO()
        tifffile.imwrite(content, pages, photometric="minisblack", **options)
        assert np.array_equal(decode_image(content.getvalue())[..., 0], pages[0] >> 8), options


@pytest.mark.parametrize("compression", [NO_COMPRESSION, LZW, DEFLATE, PACKBITS, ZSTD, JPEG, WEBP, JPEG_2000])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95])
def test_a_truncated_tiff_is_damaged(compression: int, keep: float) -> None:
    # The directory comes first, as many programs write it: only pixels are missing.
    content = _with_directory_first(Tiff(RGB, compression=compression, rows=8).encode(stored("uint8", 8, 3)))
    pixels = len(content) - min(tifffile.TiffFile(io.BytesIO(content)).pages[0].dataoffsets)
    with pytest.raises(ImageError, match="damaged TIFF") as caught:
        decode_image(content[: len(content) - int((1 - keep) * pixels)])
    assert not isinstance(caught.value, ImageNotSupportedError)


def _with_directory_first(content: bytes) -> bytes:
    """The same page, written by tifffile with its directory before its pixels."""
    page = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    assert isinstance(page, tifffile.TiffPage)
    tags = {
        tag.code: (tag.dtype, tag.value if isinstance(tag.value, tuple) else (int(tag.value),))
        for tag in page.tags.values()
        if tag.code not in (273, 279)
    }
    counts = page.databytecounts
    segments = [content[start : start + count] for start, count in zip(page.dataoffsets, counts, strict=True)]
    size = len(tiff_files.directory(tags | {273: (4, counts), 279: (4, counts)}, 8, "<"))
    starts = tuple(8 + size + sum(counts[:index]) for index in range(len(counts)))
    head = b"II*\0" + (8).to_bytes(4, "little")
    return head + tiff_files.directory(tags | {273: (4, starts), 279: (4, counts)}, 8, "<") + b"".join(segments)


def test_an_image_larger_than_its_strip_is_refused_before_decoding() -> None:
    bomb = imagecodecs.jpeg8_encode(np.zeros((4000, 4000), np.uint8))
    small = Tiff(compression=JPEG).encode(np.zeros((16, 16), np.uint8))
    place = len(small)
    for tag, value in ((273, place), (279, len(bomb))):
        entry = small.index(tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little"))
        small = small[: entry + 8] + value.to_bytes(4, "little") + small[entry + 12 :]
    with pytest.raises(ImageTooLargeError, match="16 x 16 pixels, received an image of 4,000 x 4,000"):
        decode_image(small + bomb)


@pytest.mark.parametrize("size", [(40_000, 40_000), (60_000, 5_000)])
def test_a_huge_tiff_is_refused_by_its_header(size: tuple[int, int]) -> None:
    content = Tiff(tags={256: (4, (size[0],)), 257: (4, (size[1],)), 278: (4, (size[1],))}).encode(
        np.zeros((1, 1), np.uint8)
    )
    with pytest.raises(ImageTooLargeError, match="which takes"):
        decode_image(content, InputSpec.square(8))
