"""Models with the same backbone predict together: the backbone runs once, and each model adds its own head.

Models that were trained with a frozen backbone differ only in the nodes after its features. Their predictions are the
same bytes as those of each model by itself: the head is the same nodes, run by ONNX Runtime on the same features.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.bundle_files import ONNX_MODEL
from model.features.onnx_session import FEATURES, PROBABILITIES, open_session
from model.serving.predictor import Predictor

if TYPE_CHECKING:
    from model.features.divided_network import DividedNetwork


class Answer(NamedTuple):
    """Answer of a model to some images.

    Attributes:
        probabilities: float32 (n, classes), calibrated.
        distances: float32 (n,), from the training images; None for a model without reference features.
        features: float32 (n, features), of the backbone; None where nothing needs them.
    """

    probabilities: np.ndarray
    distances: np.ndarray | None
    features: np.ndarray | None = None


class SharedBackbone:
    """One or several models with the same input and the same backbone.

    Attributes:
        predictors: the models.
    """

    def __init__(self, predictors: Sequence[Predictor], heads: Sequence[bytes] = ()) -> None:
        """Args:
        predictors: the models; the network of the first one computes the features.
        heads: ONNX graphs from features to probabilities, of all models but the first.
        """
        self.predictors = tuple(predictors)
        self._sessions = [
            open_session(head, predictor.threads) for head, predictor in zip(heads, self.predictors[1:], strict=True)
        ]

    def predict(self, images: np.ndarray) -> list[Answer]:
        """Predict images uint8 (n, height, width, 3) with each model, in the order of `predictors`."""
        first, *others = self.predictors
        if not others and first.reference is None:
            return [Answer(first.probabilities(images), None)]
        probabilities, features = first.probabilities_and_features(images)
        found = [Answer(probabilities, first.distances(features), features)]
        for predictor, session in zip(others, self._sessions, strict=True):
            [probabilities] = session.run([PROBABILITIES], {FEATURES: features})
            found.append(Answer(probabilities, predictor.distances(features), features))
        return found


def share_backbones(predictors: Sequence[Predictor]) -> list[SharedBackbone]:
    """Group models by their input and backbone; a model that shares neither is a group of its own.

    Models whose networks run by Keras, and models without features, are not shared.
    """
    if len(predictors) == 1:
        return [SharedBackbone(predictors)]
    divided = [_divided(predictor) for predictor in predictors]
    groups: dict[object, list[int]] = {}
    for index, (predictor, parts) in enumerate(zip(predictors, divided, strict=True)):
        key: object = index if parts is None else (predictor.spec, parts.backbone)
        groups.setdefault(key, []).append(index)
    return [
        SharedBackbone(
            [predictors[index] for index in group],
            [parts.head for index in group[1:] if (parts := divided[index]) is not None],
        )
        for group in groups.values()
    ]


def _divided(predictor: Predictor) -> "DividedNetwork | None":
    if predictor.bundle.manifest.engine != "onnx":
        return None
    # A model that is compared with none needs no reader of graphs.
    from model.features.divided_network import divide_network

    return divide_network(predictor.bundle.read_file(ONNX_MODEL))
