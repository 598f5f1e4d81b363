"""Detection of unknown images: low confidence, or features out of the distribution of the training images."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from model.config import PredictConfig
from model.results import UnknownReason


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Reason why an image is unknown, as a keyword and as a sentence with the numbers; both empty if it is known."""

    reason: UnknownReason = ""
    explanation: str = ""


def judge(
    label: str, confidence: float, distance: float | None, thresholds: Mapping[str, Any], config: PredictConfig
) -> Judgement:
    """Compare a prediction with the thresholds of its model, or with those of `config` if set.

    Args:
        label: the most probable class.
        confidence: probability of this class.
        distance: from the training images; None if the model has no reference features.
        thresholds: thresholds in the manifest; a missing one is not applied.
    """
    min_confidence, max_distance = _min_confidence(label, thresholds, config), _max_distance(thresholds, config)
    unsure = confidence < min_confidence
    far = distance is not None and max_distance is not None and distance > max_distance
    sentences = []
    if unsure:
        sentences.append(f"the probability {confidence:.3f} is below {min_confidence:.3f}")
    if far:
        sentences.append(f"the distance {distance:.3f} from the training images is above {max_distance:.3f}")
    reasons: dict[tuple[bool, bool], UnknownReason] = {
        (False, False): "",
        (True, False): "confidence",
        (False, True): "features",
        (True, True): "confidence and features",
    }
    return Judgement(reasons[unsure, far], " and ".join(sentences))


def _min_confidence(label: str, thresholds: Mapping[str, Any], config: PredictConfig) -> float:
    if config.unknown_confidence is not None:
        return config.unknown_confidence
    by_class: Mapping[str, float] = thresholds.get("confidence_by_class", {})
    return float(by_class.get(label, thresholds.get("confidence", 0.0)))


def _max_distance(thresholds: Mapping[str, Any], config: PredictConfig) -> float | None:
    return thresholds.get("distance") if config.unknown_distance is None else config.unknown_distance
