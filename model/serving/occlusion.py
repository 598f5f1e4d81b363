"""Occlusion maps (Zeiler and Fergus, 2014): the effect of covering each region of an image.

An occlusion map needs the outputs of the network only. It is a second opinion on the class activation map, which is
computed from the weights of the head.
"""

import numpy as np

from model.dataset.pipeline import BATCH_SIZE
from model.serving.predictor import Predictor

CELLS = 7
# The maps disagree if covering the most active region has less than this fraction of the largest effect.
MIN_FRACTION_OF_EFFECT = 0.5
_SMALLEST = 1e-12


def occlusion_map(predictor: Predictor, image: np.ndarray, label: int) -> np.ndarray:
    """Decrease of the log-odds of a class when a region is covered with the mean colour of the image.

    A region is a square of two cells of a grid of `CELLS` x `CELLS`, around the centre of each cell.

    Args:
        image: uint8 (height, width, 3), the input of the network.
        label: index of the class.

    Returns:
        float32 (CELLS, CELLS); negative where covering the region raises the log-odds.
    """
    covered = [_covered(image, row, column) for row in range(CELLS) for column in range(CELLS)]
    images = [image, *covered]
    batches = [np.stack(images[start : start + BATCH_SIZE]) for start in range(0, len(images), BATCH_SIZE)]
    log_odds = _log_odds(np.concatenate([predictor.probabilities(batch) for batch in batches]), label)
    return (log_odds[0] - log_odds[1:]).reshape(CELLS, CELLS).astype(np.float32)


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
    peak = np.array(np.unravel_index(activation.argmax(), activation.shape))
    row, column = ((peak + 0.5) / activation.shape * CELLS).astype(int)
    effect = float(occlusion[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].max())
    largest = float(occlusion.max())
    return largest > 0 and effect >= MIN_FRACTION_OF_EFFECT * largest


def _covered(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """The image with the region around the centre of a cell in its mean colour."""
    height, width = image.shape[:2]
    top, bottom = (round((row + offset) * height / CELLS) for offset in (-0.5, 1.5))
    left, right = (round((column + offset) * width / CELLS) for offset in (-0.5, 1.5))
    covered = image.copy()
    covered[max(0, top) : bottom, max(0, left) : right] = image.mean(axis=(0, 1)).round()
    return covered


def _log_odds(probabilities: np.ndarray, label: int) -> np.ndarray:
    """Log-odds float64 (n,) of a class; finite also for probabilities of 0 and 1."""
    others = np.delete(probabilities, label, axis=1).astype(np.float64).sum(axis=1)
    return np.log(probabilities[:, label].astype(np.float64) + _SMALLEST) - np.log(others + _SMALLEST)
