"""Limits of decoding: files that take too long or too much memory are refused by their headers, quickly."""

import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.image_limits import MAX_DECODING_BYTES, MAX_SCANS, QUICK_WORK
from model.dataset.images import decode_image, measure_image, open_photo
from model.errors import ImageError, ImageTooLargeError
from model.results import InputSpec
from tests.support.photos import encoded, random_image
from tests.support.slowness import slowness
from tests.support.tiff_files import Tiff

SPEC = InputSpec.square(224)
MILLION = 1_000_000


def progressive_jpeg(scans: int, before_each: bytes = b"", side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    content = encoded(random_image(1, (side, side)), progressive=True)
    last = content.rfind(b"\xff\xda")
    usual = content.count(b"\xff\xda")
    return content[:last] + (before_each + content[last:-2]) * (scans - usual + 1) + b"\xff\xd9"


def png(width: int, height: int, chunks: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff_with_strips(number: int) -> bytes:
    """A TIFF with another number of strips in its directory."""
    content = Tiff(rows=1).encode(np.zeros((2, 2), np.uint8))
    for tag in (273, 279):
        entry = struct.pack("<HHI", tag, 4, 2)
        content = content.replace(entry, struct.pack("<HHI", tag, 4, number))
    return content


def webp_with_chunks(number: int) -> bytes:
    content = encoded(random_image(1), "WEBP")
    return content[:12] + struct.pack("<4sI", b"junk", 0) * number + content[12:]


def boxes(number: int) -> bytes:
    return struct.pack(">I4s", 8, b"free") * number


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG with another size in its header."""
    content = encoded(Image.new("RGB", (16, 16)))
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


BOMBS: dict[str, Callable[[], bytes]] = {
    "101 scans": lambda: progressive_jpeg(101),
    "5,000 scans": lambda: progressive_jpeg(5000),
    "scans after a comment like an end": lambda: progressive_jpeg(300, b"\xff\xfe\x00\x04\xff\xd9"),
    "scans of a sequential JPEG": lambda: (
        lambda content: content[: content.rfind(b"\xff\xda")] + content[content.rfind(b"\xff\xda") : -2] * 300
    )(encoded(random_image(1), subsampling=0, restart_marker_rows=0, progressive=True)),
    "segments of a JPEG": lambda: b"\xff\xd8" + b"\xff\xfe\x00\x02" * MILLION + encoded(random_image(1))[2:],
    "fill bytes of a JPEG": lambda: b"\xff\xd8" + b"\xff" * 5 * MILLION + encoded(random_image(1))[2:],
    "a comment of a PPM without end": lambda: b"P6\n#" + b"c" * 20 * MILLION,
    "a comment of a PPM": lambda: b"P6\n#" + b"c" * 20 * MILLION + b"\n2 2\n255\n" + bytes(12),
    "spaces of a PPM": lambda: b"P6" + b" " * 20 * MILLION + b"2 2 255\n" + bytes(12),
    "digits of a PPM": lambda: b"P5 " + b"9" * 4000 + b" 1 255\n" + bytes(100),
    "texts of a PNG": lambda: png(8, 8, (struct.pack(">I", 0) + b"tEXt" + bytes(4)) * MILLION),
    "a PNG of one column": lambda: png(1, 89_000_000),
    "a PNG of one row": lambda: png(89_000_000, 1),
    "a PNG of 10^18 pixels": lambda: png(2**31 - 1, 2**31 - 1),
    "extensions of a GIF": lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * MILLION + b",",
    "blocks of a GIF": lambda: b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1c" * MILLION + b"\0,",
    "chunks of a WebP": lambda: webp_with_chunks(MILLION),
    "boxes of a JPEG 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + boxes(MILLION),
    "boxes of a HEIC": lambda: b"\0\0\0\x14ftypheic\0\0\0\0heic" + boxes(MILLION),
    "boxes of an AVIF": lambda: b"\0\0\0\x14ftypavif\0\0\0\0avif" + boxes(MILLION),
    "boxes of a JPEG XL": lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + boxes(MILLION),
    "strips of a TIFF": lambda: tiff_with_strips(10 * MILLION),
    "a TIFF of one column": lambda: Tiff(tags={257: (4, (89_000_000,))}).encode(np.zeros((1, 1), np.uint8)),
    "tiles of a gigabyte": lambda: Tiff(compression=8, tags={322: (4, (60_000,)), 323: (4, (60_000,))}).encode(
        np.zeros((64, 64), np.uint8)
    ),
    "a huge BMP": lambda: b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 60_000, 60_000, 1, 24, 0) + bytes(20),
    "a huge JPEG 2000": lambda: (
        encoded(random_image(1), "JPEG2000", no_jp2=True)[:8]
        + struct.pack(">II", 60_000, 60_000)
        + encoded(random_image(1), "JPEG2000", no_jp2=True)[16:]
    ),
    "a huge WebP": lambda: b"RIFF\0\0\1\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16_000_000).to_bytes(3, "little") * 2,
    "a huge JPEG XL": lambda: b"\xff\x0a" + ((50_000 - 1) << 3 | 3 << 1 | 1 << 33).to_bytes(6, "little") + bytes(20),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_by_their_headers(kind: str) -> None:
    content = BOMBS[kind]()
    start = time.process_time()
    with pytest.raises(ImageError):
        decode_image(content, SPEC)
    with pytest.raises(ImageError):
        open_photo(content, SPEC)
    # Twice: a header is read within a second.
    assert time.process_time() - start < 2 * slowness()


def test_as_many_scans_as_allowed_are_decoded() -> None:
    content = progressive_jpeg(MAX_SCANS)
    assert decode_image(content, SPEC).shape == (224, 224, 3)
    assert measure_image(content) == (64, 64)


def test_scans_in_a_photo_after_the_end_do_not_count() -> None:
    content = progressive_jpeg(60) + progressive_jpeg(60)
    assert decode_image(content, SPEC).shape == (224, 224, 3)


@pytest.mark.parametrize("kind", ["baseline", "progressive", "PNG", "GIF", "WebP", "TIFF"])
def test_ordinary_photos_are_quick(kind: str) -> None:
    image = Image.new("RGB", (2000, 1500), "red")
    options = {"progressive": kind == "progressive"}
    form = {"baseline": "JPEG", "progressive": "JPEG"}.get(kind, kind.upper())
    assert open_photo(encoded(image, form, **(options if form == "JPEG" else {}))).cost.is_quick


@pytest.mark.parametrize("kind", ["large PNG", "plain PPM", "many scans", "LZMA"])
def test_photos_that_may_be_slow_are_not_quick(kind: str) -> None:
    content = {
        "large PNG": lambda: encoded(Image.new("1", (5000, 5000)), "PNG"),
        "plain PPM": lambda: b"P3 1000 1000 255\n",
        "many scans": lambda: progressive_jpeg(90, side=1500),
        "LZMA": lambda: Tiff(compression=34925).encode(np.zeros((8, 8), np.uint8)),
    }[kind]()
    assert not open_photo(content, SPEC).cost.is_quick, QUICK_WORK


def test_the_whole_photo_takes_more_memory_than_a_part_of_its_scale() -> None:
    content = jpeg_of(12_000, 9_000)
    assert open_photo(content, SPEC).cost.memory < 20_000_000
    with pytest.raises(
        ImageTooLargeError, match=r"JPEG of 12,000 x 9,000 pixels, which takes [0-9],[0-9]* MB: save it"
    ):
        decode_image(content)


@pytest.mark.slow  # encodes 108 megapixels
def test_a_phone_photo_of_108_megapixels_is_decoded() -> None:
    photo = Image.new("RGB", (12_000, 9_000), "green")
    assert decode_image(encoded(photo), SPEC)[100, 100].tolist() == pytest.approx([0, 128, 0], abs=2)


# Writes for each file the maximum memory of decoding it, beyond what the process had before.
MEASURE = """
import json, sys
from pathlib import Path
from model.dataset.images import decode_in_this_process
from model.resources import release_free_memory
from model.results import InputSpec
import imagecodecs, pillow_heif, tifffile

def peak():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return int(fields["VmHWM"].split()[0]) * 1024

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

folder, side = Path(sys.argv[1]), int(sys.argv[2])
spec = InputSpec.square(side) if side else None
taken = {}
for name in ["warm", *sorted(path.name for path in folder.iterdir())]:
    content = (folder / (name if name != "warm" else "rgb.png")).read_bytes()
    release_free_memory()
    open("/proc/self/clear_refs", "w").write("5")
    before = resident()
    decode_in_this_process(content, spec, 10**12)
    taken[name] = peak() - before
print(json.dumps(taken))
"""


def write_large_images(folder: Path) -> None:
    """One file of each kind that takes memory in its own way, of 2,400 x 2,000 pixels."""
    import imagecodecs
    import pillow_heif
    import tifffile

    rgb = random_image(4, (2000, 2400))
    pixels = np.asarray(rgb)
    deep = pixels.astype(np.uint16) * 257
    translucent = rgb.convert("RGBA")
    translucent.putalpha(128)
    images = {
        "progressive.jpg": (rgb, "JPEG", {"progressive": True, "subsampling": 0}),
        "baseline.jpg": (rgb, "JPEG", {}),
        "cmyk.jpg": (rgb.convert("CMYK"), "JPEG", {}),
        "rgb.png": (rgb, "PNG", {"compress_level": 1}),
        "rgba.png": (translucent, "PNG", {"compress_level": 1}),
        "gray.png": (rgb.convert("L"), "PNG", {"compress_level": 1}),
        "palette.png": (rgb.convert("P"), "PNG", {"compress_level": 1}),
        "transparent-palette.png": (rgb.convert("P"), "PNG", {"compress_level": 1, "transparency": 3}),
        "bilevel.png": (rgb.convert("1"), "PNG", {}),
        "palette.gif": (rgb.convert("P"), "GIF", {}),
        "lossy.webp": (rgb, "WEBP", {"method": 0}),
        "lossless.webp": (rgb, "WEBP", {"method": 0, "lossless": True, "quality": 0}),
        "translucent.webp": (translucent, "WEBP", {"method": 0}),
        "animated.webp": (rgb, "WEBP", {"method": 0, "save_all": True, "append_images": [rgb.rotate(180)]}),
        "photo.avif": (rgb, "AVIF", {"speed": 10}),
        "full-colour.avif": (rgb, "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
        "rgb.jp2": (rgb, "JPEG2000", {}),
        "rgb.bmp": (rgb, "BMP", {}),
        "rgb.ppm": (rgb, "PPM", {}),
    }
    for name, (image, form, options) in images.items():
        image.save(folder / name, form, **options)
    pillow_heif.from_pillow(rgb).save(folder / "photo.heic", quality=50)
    contents = {
        "deep.png": imagecodecs.png_encode(deep, level=1),
        "deep-gray.png": imagecodecs.png_encode(np.ascontiguousarray(deep[..., 0]), level=1),
        "deep.ppm": b"P6 2400 2000 4095\n" + (deep >> 4).astype(">u2").tobytes(),
        "deep.jp2": imagecodecs.jpeg2k_encode(deep, level=20),
        "photo.jxl": imagecodecs.jpegxl_encode(pixels, effort=1),
        "deep.jxl": imagecodecs.jpegxl_encode(deep, effort=1, level=90),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    tiffs: dict[str, tuple[np.ndarray, dict[str, object]]] = {
        "plain.tif": (pixels, {}),
        "lzw.tif": (pixels, {"compression": "lzw"}),
        "one-strip.tif": (deep, {"compression": "zlib", "predictor": 2, "rowsperstrip": 2000}),
        "planes.tif": (
            np.ascontiguousarray(deep.transpose(2, 0, 1)),
            {"planarconfig": "separate", "photometric": "rgb"},
        ),
        "float.tif": (pixels.astype(np.float32) / 255, {"photometric": "rgb", "compression": "zlib"}),
        "cmyk.tif": (np.asarray(rgb.convert("CMYK")), {"photometric": "separated"}),
        "jpeg.tif": (pixels, {"compression": "jpeg", "tile": (512, 512)}),
    }
    for name, (values, options) in tiffs.items():
        tifffile.imwrite(folder / name, values, **options)


@pytest.fixture(scope="module")
def large_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    write_large_images(folder)
    return folder


@pytest.mark.slow  # encodes and decodes 33 images of 5 megapixels
@pytest.mark.parametrize("side", [224, 0])
def test_no_format_takes_more_memory_than_estimated(large_images: Path, side: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(large_images), str(side)], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    spec = InputSpec.square(side) if side else None
    # The system counts pages for each processor, and adds them up late.
    slack = 10_000_000
    for name, taken in json.loads(ran.stdout).items():
        if name == "warm":
            continue
        estimated = open_photo((large_images / name).read_bytes(), spec).cost.memory
        assert 0 < taken <= estimated + slack, f"{name}: {taken:,} bytes taken, {estimated:,} estimated"
        assert estimated <= min(2.6 * taken + 3 * slack, MAX_DECODING_BYTES), (
            f"{name}: {taken:,}, {estimated:,} estimated"
        )
