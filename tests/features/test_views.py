"""Each operation of augmentation alone: what it does, and that it keeps shape, type and what it promises at 0."""

import numpy as np
import pytest

from model import augmentation
from model.augmentation import Operation, parse_augmentation
from model.config import TrainConfig
from model.features.views import OPERATIONS, View, augment, views_of

NO_STRENGTH = {"crop": 1.0}
SIZES = [(48, 64), (33, 17), (1, 1), (1, 9)]


def random_image(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)[:height, :width]


def apply(name: str, number: float, image: np.ndarray, seed: int = 1) -> np.ndarray:
    return OPERATIONS[name](image, number, np.random.default_rng(seed))


def strongest(name: str) -> float:
    info = augmentation.OPERATIONS[name]
    return info.minimum if name in NO_STRENGTH else info.maximum


def test_every_operation_of_the_grammar_is_implemented() -> None:
    assert OPERATIONS.keys() == augmentation.OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_a_view_has_shape_and_dtype_of_its_input_which_is_unchanged(name: str, size: tuple[int, int]) -> None:
    image = random_image(*size)
    before = image.copy()
    for seed in range(10):
        changed = apply(name, strongest(name), image, seed)
        assert changed.shape == image.shape and changed.dtype == np.uint8
        assert changed.flags["C_CONTIGUOUS"]
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_strength_zero_changes_nothing(name: str) -> None:
    for seed in range(10):
        assert np.array_equal(
            apply(name, NO_STRENGTH.get(name, 0.0), random_image(seed=seed), seed), random_image(seed=seed)
        )


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_view_depends_on_the_random_generator_alone(name: str) -> None:
    results = [apply(name, strongest(name), random_image(), seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert np.array_equal(results[0], results[1])
    if not name.startswith("flip"):
        assert len({result.tobytes() for result in results}) == 5


@pytest.mark.parametrize(("name", "flipped"), [("flip_lr", np.s_[:, ::-1]), ("flip_ud", np.s_[::-1])])
def test_flips_have_their_probability(name: str, flipped: tuple[slice, ...]) -> None:
    assert np.array_equal(apply(name, 1.0, random_image()), random_image()[flipped])
    count = sum(np.array_equal(apply(name, 0.5, random_image(), seed), random_image()[flipped]) for seed in range(400))
    assert 160 < count < 240


def test_rotation_is_about_the_centre_and_leaves_no_black_corner() -> None:
    image = np.full((65, 65, 3), 200, np.uint8)
    image[30:35, 42:47] = 0
    seen = [apply("rotate", 90, image, seed) for seed in range(20)]
    angles = []
    for turned in seen:
        rows, columns = np.nonzero(turned[..., 0] < 60)
        angles.append(np.degrees(np.arctan2(32 - rows.mean(), columns.mean() - 32)))
        assert np.hypot(rows.mean() - 32, columns.mean() - 32) == pytest.approx(12, abs=1)
        assert turned[[0, 0, -1, -1], [0, -1, 0, -1]].min() > 150
    assert min(angles) < -30 and max(angles) > 30 and max(np.abs(angles)) <= 91


def test_crop_enlarges_a_part() -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(100, axis=0)
    spans = []
    for seed in range(50):
        row = apply("crop", 0.5, ramp, seed)[50, :, 0].astype(int)
        spans.append((row[-1] - row[0]) / 199)
    assert min(spans) >= 0.49 and max(spans) <= 1 and max(spans) - min(spans) > 0.3


def test_color_changes_gray_in_brightness_only_and_never_wraps_around() -> None:
    gray = np.full((8, 8, 3), 100, np.uint8)
    values = [apply("color", 0.2, gray, seed) for seed in range(50)]
    assert all(np.ptp(value) == 0 and 79 <= value[0, 0, 0] <= 121 for value in values)
    assert len({int(value[0, 0, 0]) for value in values}) > 10
    white = np.full((8, 8, 3), 255, np.uint8)
    assert min(apply("color", 1.0, white, seed).min() for seed in range(50)) < 100
    assert all(np.ptp(apply("color", 1.0, white, seed)) == 0 for seed in range(50))


def test_blur_smooths_and_keeps_the_mean() -> None:
    image = random_image()
    blurred = apply("blur", 5, image)
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < np.abs(np.diff(image.astype(int), axis=1)).mean()
    assert blurred.mean() == pytest.approx(image.mean(), abs=3)


def test_noise_has_at_most_the_requested_strength() -> None:
    gray = np.full((100, 100, 3), 128, np.uint8)
    deviations = [apply("noise", 0.1, gray, seed).std() / 255 for seed in range(30)]
    assert max(deviations) < 0.104 and max(deviations) > 0.08 and min(deviations) < 0.03


def test_cutout_paints_one_rectangle_in_the_mean_colour() -> None:
    image = random_image()
    painted = apply("cutout", 0.5, image, seed=4)
    rows, columns = np.nonzero((painted != image).any(axis=2))
    assert len(rows) and np.ptp(rows) < 24 and np.ptp(columns) < 32
    assert np.array_equal(painted[rows[0], columns[0]], np.rint(image.mean(axis=(0, 1))))


def test_operations_are_applied_in_their_order() -> None:
    image = random_image()
    one, other = (
        augment(image, parse_augmentation(text, 0), np.random.default_rng(3))
        for text in ("cutout(0.9)|rotate(90)", "rotate(90)|cutout(0.9)")
    )
    assert not np.array_equal(one, other)


def test_a_view_depends_on_seed_number_content_and_operations_alone() -> None:
    operations = (Operation("crop", 0.5), Operation("noise", 0.1))
    image, content_hash = random_image(), "ab" * 32
    first = View(operations, 7, 1)
    assert np.array_equal(first.apply(image, content_hash), View(operations, 7, 1).apply(image, content_hash))
    others = [
        View(operations, 8, 1).apply(image, content_hash),
        View(operations, 7, 2).apply(image, content_hash),
        View(operations[:1], 7, 1).apply(image, content_hash),
        first.apply(image, "cd" * 32),
    ]
    assert not any(np.array_equal(first.apply(image, content_hash), other) for other in others)
    assert len({View(operations, 8, 1).key, View(operations, 7, 2).key, View(operations[:1], 7, 1).key, first.key}) == 4


@pytest.mark.parametrize("preset", ["light", "medium", "strong"])
def test_presets_change_an_image_and_leave_it_recognisable(preset: str) -> None:
    smooth = np.asarray(np.linspace(0, 255, 64)[None, :, None] * np.ones((64, 1, 3)), np.uint8)
    seen = augment(smooth, parse_augmentation(preset, 0), np.random.default_rng(0))
    assert not np.array_equal(seen, smooth)
    assert np.corrcoef(seen.ravel(), smooth.ravel())[0, 1] > 0.7


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 0), ({"fine_tune": "all"}, 4), ({"fine_tune": "auto"}, 4), ({"weights": "none"}, 4)],
    ids=str,
)
def test_auto_creates_no_views_for_a_head_alone(options, count):
    assert len(views_of(TrainConfig(augmentation="auto", **options), images_per_class=20)) == count
