"""Formats other than TIFF: kinds that are read, kinds that are named, and metadata that does not matter."""

import io
import runpy
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageFilter, ImageOps, PngImagePlugin

from model.dataset.formats import FORMATS, IMAGE_SUFFIXES, SIGNATURE_BYTES, looks_like_image
from model.dataset.images import decode_image, measure_image
from model.errors import ImageError, ImageNotSupportedError
from model.results import InputSpec
from tests.support.photos import encoded, random_image

PHOTO = random_image(1).filter(ImageFilter.GaussianBlur(4))
PIXELS = np.asarray(PHOTO)
DEEP = PIXELS.astype(np.uint16) * 257
QUARTERS = np.zeros((160, 240, 3), np.uint8)
QUARTERS[:80, :120], QUARTERS[:80, 120:], QUARTERS[80:, :120], QUARTERS[80:] = (
    200,
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
)
QUARTERS[80:, :120] = (0, 255, 0)


def heif(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_with(*chunks: bytes, image: Image.Image = PHOTO) -> bytes:
    """A PNG with further chunks after its header."""
    content = encoded(image, "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def jpeg_with(*segments: bytes) -> bytes:
    """A JPEG with further segments after its first two bytes."""
    content = encoded(PHOTO)
    return content[:2] + b"".join(segments) + content[2:]


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


EXACT = {
    "JPEG XL": imagecodecs.jpegxl_encode(PIXELS, lossless=True),
    "JPEG XL in boxes": imagecodecs.jpegxl_encode(PIXELS, lossless=True, usecontainer=True),
    "JPEG XL of 16 bits": imagecodecs.jpegxl_encode(DEEP, lossless=True),
    "JPEG XL of floats": imagecodecs.jpegxl_encode(PIXELS.astype(np.float32) / 255, lossless=True),
    "animated JPEG XL": imagecodecs.jpegxl_encode(np.stack([PIXELS, PIXELS[::-1]]), lossless=True),
    "JPEG 2000": encoded(PHOTO, "JPEG2000"),
    "JPEG 2000 codestream": encoded(PHOTO, "JPEG2000", no_jp2=True),
    "JPEG 2000 in tiles": encoded(PHOTO, "JPEG2000", tile_size=(32, 32)),
    "JPEG 2000 of 16 bits": imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True),
    "JPEG 2000 of 12 bits": imagecodecs.jpeg2k_encode(DEEP >> 4, level=0, reversible=True, bitspersample=12),
    "PNG of 16 bits": imagecodecs.png_encode(DEEP),
    "PPM of 16 bits": b"P6 80 60 65535\n" + DEEP.astype(">u2").tobytes(),
    "PPM of 12 bits": b"P6\n# a comment\n80 60\n4095\n" + (DEEP >> 4).astype(">u2").tobytes(),
    "plain PPM": b"P3 80 60 255\n" + " ".join(map(str, PIXELS.ravel())).encode(),
    "lossless WebP": encoded(PHOTO, "WEBP", lossless=True),
    "WebP with opaque transparency": encoded(PHOTO.convert("RGBA"), "WEBP", lossless=True),
    "animated WebP": encoded(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[random_image(2)]),
    "animated PNG": encoded(PHOTO, "PNG", save_all=True, append_images=[random_image(2)]),
    "BMP of 32 bits": encoded(PHOTO.convert("RGBA"), "BMP"),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_kinds_are_decoded_exactly(kind: str) -> None:
    decoded = decode_image(EXACT[kind])
    # 12 bits are widened to 16 by repeating the first ones.
    assert np.abs(decoded.astype(int) - PIXELS).max() <= ("12 bits" in kind)
    assert measure_image(EXACT[kind]) == (60, 80)


@pytest.mark.parametrize("gray", ["png", "jpeg2k", "jpegxl"])
@pytest.mark.parametrize("alpha", [False, True])
def test_deep_gray_keeps_its_depth(gray: str, alpha: bool) -> None:
    values = DEEP[..., 0]
    stored = np.stack([values, np.full_like(values, 65535)], axis=2) if alpha else values
    options = {"png": {}, "jpeg2k": {"level": 0, "reversible": True}, "jpegxl": {"lossless": True}}[gray]
    content = getattr(imagecodecs, f"{gray}_encode")(np.ascontiguousarray(stored), **options)
    assert np.array_equal(decode_image(content)[..., 0], values >> 8)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [2, 4])
@pytest.mark.parametrize("encode", [imagecodecs.png_encode, imagecodecs.jpegxl_encode], ids=["PNG", "JPEG XL"])
def test_transparency_of_any_depth_becomes_white(depth: type, samples: int, encode: Callable[..., bytes]) -> None:
    values = np.zeros((4, 4, samples), depth)
    values[..., 0] = np.iinfo(depth).max
    values[:2, :, -1] = np.iinfo(depth).max
    decoded = decode_image(encode(values) if encode is imagecodecs.png_encode else encode(values, lossless=True))
    assert decoded[0, 0].tolist() == ([255, 255, 255] if samples == 2 else [255, 0, 0])
    assert decoded[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("size", [(333, 211), (1000, 999), (640, 480), (65, 17)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_jpeg_2000_is_decoded_at_a_lower_resolution(size: tuple[int, int], depth: type) -> None:
    image = random_image(3, size[::-1])
    values = np.asarray(image.convert("L")).astype(depth) * depth(257 if depth is np.uint16 else 1)
    content = imagecodecs.jpeg2k_encode(values, level=0, reversible=True)
    spec = InputSpec.square(32)
    reduced = decode_image(content, spec).astype(int)
    plain = decode_image(encoded(image.convert("L"), "PNG"), spec)
    assert np.abs(reduced - plain).mean() < 6


def test_heic_is_decoded() -> None:
    content = heif(PHOTO, quality=95)
    assert content[8:12] == b"heic"
    assert measure_image(content) == (60, 80)
    assert np.abs(decode_image(content).astype(int) - PIXELS).mean() < 6


@pytest.mark.parametrize("brand", [b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
def test_heif_is_decoded_whatever_its_first_brand(brand: bytes) -> None:
    content = heif(PHOTO, quality=95)
    assert np.abs(decode_image(content[:8] + brand + content[12:]).astype(int) - PIXELS).mean() < 6


def test_avif_is_decoded_when_its_first_brand_is_that_of_heif() -> None:
    content = encoded(PHOTO, "AVIF", quality=95)
    assert np.abs(decode_image(content[:8] + b"mif1" + content[12:]).astype(int) - PIXELS).mean() < 6


def test_heif_with_transparency_becomes_white() -> None:
    image = PHOTO.convert("RGBA")
    image.putalpha(0)
    assert decode_image(heif(image, quality=95)).min() > 250


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_heif_is_applied_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # The writer adds the rotation and mirroring of HEIF that the orientation of EXIF stands for.
    content = heif(Image.fromarray(QUARTERS), quality=95, exif=exif.tobytes())
    assert (b"irot" in content or b"imir" in content) == (orientation > 1)
    tagged = Image.fromarray(QUARTERS)
    tagged.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(tagged))
    decoded = decode_image(content)
    assert decoded.shape == upright.shape
    assert measure_image(content) == upright.shape[:2]
    assert np.abs(decoded.astype(int) - upright).mean() < 4


METADATA = {
    "a text of 2 MB, compressed": png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 2_000_000))),
    "a text of 70 MB, compressed": png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 70_000_000))),
    "an international text, compressed": png_with(
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"a" * 2_000_000)),
    ),
    "50,000 texts": png_with(chunk(b"tEXt", b"k\0v") * 50_000),
    "a wrong checksum of the resolution": png_with(chunk(b"pHYs", bytes(9), checksum=1)),
    "a resolution of a wrong length": png_with(chunk(b"pHYs", b"\1")),
    "a wrong checksum of a text": png_with(chunk(b"tEXt", b"k\0v", checksum=1)),
    "a damaged profile": png_with(chunk(b"iCCP", b"p\0\0damaged")),
    "damaged EXIF in a PNG": png_with(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
    "a wrong checksum of EXIF": png_with(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0", checksum=5)),
    "an unknown chunk": png_with(chunk(b"prVt", bytes(100))),
    "a wrong checksum of a transparency": png_with(chunk(b"tRNS", bytes(6), checksum=2)),
    "bytes after the end of a PNG": encoded(PHOTO, "PNG") + bytes(1000),
    "an animation without frames": png_with(chunk(b"acTL", bytes(8))),
    "damaged EXIF": jpeg_with(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "EXIF with a loop": jpeg_with(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0")),
    "an empty EXIF": jpeg_with(segment(0xE1, b"Exif\0\0")),
    "a damaged XMP": jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<not xml")),
    "a damaged profile in a JPEG": jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\1damaged")),
    "half a profile": jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(100))),
    "an index of other photos that is damaged": jpeg_with(segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff")),
    "a JFIF that is too short": jpeg_with(segment(0xE0, b"JFIF\0")),
    "a JFIF of density 0": jpeg_with(segment(0xE0, b"JFIF\0\1\1\1\0\0\0\0\0\0")),
    "a Photoshop block that is damaged": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\xff\xff\xff")),
    "a comment that is not text": jpeg_with(segment(0xFE, bytes(range(256)))),
    "fill bytes before a segment": jpeg_with(b"\xff" * 5000),
    "bytes between segments": (lambda jpeg: jpeg[:20] + b"\0" * 7 + jpeg[20:])(encoded(PHOTO)),
    "bytes after the end": encoded(PHOTO) + bytes(1000),
    "another photo after the end": encoded(PHOTO) + encoded(random_image(2)),
    "a damaged EXIF in a WebP": encoded(PHOTO, "WEBP", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "a comment of 5 MB in a GIF": (
        lambda gif: gif[:13] + gif[13 : 13 + (3 << (gif[10] & 7) + 1)]
        + b"\x21\xfe" + b"\xff" + b"c" * 255 + (b"\xff" + b"c" * 255) * 19_000 + b"\0"
        + gif[13 + (3 << (gif[10] & 7) + 1) :]
    )(encoded(PHOTO, "GIF")),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trouble", METADATA)
def test_metadata_does_not_matter_to_the_pixels(trouble: str) -> None:
    difference = np.abs(decode_image(METADATA[trouble]).astype(int) - PIXELS)
    assert difference.mean() < 8
    assert measure_image(METADATA[trouble]) == (60, 80)


NAMED = {
    "12-bit JPEG": imagecodecs.jpeg8_encode(DEEP[..., 0] >> 4, bitspersample=12),
    "lossless JPEG": imagecodecs.ljpeg_encode(DEEP[..., 0]),
    "JPEG-LS": imagecodecs.jpegls_encode(PIXELS),
    "DM3": b"\0\0\0\x03\0\x12\x34\x56\0\0\0\x01\x01\0",
    "DM4": b"\0\0\0\x04" + bytes(6) + b"\x12\x34\0\0\0\x01\x01\0",
    "MRC": bytes(4) + b"\x10\0\0\0" + bytes(200) + b"MAP DD\0\0",
    "SER": b"LUCAM-RECORDER\0\0\0\0",
    "XISF": b"XISF0100\x10\0\0\0",
    "MetaImage": b"ObjectType = Image\nNDims = 3\nBinaryData = True\n",
    "ENVI": b"ENVI\ndescription = {}\n",
    "TGA": encoded(PHOTO, "TGA"),
    "TGA image": encoded(PHOTO, "TGA", compression="tga_rle"),
    "a TGA": encoded(PHOTO.convert("P"), "TGA"),
    "a TGA image": encoded(PHOTO.convert("L"), "TGA"),
    "Windows cursor": b"\0\0\2\0\1\0\x20\x20",
    "PDF": b"%PDF-1.7",
    "Photoshop": b"8BPS\0\1",
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "Canon .CRW": b"II\x1a\0\0\0HEAPCCDR",
    "Fujifilm": b"FUJIFILMCCD-RAW 0201",
    "Olympus": b"IIRO\x08\0\0\0",
    "Panasonic": b"IIU\0\x18\0\0\0",
    "Minolta": b"\0MRM\0\0",
    "Sigma": b"FOVb\0\0",
    "SVG": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "web page": b"<!DOCTYPE html><html>",
    "MP4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
    "QuickTime": b"\0\0\0\x14ftypqt  \0\0\0\0",
    "Matroska": b"\x1a\x45\xdf\xa3\1\0",
    "AVI": b"RIFF\0\0\0\0AVI LIST",
    "MPEG": b"\0\0\1\xba!",
    "icon": b"\0\0\1\0\1\0",
    "OpenEXR": b"\x76\x2f\x31\x01\2\0",
    "Radiance": b"#?RADIANCE\n",
    "FITS": b"SIMPLE  =                    T",
    "QOI": b"qoif\0\0",
    "JPEG XR": b"II\xbc\x01\x20",
    "DDS": b"DDS |\0",
    "GIMP": b"gimp xcf v011",
    "DjVu": b"AT&TFORM",
    "Zeiss": b"ZISRAWFILE\0\0",
    "Nikon microscope": b"\xda\xce\xbe\x0a",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "NumPy": b"\x93NUMPY\1\0",
    "zip": b"PK\x03\x04\x14\0",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid",
    "PAM": b"P7\nWIDTH 1\n",
    "PFM in colour": b"PF\n1 1\n-1.0\n" + bytes(12),
    "Apple": b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)) + chunk(b"IHDR", bytes(13)),
    "BMP with JPEG": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 8, 8, 1, 0, 4) + bytes(100),
    "JPEG 2000 with components": imagecodecs.jpeg2k_encode(np.zeros((32, 32, 5), np.uint8), level=0),
}


@pytest.mark.parametrize("kind", NAMED)
def test_formats_that_are_not_read_are_named(kind: str) -> None:
    with pytest.raises(ImageNotSupportedError, match=r"not supported: .*; ") as caught:
        decode_image(NAMED[kind])
    assert kind.replace("Canon .CRW", "Canon (CRW)") in caught.value.message
    assert "damaged" not in caught.value.message


@pytest.mark.parametrize(
    "kind", ["Photoshop", "CR3", "Fujifilm", "SVG", "FITS", "QOI", "icon", "Zeiss", "TGA", "DM3", "MRC"]
)
def test_images_that_are_not_read_count_as_images(kind: str) -> None:
    assert looks_like_image(NAMED[kind][:SIGNATURE_BYTES])


@pytest.mark.parametrize("kind", ["PDF", "MP4", "zip", "HDF5", "web page"])
def test_other_files_do_not_count_as_images(kind: str) -> None:
    assert not looks_like_image(NAMED[kind][:SIGNATURE_BYTES])


def test_texts_do_not_count_as_images() -> None:
    for text in (b"", b"BMW, Audi, Opel, Ford", b"P1 is a class", b"P500,3", b"II. Introduction", b"label,file\n"):
        assert not looks_like_image(text) or text.startswith(b"P1 "), text


def test_every_format_has_its_suffixes() -> None:
    for item in FORMATS:
        assert IMAGE_SUFFIXES.issuperset(item.suffixes)
    assert IMAGE_SUFFIXES.issuperset({".heic", ".hif", ".jxl", ".nef", ".cr2", ".cr3", ".arw", ".dng", ".psd", ".svg"})
    assert IMAGE_SUFFIXES.isdisjoint({".pdf", ".mp4", ".zip", ".txt", ".csv", ".json", ".xml"})


@pytest.mark.parametrize("kind", ["JPEG XL", "JPEG 2000", "PNG of 16 bits", "PPM of 16 bits", "lossless WebP"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_files_are_damaged(kind: str, keep: float) -> None:
    with pytest.raises(ImageError, match="damaged") as caught:
        decode_image(EXACT[kind][: int(len(EXACT[kind]) * keep)])
    assert not isinstance(caught.value, ImageNotSupportedError)


def test_a_truncated_heic_is_damaged() -> None:
    content = heif(PHOTO)
    with pytest.raises(ImageError, match="damaged HEIC/HEIF"):
        decode_image(content[: len(content) // 2])


def test_the_guide_is_written_from_the_table() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    page = runpy.run_path(str(docs / "write_formats.py"))["formats_page"]()
    assert (docs / "formats.md").read_text(encoding="utf-8") == page, "run: python docs/write_formats.py"


def test_a_text_in_a_png_is_not_kept() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("camera", "x" * 100)
    assert np.array_equal(decode_image(encoded(PHOTO, "PNG", pnginfo=texts)), PIXELS)
