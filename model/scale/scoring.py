"""Predictions of a trained model for features that are in parts, without their photos."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np

from model.backbones import find_backbone
from model.bundle_files import ONNX_MODEL
from model.config import PredictConfig
from model.errors import ConfigError
from model.features.divided_network import backbone_checksum, divide_network
from model.features.onnx_session import FEATURES, PROBABILITIES, open_session
from model.networks.converted_backbone import converted_backbone
from model.results import Prediction, Progress, no_progress
from model.scale.folders import open_folder
from model.scale.parts import SUCCESS, Done, Parts, features_matrix, is_part, part_name, present_parts
from model.scale.scoring_work import PHASE, ROWS_AT_ONCE, ScoringResult, options_of_predictions, predictions_content
from model.serving.predictor import Predictor


class FeatureScorer:
    """A trained model that predicts photos by their features.

    Raises:
        ConfigError: the features are not those of the network of the model, or it cannot predict with the options.
    """

    def __init__(self, predictor: Predictor, parts: Parts, config: PredictConfig) -> None:
        self.predictor, self.parts, self.config = predictor, parts, config
        self._rules = predictor.rules
        self.manifest_sha256 = predictor.bundle.manifest_sha256
        self._head = open_session(self._checked_head(), predictor.threads)
        self._rules.check_options(config)

    @property
    def sha256(self) -> str:
        """Checksum of everything that the predictions depend on: the features, the model and the options."""
        content = [self.parts.plan.sha256, self.manifest_sha256, options_of_predictions(self.config)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def predict(self, number: int) -> list[Prediction]:
        """Predictions for the photos of a part, in their order; one without features has an error.

        Raises:
            DatasetError: the part is missing or damaged.
        """
        table = self.parts.read(number, ("path", "features", "error"))
        features, rows = features_matrix(table)
        names, errors = table["path"].to_pylist(), table["error"].to_pylist()
        predicted = self._predicted([names[row] for row in rows.tolist()], features)
        whole = set(rows.tolist())
        return [
            next(predicted) if row in whole else Prediction(name, error=error)
            for row, (name, error) in enumerate(zip(names, errors, strict=True))
        ]

    def _predicted(self, names: Sequence[str], features: np.ndarray) -> Iterator[Prediction]:
        for start in range(0, len(names), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            [probabilities] = self._head.run([PROBABILITIES], {FEATURES: features[rows]})
            yield from self._rules.predictions(names[rows], probabilities, features[rows], self.config)

    def _checked_head(self) -> bytes:
        """The part of the network from features to probabilities."""
        bundle, plan = self.predictor.bundle, self.parts.plan
        network = bundle.read_file(ONNX_MODEL) if bundle.manifest.engine == "onnx" else b""
        divided = divide_network(network) if network else None
        if divided is None:
            raise ConfigError(
                f"{bundle.name}: expected a model in ONNX whose predictions follow from its features. Predict the "
                "photos instead."
            )
        if plan.manifest_sha256:
            same = plan.manifest_sha256 == self.manifest_sha256
        else:
            graph = converted_backbone(find_backbone(plan.network), plan.image_size)
            same = (
                hashlib.sha256(graph).hexdigest() == plan.graph_sha256 and backbone_checksum(graph) == divided.backbone
            )
        if not same or plan.input_spec != self.predictor.spec:
            raise ConfigError(
                f"{self.parts.folder.address}: expected features of the network of {bundle.name}, found those of "
                f"{plan.network}, of {plan.image_size} pixels, resize {plan.resize}. Run topgraft featurize with "
                f"--model {bundle.name}."
            )
        return divided.head


def write_scores(
    scorer: FeatureScorer, out: str, progress: Progress = no_progress, *, overwrite: bool = False
) -> ScoringResult:
    """Write predictions as Parquet parts, one for each part of the features; the same run again resumes it.

    Their columns: see `model.scale.scoring_work.predictions_content`.

    Args:
        out: new folder or address, or one of the same run.
        progress: called with the phase `predict`, in photos.
        overwrite: remove the predictions of another run first.

    Raises:
        ConfigError: `out` is the folder of the features, or holds something else, or other predictions.
    """
    folder, parts, name = open_folder(out), scorer.parts, scorer.predictor.bundle.name
    names = folder.names()
    others = [file for file in names if not (file == SUCCESS or is_part(file))]
    if others:
        raise ConfigError(
            f"{folder.address}: expected a new folder, or one of predictions, found {others[0]}. Choose another one."
        )
    if overwrite:
        folder.remove_all(sorted(names, key=lambda name: name != SUCCESS))
    digest = scorer.sha256
    done = present_parts(folder, len(parts), digest)
    written = len(parts) - len(done)
    for number in range(len(parts)):
        if number not in done:
            predictions = scorer.predict(number)
            content = predictions_content(predictions, name, scorer.manifest_sha256, number, digest)
            folder.write(part_name(number), content)
            done[number] = Done(number, len(predictions), sum(item.error is not None for item in predictions))
        progress(PHASE, min((number + 1) * parts.plan.photos // len(parts), parts.plan.photos), parts.plan.photos)
    errors = sum(part.errors for part in done.values())
    summary = {"photos": parts.plan.photos, "errors": errors, "parts": len(parts)}
    folder.write(SUCCESS, f"{json.dumps(summary)}\n".encode())
    return ScoringResult(name, out, parts.plan.photos, errors, len(parts), written)
