"""Predictions of a trained model for the photos of a source, in chunks; the same run again resumes it."""

import dataclasses

from model.config import PredictConfig
from model.scale.chunk_run import BYTES_PER_ROW, RowKind, RunOptions, run_in_chunks
from model.scale.files import Folder, Photos
from model.scale.network import Network
from model.scale.scoring_work import PHASE, NetworkOutputs, ScoringJob, ScoringResult, options_of_predictions
from model.serving.prediction_rules import PredictionRules

# A label and its probability, or a similar training photo.
_BYTES_PER_VALUE = 40


@dataclasses.dataclass(frozen=True)
class PhotoScorer:
    """A trained model that predicts photos in other processes.

    Attributes:
        network: its network in ONNX.
        rules: its predictions for features and probabilities.
        config: options of the predictions.
    """

    network: Network
    rules: PredictionRules
    config: PredictConfig

    def job(self, source: Photos, folder: Folder, plan_sha256: str) -> ScoringJob:
        """The task of a run; see `model.scale.work.Job`."""
        network = self.network
        extractor = NetworkOutputs(network.graph, network.spec, threads=1)
        return ScoringJob(source, folder, plan_sha256, extractor, self.rules, self.config, network.manifest_sha256)


def score_photos(source: str, out: str, scorer: PhotoScorer, options: RunOptions) -> ScoringResult:
    """Write predictions for all photos of a source as Parquet parts.

    Args:
        source: folder, dataset, list, or address of an object store.
        out: folder of predictions: new, or one of the same run, which is resumed.
        options: those of the run; the phase of its progress is `predict`.

    Raises:
        DatasetError: there are no photos, or they cannot be listed.
        ConfigError: the model cannot predict with the options; or `out` is inside the source, or holds something else,
            or predictions of another plan or source.
        StorageError: the source cannot be read, or `out` cannot be written.
    """
    scorer.rules.check_options(scorer.config)
    size = BYTES_PER_ROW + _BYTES_PER_VALUE * (scorer.config.top_k + scorer.config.neighbours)
    kind = RowKind(PHASE, scorer.job, lambda _plan: size, options_of_predictions(scorer.config))
    run = run_in_chunks(source, out, scorer.network, kind, options)
    photos, parts = run.parts.plan.photos, len(run.parts)
    return ScoringResult(scorer.rules.model, out, photos, run.errors, parts, run.written)
