"""Whether a model knows what it sees: is it sure enough, and is the image like those it was trained on?"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from model.config import PredictConfig
from model.results import UnknownReason


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Why an image counts as unknown, in a word and with the numbers; both empty where it does not."""

    reason: UnknownReason = ""
    explanation: str = ""


def judge(
    label: str, confidence: float, distance: float | None, thresholds: Mapping[str, Any], config: PredictConfig
) -> Judgement:
    """Compare an answer with the thresholds of its model, or with those that `config` has instead.

    Args:
        label: the most probable class.
        confidence: its probability.
        distance: from the training images; None where the model does not remember them.
        thresholds: those of the manifest. What is not there is not judged.
    """
    least, most = _least_confidence(label, thresholds, config), _most_distance(thresholds, config)
    unsure = confidence < least
    far = distance is not None and most is not None and distance > most
    said = []
    if unsure:
        said.append(f"the probability {confidence:.3f} is below {least:.3f}")
    if far:
        said.append(f"the distance {distance:.3f} from the training images is above {most:.3f}")
    reasons: dict[tuple[bool, bool], UnknownReason] = {
        (False, False): "",
        (True, False): "confidence",
        (False, True): "features",
        (True, True): "confidence and features",
    }
    return Judgement(reasons[unsure, far], " and ".join(said))


def _least_confidence(label: str, thresholds: Mapping[str, Any], config: PredictConfig) -> float:
    if config.unknown_confidence is not None:
        return config.unknown_confidence
    by_class: Mapping[str, float] = thresholds.get("confidence_by_class", {})
    return float(by_class.get(label, thresholds.get("confidence", 0.0)))


def _most_distance(thresholds: Mapping[str, Any], config: PredictConfig) -> float | None:
    return thresholds.get("distance") if config.unknown_distance is None else config.unknown_distance
