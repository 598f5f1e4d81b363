"""The image decoder: formats, orientation, and refusals."""

import io
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.dataset.decoders.dicom import open_dicom
from model.dataset.fitting import PADDING
from model.dataset.images import decode_image, measure_image, read_image
from model.errors import ImageError, ImageTooLargeError
from model.results import InputSpec
from tests.support.photos import encoded, random_image
from tests.support.slowness import slowness

GRAY_RAMP = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)


def png(width: int, height: int, depth: int, color_type: int, rows: bytes) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_of_16_bit_rgb(values: np.ndarray) -> bytes:
    """An uncompressed TIFF of uint16 (height, width, 3), written by hand: Pillow writes none."""
    height, width, _ = values.shape
    pixels = values.astype("<u2").tobytes()
    entries: tuple[tuple[int, ...], ...] = (
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, 8 + len(pixels)),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
    )
    entries += ((273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels)))
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    start = 8 + len(pixels) + 6
    return b"II*\0" + struct.pack("<I", start) + pixels + struct.pack("<HHH", 16, 16, 16) + directory + b"\0" * 4


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_lossless_formats_are_decoded_exactly(file_format: str) -> None:
    image = random_image(1).quantize(64).convert("RGB")
    assert np.array_equal(decode_image(encoded(image, file_format)), np.array(image))


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy_formats_are_decoded_nearly_exactly(file_format: str) -> None:
    image = random_image(1)
    decoded = decode_image(
        encoded(image, file_format, quality=95) if file_format != "JPEG2000" else encoded(image, file_format)
    )
    assert np.abs(decoded.astype(int) - np.array(image)).mean() < 6


def test_result_is_writable_uint8_rgb() -> None:
    decoded = decode_image(encoded(random_image(1)))
    assert (decoded.dtype, decoded.shape, decoded.flags.writeable) == (np.uint8, (60, 80, 3), True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("size", [None, (30, 40)])
def test_exif_orientation_is_applied(orientation: int, file_format: str, size: tuple[int, int] | None) -> None:
    # Red, green, blue and white quarters: each orientation puts them elsewhere.
    upright = np.zeros((160, 240, 3), np.uint8)
    upright[:80, :120], upright[:80, 120:], upright[80:, :120], upright[80:, 120:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif)
    decoded = decode_image(content, None if size is None else InputSpec(*size))
    height, width = size or (160, 240)
    assert decoded.shape == (height, width, 3)
    assert measure_image(content) == (160, 240)
    for row, column in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        expected = upright[int(160 * row), int(240 * column)].astype(int)
        assert np.abs(decoded[int(height * row), int(width * column)] - expected).max() < 40


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored() -> None:
    content = encoded(random_image(1), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode_image(content).shape == (60, 80, 3)


def test_cmyk_is_converted_to_rgb() -> None:
    decoded = decode_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100))
    assert np.abs(decoded.astype(int) - (255, 0, 0)).max() < 12


def test_palettes_with_transparency_are_converted_to_rgb() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    decoded = decode_image(encoded(image, "PNG", transparency=0))
    assert decoded[0, 0].tolist() == [200, 100, 50]
    assert decoded[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("mode", "color"), [("RGBA", (255, 0, 0, 128)), ("LA", (0, 128))])
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_on_white(mode: str, color: tuple[int, ...], file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    decoded = decode_image(encoded(Image.new(mode, (4, 4), color), file_format, **options))
    expected = (255, 127, 127) if mode == "RGBA" else (127, 127, 127)
    assert np.abs(decoded[0, 0].astype(int) - expected).max() <= 1


def test_gray_and_bilevel_become_three_equal_channels() -> None:
    for image in (Image.linear_gradient("L"), Image.linear_gradient("L").convert("1")):
        decoded = decode_image(encoded(image, "PNG"))
        assert np.array_equal(decoded[..., 0], np.array(image.convert("L")))
        assert np.ptp(decoded, axis=2).max() == 0


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_by_its_full_range(file_format: str) -> None:
    decoded = decode_image(encoded(Image.fromarray(GRAY_RAMP), file_format))
    assert np.abs(decoded[..., 0].astype(float) - GRAY_RAMP / 257).max() <= 1
    assert (decoded.min(), decoded.max()) == (0, 255)


def test_16_bit_netpbm_is_scaled_by_its_full_range() -> None:
    content = b"P5 16 16 65535\n" + GRAY_RAMP.astype(">u2").tobytes()
    assert np.array_equal(decode_image(content)[..., 0], GRAY_RAMP >> 8)


def test_16_bit_rgb_is_scaled_by_its_full_range_like_gray() -> None:
    values = np.stack([GRAY_RAMP, GRAY_RAMP[::-1], GRAY_RAMP.T], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    for content in (png(16, 16, 16, 2, rows), tiff_of_16_bit_rgb(values)):
        assert np.array_equal(decode_image(content), values >> 8)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 25700.0, 65535.0], [0, 100, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([7e5, 7e5, 7e5], [0, 0, 0]),
    ],
)
def test_float_tiff_is_scaled_by_its_range(values: list[float], expected: list[int]) -> None:
    content = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert decode_image(content)[0, :, 0].tolist() == expected


def test_32_bit_integer_tiff_is_scaled_by_its_range() -> None:
    content = encoded(Image.fromarray(np.array([[0, 1000, 100_000]], np.int32)), "TIFF")
    assert decode_image(content)[0, :, 0].tolist() == [0, 3, 255]


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_is_used(file_format: str) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    content = encoded(first, file_format, save_all=True, append_images=[second])
    assert np.abs(decode_image(content)[4, 4].astype(int) - (255, 0, 0)).max() < 5


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 2000), (777, 555)])
def test_every_resize_mode_returns_the_requested_size(resize: str, shape: tuple[int, int]) -> None:
    for file_format in ("JPEG", "PNG"):
        content = encoded(Image.new("RGB", shape[::-1], "red"), file_format)
        assert decode_image(content, InputSpec(64, 48, resize)).shape == (64, 48, 3)


def test_pad_keeps_the_whole_image_and_crop_its_centre() -> None:
    wide = Image.new("RGB", (400, 100), "red")
    wide.paste("blue", (150, 0, 250, 100))
    content = encoded(wide, "PNG")
    padded = decode_image(content, InputSpec.square(100, "pad"))
    assert tuple(padded[0, 50]) == PADDING
    assert tuple(padded[50, 5]) == (255, 0, 0)
    assert np.array_equal(
        np.unique(decode_image(content, InputSpec.square(100, "crop")).reshape(-1, 3), axis=0), [[0, 0, 255]]
    )


def test_an_unknown_resize_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="squash, pad, crop, received 'stretch'"):
        InputSpec.square(8, "stretch")


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_scaled_decoding_is_close_to_full_decoding(resize: str) -> None:
    image = random_image(3, (1200, 1600))
    scaled = decode_image(encoded(image, quality=95), InputSpec.square(150, resize))
    plain = decode_image(encoded(image, "PNG"), InputSpec.square(150, resize))
    assert np.abs(scaled.astype(int) - plain).mean() < 3


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "an empty file"),
        (b"this is not\nan image", "text beginning with 'this is not an image'"),
        ("\ufefföäü".encode(), "text beginning with 'öäü'"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\0\0\0\x18ftypheic", "a damaged HEIC/HEIF of 12 bytes"),
        (b"\xde\xad\xbe\xef\0\0\0\0\0", "9 bytes beginning with de ad be ef"),
        (b"\x89PNG\r\n\x1a\n", "a damaged PNG of 8 bytes"),
    ],
)
def test_the_error_states_what_was_received(content: bytes, received: str) -> None:
    with pytest.raises(ImageError, match="expected an image") as caught:
        decode_image(content)
    assert received in caught.value.message


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "PPM", "JPEG2000"])
def test_truncated_file_is_refused(file_format: str) -> None:
    content = encoded(random_image(5, (300, 400)), file_format)
    with pytest.raises(ImageError):
        decode_image(content[: len(content) * 2 // 3], InputSpec.square(32))


def test_the_error_of_a_text_named_jpg_states_its_path(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("buy milk")
    with pytest.raises(ImageError, match=r"notes\.jpg: expected an image .* 'buy milk'"):
        read_image(path)


def test_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_huge_png_is_refused_before_decoding(side: int) -> None:
    content = png(side, side, 8, 2, zlib.compress(b"\0" * 1000))
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError, match="which takes"):
        decode_image(content)
    assert time.perf_counter() - start < 0.5 * slowness()


def test_the_memory_limit_is_the_callers_and_pillows_own_limit_is_kept() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageTooLargeError, match="at most 0 MB to decode, received JPEG of 80 x 60 pixels"):
        decode_image(encoded(random_image(1)), max_memory=100)
    assert before == Image.MAX_IMAGE_PIXELS


@settings(max_examples=150, deadline=None)
@given(
    file_format=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    keep=st.floats(0, 1),
)
def test_a_damaged_file_is_decoded_or_an_image_error(
    file_format: str, changes: list[tuple[float, int]], keep: float
) -> None:
    content = bytearray(encoded(random_image(7, (20, 30)), file_format))
    for place, value in changes:
        content[int(place * len(content))] = value
    try:
        assert decode_image(bytes(content[: int(keep * len(content))]), InputSpec.square(16)).shape == (16, 16, 3)
    except ImageError as error:
        assert "expected" in error.message


def test_a_truncated_photo_is_refused(shared_datasets: Path) -> None:
    with pytest.raises(ImageError, match=r"small_IMG_1533\.jpg: .*truncated"):
        read_image(shared_datasets / "lego-signs" / "images" / "small_IMG_1533.jpg", InputSpec.square(224))


def test_dicom_without_pydicom_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError, match=r"topgraft\[dicom\]"):
        open_dicom(b"\0" * 128 + b"DICM")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_is_scaled_by_its_range(photometric: str) -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 16, 16, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PhotometricInterpretation = photometric
    dataset.PixelData = (GRAY_RAMP // 16).tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    decoded = decode_image(stream.getvalue())[..., 0]
    assert (decoded[0, 0], decoded[-1, -1]) == ((255, 0) if photometric == "MONOCHROME1" else (0, 255))
    with pytest.raises(ImageTooLargeError):
        decode_image(stream.getvalue(), max_memory=100)
