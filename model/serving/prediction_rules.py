"""From probabilities and features of images to predictions. No network and no file of the model is needed."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.config import PredictConfig
from model.errors import ConfigError
from model.received import quoted, similar
from model.results import Neighbour, Prediction
from model.serving.judgement import judge
from model.serving.reference_features import ReferenceFeatures, neighbour_distances


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionRules:
    """Everything that a model needs besides its network to predict. It can be pickled.

    Attributes:
        model: name of the model.
        classes: names in label order.
        thresholds: see `model.bundle.Manifest`.
        reference: features of the training images; None if the model has none.
    """

    model: str
    classes: tuple[str, ...]
    thresholds: Mapping[str, Any]
    reference: ReferenceFeatures | None = None

    def predictions(
        self, names: Sequence[str], probabilities: np.ndarray, features: np.ndarray | None, config: PredictConfig
    ) -> Iterator[Prediction]:
        """Predictions for images, in their order.

        Args:
            names: n of them.
            probabilities: float32 (n, classes), calibrated.
            features: float32 (n, features); not needed without reference features.
            config: options of the prediction, see `check_options`.
        """
        rows: Iterable[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]
        if self.reference is None or features is None:
            rows = ((row, None, None) for row in probabilities)
        else:
            rows = _located(self.reference, probabilities, features)
        for name, row in zip(names, rows, strict=True):
            yield self._prediction(name, *row, config)

    def class_index(self, name: str) -> int:
        """Index of a class.

        Raises:
            ConfigError: there is no such class.
        """
        if name not in self.classes:
            near = similar(name, self.classes, cutoff=0.4) or self.classes[:8]
            raise ConfigError(
                f"explain_class: expected one of the {len(self.classes)} classes of {self.model}, such as "
                f"{', '.join(near)}; received {quoted(name)}."
            )
        return self.classes.index(name)

    def check_options(self, config: PredictConfig) -> None:
        """Check that the model can predict with these options.

        Raises:
            ConfigError: an option names a class that the model does not have, or requires reference features and the
                model has none.
        """
        if config.explain_class:
            self.class_index(config.explain_class)
        needs_reference = {"neighbours": config.neighbours > 0, "unknown_distance": config.unknown_distance is not None}
        option = next((name for name, is_set in needs_reference.items() if is_set), "")
        if option and self.reference is None:
            raise ConfigError(
                f"{option}: expected a model with reference features; {self.model} has none: it was imported "
                f"or trained by an older version. Omit {option}, or train the model again."
            )

    def _prediction(
        self,
        name: str,
        probabilities: np.ndarray,
        distances: np.ndarray | None,
        components: np.ndarray | None,
        config: PredictConfig,
    ) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")
        ranked = [self.classes[index] for index in order]
        labels = tuple(ranked[: config.top_k])
        values = tuple(float(probabilities[index]) for index in order[: config.top_k])
        distance = None if distances is None else float(neighbour_distances(distances[None])[0])
        judgement = judge(labels[0], values[0], distance, self.thresholds, config)
        return Prediction(
            name,
            labels,
            values,
            unknown=judgement.unknown,
            unknown_reason="features" if judgement.unknown else "",
            unknown_explanation=judgement.explanation if judgement.unknown else "",
            distance=distance,
            neighbours=self._neighbours(distances, config.neighbours),
            components=None if components is None else tuple(components.tolist()),
            uncertain=judgement.uncertain,
            uncertain_explanation=judgement.explanation if judgement.uncertain else "",
            second=ranked[1] if judgement.uncertain and len(ranked) > 1 else "",
        )

    def _neighbours(self, distances: np.ndarray | None, count: int) -> tuple[Neighbour, ...] | None:
        if self.reference is None or distances is None or not count:
            return None
        return tuple(
            Neighbour(self.reference.names[row], self.classes[self.reference.labels[row]], float(distances[row]))
            for row in np.argsort(distances, kind="stable")[:count]
        )


def _located(
    reference: ReferenceFeatures, probabilities: np.ndarray, features: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
    """Yield per image: probabilities (classes,), distances (n,) from the training images, components."""
    vectors = reference.project(features)
    components = reference.components(vectors)
    rows = [None] * len(vectors) if components is None else components
    return zip(probabilities, reference.projected_distances(vectors), rows, strict=True)
