"""Intensity range of deep photos: found on training photos, whatever their type, and reported by the checks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.intensity.range import range_of
from model.dataset.intensity.value_distribution import ValueDistribution
from model.dataset.prepare import Verdict
from model.intensity import IntensityRange

Prepare = Callable[..., Verdict]

# Patches of 8 x 8 pixels: neighbours are alike, as in natural photos.
GRAY = np.kron(np.clip(np.random.default_rng(0).normal(128, 60, (30, 12, 12)), 0, 255).round(), np.ones((1, 8, 8)))

KINDS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[float, float]]] = {
    "12 bits in 16": (lambda gray: (gray * 16).astype(np.uint16), (0, 4095)),
    "10 bits in 16": (lambda gray: (gray * 4).astype(np.uint16), (0, 1023)),
    "8 bits in 16": (lambda gray: gray.astype(np.uint16), (0, 255)),
    "all 16 bits": (lambda gray: (gray * 257).astype(np.uint16), (0, 65535)),
    "dim 16 bits": (lambda gray: (200 + gray * 2).astype(np.uint16), (200, 710)),
    "bright end of 16 bits": (lambda gray: (65535 - gray * 16).astype(np.uint16), (61455, 65535)),
    "signed 16 bits": (lambda gray: (gray * 16 - 1024).astype(np.int16), (-1024, 3056)),
    "unsigned 32 bits": (lambda gray: (gray * 65536).astype(np.uint32), (0, 16777215)),
    "signed 32 bits": (lambda gray: (gray * 100 - 5000).astype(np.int32), (-5000, 20500)),
    "floats to 1": (lambda gray: (gray / 255).astype(np.float32), (0, 1)),
    "floats to 255": (lambda gray: gray.astype(np.float32), (0, 255)),
    "floats to 4,095": (lambda gray: (gray / 255 * 4095).astype(np.float32), (0, 4095)),
    "floats from 0.02 to 0.04": (lambda gray: (0.02 + 0.02 * gray / 255).astype(np.float32), (0.02, 0.04)),
    "negative floats": (lambda gray: (gray / 255 * 3 - 1.5).astype(np.float64), (-1.5, 1.5)),
}


def measured(photos: np.ndarray) -> list[ValueDistribution]:
    return [ValueDistribution.measure(photo) for photo in photos]


def is_close(found: IntensityRange | None, expected: tuple[float, float], fraction: float = 0.1) -> bool:
    tolerance = fraction * (expected[1] - expected[0])
    return found is not None and np.abs(np.array([found.low, found.high]) - expected).max() <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_the_range_is_that_of_the_values_in_the_photos(kind: str) -> None:
    convert, expected = KINDS[kind]
    found = range_of(measured(convert(GRAY)))
    assert is_close(found, expected)
    if expected[0] == 0:
        assert found == IntensityRange(*expected), "a range that fills a bit depth is widened to it"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fraction", [0.0001, 0.002, 0.005])
def test_hot_and_dead_pixels_do_not_widen_the_range(kind: str, fraction: float) -> None:
    convert, expected = KINDS[kind]
    photos = convert(GRAY)
    rng = np.random.default_rng(1)
    extremes = (0, 65535) if photos.dtype.kind in "iu" and photos.dtype != np.int16 else (-32768, 32767)
    for value in extremes:
        photos[rng.random(photos.shape) < fraction] = value
    assert is_close(range_of(measured(photos)), expected, 0.15)


@pytest.mark.parametrize("line", [np.s_[:, 20, :], np.s_[:, :, 33], np.s_[:, :, [5, 40]]])
def test_hot_rows_and_columns_do_not_widen_the_range(line: tuple[object, ...]) -> None:
    photos = KINDS["dim 16 bits"][0](GRAY)
    photos[line] = 65535
    assert is_close(range_of(measured(photos)), (200, 710), 0.15)


@pytest.mark.parametrize("value", [0, 65535])
def test_one_overexposed_or_dark_photo_of_thirty_does_not_widen_the_range(value: int) -> None:
    photos = KINDS["dim 16 bits"][0](GRAY) + np.uint16(10_000)
    photos[7] = value
    assert is_close(range_of(measured(photos)), (10_200, 10_710))


def with_bar(photos: np.ndarray, value: float) -> np.ndarray:
    photos[:, 84:92, 60:85] = value
    return photos


def with_mask(photos: np.ndarray, value: float) -> np.ndarray:
    photos[np.kron(np.random.default_rng(2).random((len(photos), 12, 12)) < 0.3, np.ones((1, 8, 8), bool))] = value
    return photos


def with_labelled_bar(photos: np.ndarray, value: float) -> np.ndarray:
    photos[:, 78:84, 60:66] = photos.min()
    return with_bar(photos, value)


@pytest.mark.parametrize("burn", [with_bar, with_mask, with_labelled_bar])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("dim 16 bits", value) for value in (4095, 16383, 60_000, 65535)),
        *(("bright end of 16 bits", value) for value in (0, 255)),
        *(("signed 16 bits", value) for value in (-32768, 32767)),
        *(("floats to 1", value) for value in (-9999, -3.4e38, 1e5, 65535)),
        *(("floats from 0.02 to 0.04", value) for value in (-1, 1)),
    ],
)
def test_scale_bars_masks_and_missing_data_are_left_out(
    kind: str, value: float, burn: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    convert, expected = KINDS[kind]
    photos = convert(GRAY)
    assert is_close(range_of(measured(burn(photos, value))), expected, 0.15)


def test_scale_bars_on_half_of_the_photos_are_left_out() -> None:
    photos = KINDS["dim 16 bits"][0](GRAY)
    with_bar(photos[::2], 65535)
    assert is_close(range_of(measured(photos)), (200, 710), 0.15)


def test_bright_objects_with_their_own_gray_levels_are_inside_the_range() -> None:
    rng = np.random.default_rng(3)
    photos = rng.normal(300, 10, (20, 96, 96)).astype(np.uint16)
    photos[:, 40:56, 40:56] = rng.normal(30_000, 3000, (20, 16, 16)).clip(0, 35_000)
    found = range_of(measured(photos))
    assert found is not None and found.low < 300 and found.high > 30_000


def test_flat_objects_that_differ_in_brightness_are_inside_the_range() -> None:
    photos = np.random.default_rng(3).normal(300, 10, (20, 96, 96)).astype(np.uint16)
    photos[::2, 40:56, 40:56], photos[1::2, 40:56, 40:56] = 20_000, 40_000
    found = range_of(measured(photos))
    assert found is not None and found.low < 300 and found.high >= 40_000


def test_blown_out_highlights_with_a_transition_are_inside_the_range() -> None:
    rows = np.clip(np.linspace(0, 90_000, 256), 500, 65535)[:, None]
    photos = (rows + np.random.default_rng(4).normal(0, 20, (10, 256, 128))).clip(0, 65535).astype(np.uint16)
    assert range_of(measured(photos)) == IntensityRange(0, 65535)


def test_a_few_brighter_photos_widen_the_range_as_long_as_the_others_keep_their_gray_levels() -> None:
    photos = KINDS["dim 16 bits"][0](GRAY)
    photos[7] = photos[7] * 2
    assert is_close(range_of(measured(photos)), (200, 1420))


def test_small_bright_objects_on_a_dark_ground_are_inside_the_range() -> None:
    photos = np.full((20, 256, 256), 300, np.uint16)
    photos[:, 100:112, 50:62] = 40_000
    assert range_of(measured(photos)) == IntensityRange(0, 65535)


def test_all_channels_have_one_range_so_that_colours_are_kept() -> None:
    photo = np.stack([KINDS["12 bits in 16"][0](GRAY[0]) // part for part in (1, 2, 8)], axis=-1)
    assert range_of(measured(np.stack([photo] * 3))) == IntensityRange(0, 4095)


def test_photos_of_one_value_have_no_range() -> None:
    assert range_of([]) is None
    assert range_of(measured(np.full((3, 8, 8), 700, np.uint16))) is None
    assert range_of(measured(np.full((3, 8, 8), np.nan, np.float32))) is None


def test_the_range_does_not_depend_on_the_order_of_the_photos() -> None:
    photos = measured(KINDS["dim 16 bits"][0](GRAY))
    assert range_of(photos) == range_of(photos[::-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (2, 2), (3, 3), (2, 3, 3), (1000, 1), (700, 3000)])
def test_photos_of_every_shape_are_measured(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    found = ValueDistribution.measure(values)
    assert found.quantile(0.5) == pytest.approx((values.size - 1) / 2, rel=0.02, abs=1)


def write_photos(root: Path, photos: np.ndarray, suffix: str = ".tif") -> Path:
    """Photos in three class folders, by turns."""
    for number, photo in enumerate(photos):
        folder = root / ("cat", "dog", "owl")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / f"{number:02}{suffix}")
    return root


def test_the_check_states_the_values_of_deep_photos_and_their_range(tmp_path: Path, prepare: Prepare) -> None:
    verdict = prepare(write_photos(tmp_path / "photos", KINDS["dim 16 bits"][0](GRAY)))
    assert isinstance(verdict.intensity, IntensityRange) and is_close(verdict.intensity, (200, 710))
    assert verdict.training_data.intensity == verdict.intensity
    low, high = verdict.intensity.low, verdict.intensity.high
    assert f"30 16-bit photos with values from {low:.0f} to {high:.0f} of 65,535: reduced to 8 bits by the" in str(
        verdict
    )
    assert "(intensity = auto)" in verdict.values and "gray levels" not in str(verdict)
    assert verdict.to_json()["intensity"] == f"{low:.0f},{high:.0f}"


def test_scale_bars_do_not_make_photos_look_like_duplicates(tmp_path: Path, prepare: Prepare) -> None:
    verdict = prepare(write_photos(tmp_path / "photos", with_bar(KINDS["dim 16 bits"][0](GRAY), 65535)))
    assert len(set(verdict.groups.values())) == len(GRAY)
    assert isinstance(verdict.intensity, IntensityRange) and is_close(verdict.intensity, (200, 710), 0.15)
    assert "gray levels" not in str(verdict)


def test_deep_photos_with_few_levels_by_their_full_range_are_not_taken_for_duplicates(
    tmp_path: Path, prepare: Prepare
) -> None:
    verdict = prepare(write_photos(tmp_path / "photos", (200 + GRAY / 8).astype(np.uint16)))
    assert len(set(verdict.groups.values())) == len(GRAY)


def test_photos_of_8_bits_are_left_alone_beside_deep_ones(tmp_path: Path, prepare: Prepare) -> None:
    root = write_photos(tmp_path / "photos", KINDS["12 bits in 16"][0](GRAY))
    for number in range(6):
        Image.fromarray(GRAY[number].astype(np.uint8)[::-1].copy()).save(root / "cat" / f"eight {number}.png")
    verdict = prepare(root)
    assert verdict.intensity == IntensityRange(0, 4095)
    assert "The other 6 photos of 8 bits stay as they are" in verdict.values


def test_without_deep_photos_nothing_is_said(class_folders: Path, prepare: Prepare) -> None:
    verdict = prepare(class_folders)
    assert (verdict.intensity, verdict.values) == ("full", "")
    assert "Values" not in str(verdict)


def test_the_range_is_found_on_training_photos_only(tmp_path: Path, prepare: Prepare) -> None:
    photos = KINDS["12 bits in 16"][0](GRAY)
    write_photos(tmp_path / "photos" / "train", photos[:18])
    write_photos(tmp_path / "photos" / "val", photos[18:24])
    write_photos(tmp_path / "photos" / "test", photos[24:] + np.uint16(50_000))
    verdict = prepare(tmp_path / "photos")
    assert verdict.intensity == IntensityRange(0, 4095)
    assert "6 photos with more than half of the values outside the intensity range 0 to 4,095" in str(verdict)


def test_full_and_a_stated_range_are_used_as_they_are(tmp_path: Path, prepare: Prepare) -> None:
    root = write_photos(tmp_path / "photos", KINDS["dim 16 bits"][0](GRAY))
    full = prepare(root, intensity="full")
    assert full.intensity == "full"
    assert "30 photos with fewer than 16 gray levels by the full range of their type: intensity = auto would" in str(
        full
    )
    stated = prepare(root, intensity="100,1000")
    assert stated.intensity == IntensityRange(100, 1000) and "range 100 to 1,000" in stated.values
    assert "gray levels" not in str(stated)
    assert "more than half of the values outside" in str(prepare(root, intensity="5000,6000"))


def test_photos_of_another_bit_depth_are_named(tmp_path: Path, prepare: Prepare) -> None:
    photos = np.concatenate([KINDS["all 16 bits"][0](GRAY[:25]), KINDS["10 bits in 16"][0](GRAY[25:])])
    verdict = prepare(write_photos(tmp_path / "photos", photos))
    assert verdict.intensity == IntensityRange(0, 65535)
    assert "5 photos with fewer than 16 gray levels by the intensity range 0 to 65,535" in str(verdict)


def test_integers_and_floats_of_different_units_are_scaled_each_by_itself(tmp_path: Path, prepare: Prepare) -> None:
    root = write_photos(tmp_path / "photos", KINDS["12 bits in 16"][0](GRAY[:15]))
    for number, photo in enumerate(KINDS["floats to 1"][0](GRAY[15:])):
        Image.fromarray(photo).save(root / ("cat", "dog", "owl")[number % 3] / f"float {number}.tif")
    verdict = prepare(root)
    assert verdict.intensity == "full"
    assert "cannot have one intensity range" in str(verdict)


def test_integers_and_floats_of_the_same_unit_have_one_range(tmp_path: Path, prepare: Prepare) -> None:
    root = write_photos(tmp_path / "photos", KINDS["12 bits in 16"][0](GRAY[:15]))
    for number, photo in enumerate(KINDS["floats to 4,095"][0](GRAY[15:])):
        Image.fromarray(photo).save(root / ("cat", "dog", "owl")[number % 3] / f"float {number}.tif")
    assert prepare(root).intensity == IntensityRange(0, 4095)


def test_deep_photos_outside_training_are_named(tmp_path: Path, prepare: Prepare) -> None:
    write_photos(tmp_path / "photos" / "train", GRAY[:18].astype(np.uint8))
    write_photos(tmp_path / "photos" / "val", GRAY[18:].astype(np.uint16))
    verdict = prepare(tmp_path / "photos")
    assert verdict.intensity == "full"
    assert "12 photos with more than 8 bits per channel, none of them for training" in str(verdict)
