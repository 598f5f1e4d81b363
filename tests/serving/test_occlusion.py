"""Occlusion maps: highest where the region is that the network decides by."""

from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle, Manifest
from model.features.onnx_session import PROBABILITIES
from model.serving.occlusion import CELLS, _covered, maps_agree, occlusion_map
from model.serving.predictor import Predictor

CLASSES = ("lit", "dark")
SIDE = 56


def predictor(row: int, column: int, steepness: float = 4) -> Predictor:
    """A network that decides by the brightness of one cell."""
    side = SIDE // CELLS
    rows, columns = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)

    def engine(images: np.ndarray, output: str) -> list[np.ndarray]:
        assert output == PROBABILITIES
        light = images[:, rows, columns].mean(axis=(1, 2, 3)) / 255
        lit = 1 / (1 + np.exp(-steepness * light))
        return [np.stack([lit, 1 - lit], axis=1).astype(np.float32)]

    manifest = Manifest(
        "m", "", {}, CLASSES, "EfficientNetLite0", SIDE, "squash", "lite", {}, {}, {}, 1.0, {}, "onnx", {}, {}
    )
    return Predictor(Bundle(Path(), manifest), engine)


def photo(row: int, column: int) -> np.ndarray:
    """A dark photo with one bright cell."""
    image = np.full((SIDE, SIDE, 3), 20, np.uint8)
    side = SIDE // CELLS
    image[row * side : (row + 1) * side, column * side : (column + 1) * side] = 250
    return image


def activation(row: int, column: int) -> np.ndarray:
    peak = np.zeros((CELLS, CELLS), np.float32)
    peak[row, column] = 1
    return peak


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 5), (6, 6)])
def test_the_map_is_highest_at_the_region_that_decides(row: int, column: int) -> None:
    effects = occlusion_map(predictor(row, column), photo(row, column), 0)
    assert effects.shape == (CELLS, CELLS) and effects.dtype == np.float32
    assert effects[row, column] == effects.max() > 1
    distances = np.abs(np.indices(effects.shape) - np.array([row, column]).reshape(2, 1, 1)).max(axis=0)
    # Cells next to those that are covered are interpolated.
    assert np.abs(effects[distances > 2]).max() < 1e-3


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 5), (3, 3), (6, 5)])
def test_half_of_the_cells_are_covered_and_the_rest_is_interpolated(row: int, column: int) -> None:
    runs: list[int] = []
    lit = predictor(row, column)

    def counting(images: np.ndarray, output: str) -> list[np.ndarray]:
        runs.append(len(images))
        return [lit.probabilities(images)]

    occlusion_map(Predictor(lit.bundle, counting), photo(row, column), 0)
    assert sum(runs) <= 1 + 16 + 8 + 8


@pytest.mark.parametrize("active", [(1, 1), (3, 5), (6, 6)])
def test_the_most_active_cell_is_covered_itself(active: tuple[int, int]) -> None:
    """Two cells decide; that with the smaller effect is between those that are covered in any case."""
    elsewhere = (1, 1) if active != (1, 1) else (5, 5)
    strong, weak = predictor(*elsewhere), predictor(*active, steepness=3)

    def both(images: np.ndarray, output: str) -> list[np.ndarray]:
        return [(strong.probabilities(images) + weak.probabilities(images)) / 2]

    image = np.maximum(photo(*elsewhere), photo(*active))
    network = Predictor(strong.bundle, both)
    whole, covered = network.probabilities(np.stack([image, _covered(image, *active)]))[:, 0]
    effect = np.log(whole / (1 - whole)) - np.log(covered / (1 - covered))
    effects = occlusion_map(network, image, 0, activation(*active))
    assert effects[active] == pytest.approx(effect, rel=1e-4)


def test_the_map_is_finite_for_probabilities_of_zero_and_one() -> None:
    assert np.isfinite(occlusion_map(predictor(2, 2, steepness=1e4), photo(2, 2), 1)).all()


@pytest.mark.parametrize(
    ("peak", "agrees"), [((1, 1), True), ((2, 2), True), ((5, 5), False)], ids=["same", "neighbour", "elsewhere"]
)
def test_the_maps_agree_if_their_maxima_are_in_the_same_region(peak: tuple[int, int], agrees: bool) -> None:
    effects = occlusion_map(predictor(1, 1), photo(1, 1), 0)
    assert maps_agree(activation(*peak), effects) is agrees


def test_the_maps_disagree_if_covering_any_region_has_no_effect() -> None:
    effects = occlusion_map(predictor(1, 1), np.full((SIDE, SIDE, 3), 90, np.uint8), 0)
    assert not maps_agree(activation(1, 1), effects)


@pytest.mark.parametrize("side", [1, 3, 10])
def test_a_map_of_any_size_is_compared(side: int) -> None:
    effects = np.zeros((CELLS, CELLS), np.float32)
    effects[CELLS - 1, CELLS - 1] = 1
    corner = np.zeros((side, side), np.float32)
    corner[-1, -1] = 1
    assert maps_agree(corner, effects) is (side > 1)
