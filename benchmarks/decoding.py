"""Decoding large JPEGs: our `read_image` against plain Pillow, and the effect on the backbone's features.

How: photos of 2000 x 1500 at JPEG quality 90: synthetic traffic signs of that size with little noise and, if the
datasets folder is beside the checkout, photos of its LEGO railway (640 x 480), both enlarged, which makes them smoother
than real ones, and as mosaics at their own scale, which does not. Each is decoded to 224 x 224 by both methods, with
one thread per processor, alternating; medians of several rounds. The baseline decodes in full and resizes with the same
filter. Then the features of EfficientNet-Lite0 are compared by their cosine.

Depends on: the content of the photos. Time is saved in the inverse transform and the resizing, but not in the entropy
decoding, which grows with the size of the file.
"""

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.photos import CLASSES, draw_photo
from benchmarks.real_data import LEGO
from benchmarks.tables import markdown_table, times, verdict
from model.backbones import find_backbone
from model.dataset.images import read_image
from model.features.extractor import FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec
from model.synthesis.composition import Variation

WIDTH, HEIGHT = 2000, 1500
SIZE = (224, 224)
PHOTOS = 32
ROUNDS = 5
QUALITY = 90
TRUNCATED = "small_IMG_1533.jpg"

Decode = Callable[[Path], np.ndarray]


def main() -> None:
    """Print a row for each kind of photo."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        rows.append(_row("drawn traffic signs", _write(Path(directory) / "signs", _drawn_photos())))
        if LEGO.is_dir():
            rows.append(_row("a LEGO railway, enlarged", _write(Path(directory) / "enlarged", _enlarged_photos())))
            rows.append(_row("16 of these as they are, as one", _write(Path(directory) / "mosaics", _mosaics())))
    header = [f"{WIDTH} x {HEIGHT}, {_processors()} threads", "kB a photo", "plain Pillow", "topgraft", "ratio", "goal"]
    print(markdown_table([*header, "cosine of features, mean (lowest)", "goal"], rows))


def read_with_plain_pillow(path: Path) -> np.ndarray:
    """Decode in full, then resize with the same filter."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR))


def read_with_topgraft(path: Path) -> np.ndarray:
    """Decode with the decoder of training and serving."""
    return read_image(path, InputSpec(*SIZE))


def _row(name: str, paths: list[Path]) -> list[str]:
    seconds: dict[Decode, list[float]] = {read_with_plain_pillow: [], read_with_topgraft: []}
    for _ in range(ROUNDS):
        for decode, measured in seconds.items():
            measured.append(_seconds(decode, paths))
    plain, ours = (len(paths) / statistics.median(measured) for measured in seconds.values())
    cosines = _cosines(paths)
    return [
        name,
        f"{statistics.mean(path.stat().st_size for path in paths) / 1000:.0f}",
        f"{plain:.0f} /s",
        f"{ours:.0f} /s",
        times(ours / plain, 2),
        verdict("2.5x", ours / plain >= 2.5),
        f"{cosines.mean():.4f} ({cosines.min():.4f})",
        verdict("0.999", float(cosines.mean()) >= 0.999),
    ]


def _seconds(decode: Decode, paths: list[Path]) -> float:
    with ThreadPoolExecutor(_processors()) as threads:
        started = time.perf_counter()
        list(threads.map(decode, paths))
        return time.perf_counter() - started


def _cosines(paths: list[Path]) -> np.ndarray:
    extract = FeatureExtractor(converted_backbone(find_backbone("EfficientNetLite0"), SIZE[0]), InputSpec(*SIZE))

    def features(decode: Decode) -> np.ndarray:
        raw = np.concatenate([extract(decode(path)[None]) for path in paths])
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    return (features(read_with_plain_pillow) * features(read_with_topgraft)).sum(axis=1)


def _drawn_photos() -> list[bytes]:
    little_noise = Variation(noise=(1, 4), jpeg_quality=(QUALITY, QUALITY))
    jobs = [(CLASSES[number % len(CLASSES)], number) for number in range(PHOTOS)]
    with ThreadPoolExecutor(_processors()) as threads:
        return list(threads.map(lambda job: draw_photo(job[0], job[1], HEIGHT, WIDTH, little_noise), jobs))


def _enlarged_photos() -> list[bytes]:
    return [_enlarged(path) for path in sorted((LEGO / "images").glob("*.jpg"))[:PHOTOS]]


def _enlarged(path: Path) -> bytes:
    with Image.open(path) as image:
        return _encoded(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def _mosaics() -> list[bytes]:
    """Mosaics of four by four photos, cropped to size."""
    rng = np.random.default_rng(0)
    paths = sorted((LEGO / "images").glob("small_*.jpg"))
    photos = np.stack([read_image(path) for path in paths if path.name != TRUNCATED])
    mosaics = []
    for _ in range(PHOTOS):
        tiles = photos[rng.integers(len(photos), size=(4, 4))]
        pixels = np.concatenate(np.concatenate(tiles, axis=1), axis=1)
        mosaics.append(_encoded(Image.fromarray(pixels[:HEIGHT, :WIDTH])))
    return mosaics


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _write(directory: Path, photos: list[bytes]) -> list[Path]:
    directory.mkdir()
    paths = [directory / f"{number:03d}.jpg" for number in range(len(photos))]
    for path, photo in zip(paths, photos, strict=True):
        path.write_bytes(photo)
    return paths


def _processors() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
