"""From a chunk of photos to a part of predictions: the code that every engine runs, and the content of such parts.

Like `model.scale.work`, it needs NumPy, Pillow, ONNX Runtime and pyarrow only.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from model.config import PredictConfig
from model.features.extractor import FeatureExtractor
from model.features.onnx_session import FEATURES, IMAGE, PROBABILITIES, run_each
from model.results import Prediction
from model.scale.parts import Row, table_content
from model.scale.work import Job
from model.serving.prediction_rules import PredictionRules
from model.serving.table import parquet_table

PHASE = "predict"
ROWS_AT_ONCE = 256
"""Photos of a block of distances: those from 20,000 training photos take 20 MB."""


@dataclasses.dataclass(frozen=True)
class ScoringResult:
    """Result of predictions in parts.

    Attributes:
        model: name of the model.
        out: the folder of predictions.
        photos: number of photos.
        errors: number of photos with an error: those that could not be read.
        parts: number of parts.
        written: number of parts that this run has written; the others were there.
    """

    model: str
    out: str
    photos: int
    errors: int
    parts: int
    written: int


class NetworkOutputs(FeatureExtractor):
    """Features and probabilities of images by the network of a trained model."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features, then probabilities: float32 (n, features + classes) of images uint8 (n, height, width, 3)."""
        outputs = [FEATURES, PROBABILITIES]
        if self.takes_batches:
            return np.concatenate(self._session.run(outputs, {IMAGE: images}), axis=1)
        return np.concatenate(run_each(self._session, outputs, images, self.threads), axis=1)


@dataclasses.dataclass(frozen=True)
class ScoringJob(Job):
    """The predictions for the photos of all chunks: a `Task`. Its extractor is a `NetworkOutputs`.

    Attributes:
        rules: the predictions of the model for features and probabilities.
        config: options of the predictions.
        manifest_sha256: checksum of the manifest of the model.
    """

    rules: PredictionRules
    config: PredictConfig
    manifest_sha256: str

    def content(self, rows: Sequence[Row], number: int) -> bytes:
        """Content of a part of predictions; a photo that could not be read has an error."""
        predicted = self._predicted([row for row in rows if row.features is not None])
        predictions = [
            next(predicted) if row.features is not None else Prediction(row.photo.name, error=row.error) for row in rows
        ]
        return predictions_content(predictions, self.rules.model, self.manifest_sha256, number, self.plan_sha256)

    def _predicted(self, rows: Sequence[Row]) -> Iterator[Prediction]:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows[start : start + ROWS_AT_ONCE]
            outputs = np.stack([row.features for row in block if row.features is not None])
            features, probabilities = np.split(outputs, [-len(self.rules.classes)], axis=1)
            yield from self.rules.predictions([row.photo.name for row in block], probabilities, features, self.config)


def predictions_content(
    predictions: Sequence[Prediction], model: str, manifest_sha256: str, number: int, plan_sha256: str
) -> bytes:
    """Content of a part of predictions.

    The columns are those of `model.serving.table.parquet_table`, `model` and `manifest_sha256`.
    """
    import pyarrow

    table = parquet_table(predictions)
    for name, value in (("model", model), ("manifest_sha256", manifest_sha256)):
        table = table.append_column(name, pyarrow.array([value] * len(table), pyarrow.string()))
    return table_content(table, number, plan_sha256)


def options_of_predictions(config: PredictConfig) -> dict[str, Any]:
    """The options that predictions depend on: all but the name of the model, which may be `latest`."""
    return {name: value for name, value in vars(config).items() if name != "model"}
