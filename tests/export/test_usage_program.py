"""The example program of an export reads photos of more than 8 bits as Topgraft does."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.images import decode_image
from model.export.formats import export_form
from model.intensity import FULL, Intensity, IntensityRange
from model.results import InputSpec
from tests.dataset.test_images import png, tiff_of_16_bit_rgb
from tests.support.small_model import write_model

GRAY = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8)), np.ones((4, 4), int))
RANGE = IntensityRange(-100.5, 3000)
# Of resizing after rounding.
TOLERANCE = 1

PHOTOS = {
    "8 bits": GRAY.astype(np.uint8),
    "colour": np.stack([GRAY, GRAY.T, GRAY[::-1]], axis=-1).astype(np.uint8),
    "16 bits": (GRAY * 10).astype(np.uint16),
    "above the range": (GRAY * 257).astype(np.uint16),
    "floats": GRAY.astype(np.float32) * 12 - 300,
    "NaN": np.where(GRAY > 20, GRAY * 10.0, np.nan).astype(np.float32),
    "32 bits": (GRAY * 12 - 50).astype(np.int32),
}


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Intensity], Callable[[Path], np.ndarray]]:
    """The function `read` of the program of a model with this intensity."""

    def export(intensity: Intensity) -> Callable[[Path], np.ndarray]:
        bundle = write_model(tmp_path / "models" / "colours", intensity=intensity)
        program = export_form(bundle, "onnx", tmp_path / "onnx").directory / "predict.py"
        monkeypatch.setattr(sys, "argv", [str(program)])
        read: Callable[[Path], np.ndarray] = runpy.run_path(str(program))["read"]
        return read

    return export


def spec(intensity: Intensity) -> InputSpec:
    return InputSpec.square(8, intensity=intensity)


def saved(directory: Path, values: np.ndarray, **options: object) -> Path:
    Image.fromarray(values).save(path := directory / "photo.tif", **options)
    return path


@pytest.mark.parametrize("kind", PHOTOS)
def test_the_program_applies_the_range_of_the_model(kind: str, exported: Callable, tmp_path: Path) -> None:
    read, path = exported(RANGE), saved(tmp_path, PHOTOS[kind])
    expected = decode_image(path.read_bytes(), spec(RANGE))
    assert np.abs(read(path)[0].astype(int) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("kind", ["8 bits", "colour", "above the range"])
def test_the_program_of_a_model_without_a_range_applies_the_full_range(
    kind: str, exported: Callable, tmp_path: Path
) -> None:
    read, path = exported(FULL), saved(tmp_path, PHOTOS[kind])
    expected = decode_image(path.read_bytes(), spec(FULL))
    assert np.abs(read(path)[0].astype(int) - expected).max() <= TOLERANCE


def test_the_program_refuses_what_it_would_read_wrongly(exported: Callable, tmp_path: Path) -> None:
    read = exported(FULL)
    with pytest.raises(SystemExit, match="no range of their own"):
        read(saved(tmp_path, PHOTOS["floats"]))
    deep = np.stack([GRAY * 257] * 3, axis=-1).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    for content in (png(32, 32, 16, 2, rows), tiff_of_16_bit_rgb(deep)):
        (tmp_path / "colour").write_bytes(content)
        with pytest.raises(SystemExit, match="16-bit colour"):
            read(tmp_path / "colour")


def test_the_program_turns_deep_photos_upright(exported: Callable, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, PHOTOS["16 bits"], exif=exif)
    expected = decode_image(path.read_bytes(), spec(RANGE))
    assert np.abs(exported(RANGE)(path)[0].astype(int) - expected).max() <= TOLERANCE
