"""The demo dataset: the same for the same seed, balanced, and in the AI4OS layout."""

import collections
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.errors import ConfigError
from model.synthesis.backgrounds import SCENES, draw_background, fractal_noise
from model.synthesis.composition import Variation, compose_photo, write_demo_dataset
from model.synthesis.traffic_signs import CUTOUT_SIZE, SIGNS, draw_sign


def _files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    write_demo_dataset(directory, images_per_class=5, seed=3)
    return directory


def test_the_same_seed_writes_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    write_demo_dataset(tmp_path, images_per_class=5, seed=3)
    assert _files(tmp_path) == _files(demo)


def test_another_seed_draws_other_photos(demo: Path, tmp_path: Path) -> None:
    write_demo_dataset(tmp_path, images_per_class=3, seed=4)
    first, second = _files(demo), _files(tmp_path)
    assert all(first[name] != second[name] for name in second if name.endswith(".jpg"))


def test_a_larger_dataset_holds_the_images_of_a_smaller_one(demo: Path, tmp_path: Path) -> None:
    write_demo_dataset(tmp_path, images_per_class=3, seed=3)
    larger, smaller = _files(demo), _files(tmp_path)
    assert all(larger[name] == smaller[name] for name in smaller if name.endswith(".jpg"))


def test_every_image_is_listed_once_with_its_class(demo: Path) -> None:
    classes = (demo / "dataset_files" / "classes.txt").read_text().splitlines()
    assert classes == sorted(SIGNS)
    counts: dict[str, collections.Counter[str]] = {}
    listed = []
    for split in ("train", "val", "test"):
        lines = [line.rsplit(" ", 1) for line in (demo / "dataset_files" / f"{split}.txt").read_text().splitlines()]
        assert all(name.split("/")[0] == classes[int(label)] for name, label in lines)
        counts[split] = collections.Counter(label for _, label in lines)
        listed += [name for name, _ in lines]
    assert {split: set(count.values()) for split, count in counts.items()} == {"train": {3}, "val": {1}, "test": {1}}
    assert sorted(f"images/{name}" for name in listed) == sorted(n for n in _files(demo) if n.endswith(".jpg"))


def test_photos_are_jpegs_of_an_ordinary_size(demo: Path) -> None:
    for content in (content for name, content in _files(demo).items() if name.endswith(".jpg")):
        with Image.open(io.BytesIO(content)) as photo:
            photo.load()
            assert (photo.format, photo.mode) == ("JPEG", "RGB")
            assert 320 <= photo.width <= 480 and 240 <= photo.height <= 360
            assert np.asarray(photo).std() > 5


def test_progress_counts_every_image(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    write_demo_dataset(tmp_path, 3, progress=lambda phase, done, total, /, **metrics: seen.append((phase, done, total)))
    total = 3 * len(SIGNS)
    assert seen == [("synthesize", done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(("images_per_class", "seed"), [(2, 0), (0, 0), (10, -1)])
def test_impossible_requests_are_refused_before_anything_is_written(
    tmp_path: Path, images_per_class: int, seed: int
) -> None:
    with pytest.raises(ConfigError, match=f"received {images_per_class} and {seed}"):
        write_demo_dataset(tmp_path / "demo", images_per_class, seed)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_is_a_cutout_that_fills_its_square(name: str) -> None:
    alpha = np.asarray(draw_sign(name, np.random.default_rng(0)))[..., 3]
    assert alpha.shape == (CUTOUT_SIZE, CUTOUT_SIZE)
    assert alpha[0, 0] == 0
    assert 0.3 < (alpha == 255).mean() < 0.85
    rows = np.flatnonzero(alpha.any(axis=1))
    assert rows[-1] - rows[0] > 0.75 * CUTOUT_SIZE


@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_scenes_of_any_shape_are_float_images(scene: int) -> None:
    for size in ((40, 300), (300, 40), (240, 320)):
        image = SCENES[scene](size, np.random.default_rng(scene))
        assert image.shape == (*size, 3)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()


def test_noise_covers_its_range() -> None:
    noise = fractal_noise((200, 300), np.random.default_rng(0))
    assert noise.min() >= 0 and noise.max() <= 1 and noise.std() > 0.1


@pytest.mark.parametrize("shape", [(20, 200), (200, 20)])
def test_a_cutout_keeps_its_aspect(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    still = Variation(
        height_fraction=(0.3, 0.3), roll=(0, 0), pitch=(0, 0), yaw=(0, 0), pole=0, occlusion=0, exposure=(1, 1),
        blur=(0, 0), motion=0, noise=(0, 0), jpeg_quality=(95, 95),
    )  # fmt: skip
    green = Image.new("RGBA", shape[::-1], (0, 255, 0, 255))
    gray = np.full((300, 4000, 3), 128, np.float32)
    composed = compose_photo(green, gray, rng, still)
    photo = np.asarray(Image.open(io.BytesIO(composed.content))).astype(int)
    is_green = photo[..., 1] - photo[..., 0] > 60
    high, wide = np.ptp(np.flatnonzero(is_green.any(axis=1))), np.ptp(np.flatnonzero(is_green.any(axis=0)))
    assert high == pytest.approx(90, abs=6)
    assert wide / high == pytest.approx(shape[1] / shape[0], rel=0.15)
    edges = [edge for axis in (0, 1) for edge in np.flatnonzero(is_green.any(axis=axis))[[0, -1]]]
    left, top, right, bottom = composed.box
    assert (left, right, top, bottom) == pytest.approx(edges, abs=3)


def test_the_box_of_an_object_is_inside_the_photo_and_as_high_as_requested() -> None:
    variation = dataclasses.replace(Variation(), height_fraction=(0.4, 0.5), occlusion=1.0)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        composed = compose_photo(draw_sign("stop", rng), draw_background((240, 320), rng), rng, variation)
        left, top, right, bottom = composed.box
        assert 0 <= left < right <= 320 and 0 <= top < bottom <= 240
        assert 0.25 < (bottom - top) / 240 < 0.75


def test_backgrounds_are_in_range() -> None:
    for seed in range(6):
        image = draw_background((120, 160), np.random.default_rng(seed))
        assert image.min() >= 0 and image.max() <= 255
