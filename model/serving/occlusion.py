"""Occlusion maps (Zeiler and Fergus, 2014): the effect of covering each region of an image.

An occlusion map needs the outputs of the network only. It is a second opinion on the class activation map, which is
computed from the weights of the head.
"""

from collections.abc import Sequence

import numpy as np

from model.dataset.pipeline import BATCH_SIZE
from model.serving.predictor import Predictor

CELLS = 7
# The maps disagree if covering the most active region has less than this fraction of the largest effect.
MIN_FRACTION_OF_EFFECT = 0.5
_SMALLEST = 1e-12


def occlusion_map(
    predictor: Predictor, image: np.ndarray, label: int, activation: np.ndarray | None = None
) -> np.ndarray:
    """Decrease of the log-odds of a class when a region is covered with the mean colour of the image.

    A region is a square of two cells of a grid of `CELLS` x `CELLS`, around the centre of each cell. Regions around
    every second cell cover the image once; those around the cells next to the largest effect follow, until none of
    them has a larger one. The other cells are interpolated: half of the network runs of a complete map.

    Args:
        image: uint8 (height, width, 3), the input of the network.
        label: index of the class.
        activation: float (map_height, map_width), whose most active cell is not to be interpolated; None for none.

    Returns:
        float32 (CELLS, CELLS); negative where covering the region raises the log-odds.
    """
    cells = {(row, column) for row in range(0, CELLS, 2) for column in range(0, CELLS, 2)}
    if activation is not None:
        cells.add(_active_cell(activation))
    effects = np.full((CELLS, CELLS), np.nan)
    [whole] = _log_odds_of(predictor, [image], label)
    while cells:
        rows, columns = np.array(sorted(cells)).T
        covered = [_covered(image, row, column) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
        effects[rows, columns] = whole - _log_odds_of(predictor, covered, label)
        cells = _unknown_cells_at_the_maximum(effects)
    return np.where(np.isnan(effects), _interpolated(effects[::2, ::2]), effects).astype(np.float32)


def explain(predictor: Predictor, image: np.ndarray, label: int) -> np.ndarray:
    """Regions of an image that speak for a class: float32 (map_height, map_width).

    The class activation map; the occlusion map for a network whose features have no positions.
    """
    activation = predictor.activation_maps(image)[..., label]
    return activation if activation.size > 1 else occlusion_map(predictor, image, label)


def maps_agree(activation: np.ndarray, occlusion: np.ndarray) -> bool:
    """Whether covering the most active region, or one next to it, has an effect close to the largest.

    Args:
        activation: float (map_height, map_width), the class activation map.
        occlusion: the occlusion map of the same class and image.
    """
    row, column = _active_cell(activation)
    effect = float(occlusion[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].max())
    largest = float(occlusion.max())
    return largest > 0 and effect >= MIN_FRACTION_OF_EFFECT * largest


def _active_cell(activation: np.ndarray) -> tuple[int, int]:
    """Row and column of the grid at the maximum of a class activation map."""
    peak = np.array(np.unravel_index(activation.argmax(), activation.shape))
    row, column = ((peak + 0.5) / activation.shape * CELLS).astype(int).tolist()
    return row, column


def _unknown_cells_at_the_maximum(effects: np.ndarray) -> set[tuple[int, int]]:
    """The cells around the largest effect that were not covered yet."""
    peak_row, peak_column = np.unravel_index(np.nanargmax(effects), effects.shape)
    around = (slice(max(0, peak - 1), peak + 2) for peak in (int(peak_row), int(peak_column)))
    is_near = np.zeros(effects.shape, bool)
    is_near[tuple(around)] = True
    return {(row, column) for row, column in np.argwhere(is_near & np.isnan(effects)).tolist()}


def _interpolated(effects: np.ndarray) -> np.ndarray:
    """Effects (CELLS, CELLS) from those of every second row and column."""
    fine = np.empty((CELLS, CELLS))
    fine[::2, ::2] = effects
    fine[1::2, ::2] = (effects[:-1] + effects[1:]) / 2
    fine[:, 1::2] = (fine[:, :-1:2] + fine[:, 2::2]) / 2
    return fine


def _covered(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """The image with the region around the centre of a cell in its mean colour."""
    height, width = image.shape[:2]
    top, bottom = (round((row + offset) * height / CELLS) for offset in (-0.5, 1.5))
    left, right = (round((column + offset) * width / CELLS) for offset in (-0.5, 1.5))
    covered = image.copy()
    covered[max(0, top) : bottom, max(0, left) : right] = image.mean(axis=(0, 1)).round()
    return covered


def _log_odds_of(predictor: Predictor, images: Sequence[np.ndarray], label: int) -> np.ndarray:
    """Log-odds float64 (n,) of a class for images uint8 (height, width, 3) each."""
    batches = [np.stack(images[start : start + BATCH_SIZE]) for start in range(0, len(images), BATCH_SIZE)]
    return _log_odds(np.concatenate([predictor.probabilities(batch) for batch in batches]), label)


def _log_odds(probabilities: np.ndarray, label: int) -> np.ndarray:
    """Log-odds float64 (n,) of a class; finite also for probabilities of 0 and 1."""
    others = np.delete(probabilities, label, axis=1).astype(np.float64).sum(axis=1)
    return np.log(probabilities[:, label].astype(np.float64) + _SMALLEST) - np.log(others + _SMALLEST)
