"""Reduction to 8 bits: every type of pixels, by an intensity range and by the full range of the type."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from model.dataset.images import decode_image, decode_photo, fit_photo
from model.dataset.intensity.gray_levels import reduce_photo, to_8_bits
from model.errors import ConfigError
from model.intensity import IntensityRange, parse_intensity
from model.results import InputSpec
from tests.dataset.test_images import png, tiff_of_16_bit_rgb

TYPES = ("uint16", ">u2", "int16", ">i2", "uint32", "int32", ">i4", "uint64", "float16", "float32", "float64", ">f8")
DEEP = np.array([[200, 455, 710, 100, 5000, 30000]])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [0, 3])
def test_a_range_is_applied_alike_to_every_type_and_number_of_channels(dtype: str, channels: int) -> None:
    values = DEEP.astype(dtype)
    if channels:
        values = np.stack([values] * channels, axis=-1)
    reduced = to_8_bits(values, IntensityRange(200, 710))
    assert reduced.dtype == np.uint8 and reduced.shape == values.shape
    expected = np.array([0, 128, 255, 0, 255, 255])
    assert np.abs(reduced.reshape(6, -1) - expected[:, None].astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_a_range_may_begin_below_zero(dtype: str) -> None:
    assert to_8_bits(np.array([-1024, 0, 3071], dtype), IntensityRange(-1024, 3071)).tolist() == [0, 64, 255]


def test_12_bits_in_16_become_the_8_bits_of_the_camera() -> None:
    every = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert np.array_equal(to_8_bits(every, IntensityRange(0, 4095)), np.rint(every * (255 / 4095)))


def test_far_numbers_keep_their_precision() -> None:
    values = np.array([2**31 + 200, 2**31 + 455, 2**31 + 710], np.uint32)
    assert to_8_bits(values, IntensityRange(2**31 + 200, 2**31 + 710)).tolist() == [0, 128, 255]


def test_with_a_range_nan_is_black_and_infinities_are_clipped() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    assert to_8_bits(values, IntensityRange(0, 1)).tolist() == [0, 255, 0, 128]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 255, 256, 65535], "uint16", [0, 0, 1, 255]),
        ([0, 255, 256, 65535], ">u2", [0, 0, 1, 255]),
        ([0, 100, 255], "int16", [0, 100, 255]),
        ([-100, 0, 100], "int16", [0, 128, 255]),
        ([0, 25700, 65535], "int32", [0, 100, 255]),
        ([0, 1000, 100_000], "uint32", [0, 3, 255]),
        ([0, 0.5, 1], "float16", [0, 128, 255]),
        ([0, 100, 255], "float64", [0, 100, 255]),
        ([-10, 0, 10], "float32", [0, 128, 255]),
        ([7e5, 7e5], "float32", [0, 0]),
        ([np.nan, np.nan], "float32", [0, 0]),
        ([np.inf, -np.inf, 0, 1], "float64", [0, 0, 0, 255]),
        ([-3e307, 0, 3e307], "float64", [0, 128, 255]),
    ],
)
def test_without_a_range_the_full_range_of_the_type_is_used(
    values: list[float], dtype: str, expected: list[int]
) -> None:
    assert to_8_bits(np.array(values).astype(dtype)).tolist() == expected


def test_8_bits_are_never_changed() -> None:
    values = np.arange(256, dtype=np.uint8)
    assert to_8_bits(values, IntensityRange(10, 20)) is values
    content = encoded(Image.linear_gradient("L"))
    assert np.array_equal(
        decode_image(content, InputSpec.square(256, intensity=IntensityRange(0, 9))), decode_image(content)
    )


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_a_photo_is_decoded_by_the_range_of_the_network_input(file_format: str) -> None:
    image = Image.fromarray((200 + np.arange(256).reshape(16, 16) * 2).astype(np.uint16))
    spec = InputSpec.square(16, intensity=IntensityRange(200, 710))
    decoded = decode_image(encoded(image, file_format), spec)
    assert np.array_equal(decoded[..., 0], np.arange(256).reshape(16, 16))
    assert np.array_equal(fit_photo(image, spec).pixels, decoded)


def test_colours_of_16_bits_are_decoded_by_one_range_for_all_channels() -> None:
    gray = np.arange(256).reshape(16, 16)
    values = (200 + 2 * np.stack([gray, gray[::-1], gray // 2], axis=-1)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    netpbm = b"P6 16 16 65535\n" + values.astype(">u2").tobytes()
    for content in (png(16, 16, 16, 2, rows), tiff_of_16_bit_rgb(values), netpbm):
        photo = decode_photo(content, InputSpec.square(16, intensity=IntensityRange(200, 710)))
        assert np.array_equal(photo.pixels, (values - 200) // 2)
        assert photo.values is not None and photo.values.extent == pytest.approx((200, 710), abs=40)


@pytest.mark.parametrize("dtype", [name for name in TYPES if name != "uint64"])
def test_the_values_of_a_deep_photo_are_measured_over_all_channels(dtype: str) -> None:
    values = np.stack([np.full((300, 400), value) for value in (100, 200, 300)], axis=-1).astype(dtype)
    values[7, ::40] = 30000
    reduced, measured = reduce_photo(values, "photo")
    assert measured is not None and measured.dtype == np.dtype(dtype).newbyteorder("=").name
    assert (measured.quantile(0), measured.quantile(0.5), measured.quantile(0.999)) == (100, 200, 300)
    assert measured.fraction_outside(100, 300) < 0.001
    assert measured.fraction_outside(150, 250) == pytest.approx(0.65, abs=0.05)
    assert reduced[0, 0].tolist() == [0, 128, 255]


def test_nan_and_infinities_are_not_measured() -> None:
    values = np.full((10, 10), np.nan, np.float32)
    _, measured = reduce_photo(values, "full")
    assert measured is not None and measured.quantile(1) == 0
    values[0, :3] = (np.inf, -np.inf, 0.5)
    _, measured = reduce_photo(values, "full")
    assert measured is not None and (measured.quantile(0), measured.quantile(1)) == (0.5, 0.5)


def test_no_pixel_column_of_a_large_photo_is_measured_alone() -> None:
    values = np.zeros((2000, 2048), np.uint16)
    values[:, ::2] = 1000
    _, measured = reduce_photo(values, "full")
    assert measured is not None and (measured.quantile(0.4), measured.quantile(0.6)) == (0, 1000)


def test_photos_of_8_bits_are_not_measured() -> None:
    assert decode_photo(encoded(Image.linear_gradient("L"))).values is None
    deep = decode_photo(encoded(Image.fromarray(np.full((4, 4), 700, np.uint16))))
    assert deep.values is not None and deep.values.quantile(0.5) == 700


def test_large_photos_are_reduced_with_little_memory_besides_the_result() -> None:
    for dtype in (np.uint16, np.float32):
        values = np.zeros((4000, 5000), dtype)
        tracemalloc.start()
        to_8_bits(values, IntensityRange(0, 100))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < values.size + 40_000_000


@pytest.mark.parametrize("text", ["auto", "full"])
def test_the_option_may_state_no_range(text: str) -> None:
    assert parse_intensity(text) == text


@pytest.mark.parametrize(
    ("text", "expected"), [("0,4095", (0, 4095)), ("-1024, 3071", (-1024, 3071)), ("1e-3,0.5", (0.001, 0.5))]
)
def test_the_option_states_a_range_that_it_accepts_again(text: str, expected: tuple[float, float]) -> None:
    found = parse_intensity(text)
    assert found == IntensityRange(*expected)
    assert parse_intensity(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "Auto", "5", "1,2,3", "710,200", "3,3", "nan,1", "0,inf", "a,b", "0;4095", "0," + "9" * 500]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="intensity: expected auto, full, or two numbers LOW,HIGH") as refused:
        parse_intensity(text)
    assert len(refused.value.message) < 400


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()
