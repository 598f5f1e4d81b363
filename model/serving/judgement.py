"""Marks of a prediction: unknown (out-of-distribution) or uncertain (low confidence), never both."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from model.config import PREDICT_DEFAULTS, PredictConfig


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Marks of one prediction, at most one of them set.

    Attributes:
        unknown: the image is out-of-distribution.
        uncertain: the image is not unknown, and the confidence is below the threshold.
        explanation: the reason as a sentence with its numbers; empty without a mark.
    """

    unknown: bool = False
    uncertain: bool = False
    explanation: str = ""


def judge(
    label: str,
    confidence: float,
    distance: float | None,
    thresholds: Mapping[str, Any],
    config: PredictConfig = PREDICT_DEFAULTS,
) -> Judgement:
    """Compare a prediction with the thresholds of its model, or with those of `config` if set.

    The classes say nothing about an unknown image, so its confidence is not judged.

    Args:
        label: the most probable class.
        confidence: probability of this class.
        distance: from the training images; None if the model has no reference features.
        thresholds: thresholds in the manifest; a missing one is not applied.
    """
    max_distance = _max_distance(thresholds, config)
    if distance is not None and max_distance is not None and distance > max_distance:
        return Judgement(
            unknown=True,
            explanation=f"the distance {distance:.3f} from the training images is above {max_distance:.3f}",
        )
    min_confidence = _min_confidence(label, thresholds, config)
    if confidence < min_confidence:
        return Judgement(uncertain=True, explanation=f"the probability {confidence:.3f} is below {min_confidence:.3f}")
    return Judgement()


def _min_confidence(label: str, thresholds: Mapping[str, Any], config: PredictConfig) -> float:
    if config.uncertain_confidence is not None:
        return config.uncertain_confidence
    by_class: Mapping[str, float] = thresholds.get("confidence_by_class", {})
    return float(by_class.get(label, thresholds.get("confidence", 0.0)))


def _max_distance(thresholds: Mapping[str, Any], config: PredictConfig) -> float | None:
    return thresholds.get("distance") if config.unknown_distance is None else config.unknown_distance
