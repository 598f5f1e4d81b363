"""Training from a dataset to a complete model.

`train` runs in this process (command line, Python); `model.runs.process` runs a child process (service).
"""

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from model import bundle as bundles
from model import bundle_files, durable
from model.backbones import AUTO, Backbone, find_backbone
from model.bundle import Manifest
from model.config import TrainConfig
from model.dataset.prepare import Verdict, write_dataset_files
from model.dataset.rereading import PhotoReader
from model.errors import ConfigError, DatasetError, StorageError, TopgraftError, TrainingStoppedError
from model.evaluation.evaluate import Evaluation, evaluate_probabilities
from model.evaluation.report.content import ReportContent
from model.features.contact_sheet import draw_contact_sheet
from model.features.views import views_of
from model.ignored_options import ignored_options
from model.marks import mark_sentences
from model.measurements import Measurement
from model.provenance import installed_versions, write_job
from model.publishing.card import model_card
from model.publishing.upload import add_upload, check_upload
from model.reading import with_path
from model.results import InputSpec, Progress, no_progress
from model.runs import Run, finished, resume_run, start_or_resume, wait_in_queue
from model.runs.cost_meter import CostMeter
from model.runs.import_process import import_in_this_process
from model.runs.recorded_dataset import open_dataset, with_photos_left
from model.runs.status_file import StatusFile
from model.runs.stopping import resume_hint, stopped_by_signals
from model.runs.training_report import write_history, write_training_report
from model.serving.held_out_features import write_held_out
from model.storage import is_remote
from model.tracking.experiment_tracking import add_tracking
from model.training.classifier import Classifier
from model.training.deadline import Deadline
from model.training.fit import fit_classifier
from model.training_result import TrainingResult, Tuning, TuningResult, summarize
from model.tuning.trials import TRIALS
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.export.model_files import Exported
    from model.runs.feature_dataset import FeatureDataset

_TUNED_ON_THE_SAME = (
    "the search selected the options on the images of cross-validation, so its accuracy is slightly optimistic"
)

log = logging.getLogger(__name__)


def train(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> TrainingResult:
    """Train a model in this process.

    Raises:
        TrainingBusyError, ConfigError: the training may not start.
        DatasetError, WeightsError, StorageError, TrainingError: the training failed; no model was written.
        TrainingStoppedError: the training was interrupted.
    """
    result = finished(config, workspace)
    if result is not None:
        return result
    if config.import_from:
        return import_in_this_process(config, workspace, progress)
    run, config = start_or_resume(config, workspace)
    return carry_out(run, config, workspace, progress)


def tune(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> TuningResult:
    """Search backbones and hyperparameters for `config.tune_minutes` and train nothing.

    An interrupted search is resumed as a training: it trains with the chosen options at the end.

    Raises:
        As `train`.
    """
    run, config = start_or_resume(config, workspace)
    with _started(run, config, workspace, progress) as training:
        result = training.only_tune()
        run.remove()
    return result


def resume(name: str, workspace: Workspace, progress: Progress = no_progress) -> TrainingResult:
    """Resume an interrupted training in this process, to the result it would have had; see `train`."""
    run, config = resume_run(name, workspace)
    return carry_out(run, config, workspace, progress)


def carry_out(run: Run, config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> TrainingResult:
    """Carry out a started training; see `train`."""
    with _started(run, config, workspace, progress) as training:
        result = training.carry_out()
        run.publish()
    result = add_upload(result, workspace, config.upload_to, progress)
    return add_tracking(result, progress)


@contextlib.contextmanager
def _started(run: Run, config: TrainConfig, workspace: Workspace, progress: Progress) -> Iterator["_Training"]:
    """Wait in the queue, then record in status.json how the block ended if it failed."""
    status = StatusFile(run, progress)
    with run.lock, contextlib.ExitStack() as held:
        try:
            with stopped_by_signals(run):
                wait_in_queue(run, workspace)
                status.begin()
                yield _Training(run, config, workspace, status, held)
        except (DatasetError, ConfigError) as error:
            if run.passed_checks:
                status.end("failed", error.message, error)
            else:
                run.remove()
            raise
        except (KeyboardInterrupt, TrainingStoppedError):
            status.end("cancelled", f"It was stopped before its end. {resume_hint(run.name)}")
            raise
        except StorageError as error:
            failure = StorageError(f"training {run.name}: {error.message} {resume_hint(run.name)}")
            status.end("failed", failure.message, failure)
            raise failure from error
        except OSError as error:
            free = shutil.disk_usage(run.directory).free / 1e9
            failure = StorageError(
                f"training {run.name}: could not read or write: {with_path(error)}. Only {free:.1f} GB are free in "
                f"{run.destination.parent}. Free some space, or check the disk. {resume_hint(run.name)}"
            )
            status.end("failed", failure.message, failure)
            raise failure from error
        except TopgraftError as error:
            status.end("failed", error.message, error)
            raise
        except Exception as error:
            # Such as a lost GPU: the training can be resumed.
            status.end("failed", f"{with_path(error)} {resume_hint(run.name)}", error)
            raise


class _Training:
    """Steps of one training, in their order."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        workspace: Workspace,
        progress: Progress,
        held: contextlib.ExitStack,
    ) -> None:
        self.run, self.config = run, config
        self.progress = self.meter = CostMeter(progress, run.status.seconds_used)
        self.workspace, self.held = workspace, held
        self.begun_before = run.has_begun
        self.features: FeatureDataset | None = None
        self.deadline = Deadline.after_minutes(config.time_limit_minutes, run.status.seconds_used)
        self.bundle, self.work = run.bundle, run.work
        self.tuning: Tuning | None = None

    @property
    def backbone(self) -> Backbone:
        """Backbone of the network."""
        return find_backbone(self.config.backbone)

    @property
    def source(self) -> str:
        """Dataset as given by the user: a path, or `remote:path`; of features, the photos they were computed from."""
        if self.features is not None:
            return self.features.source
        named = self.config.dataset
        return named if is_remote(named) else str(self.workspace.find_dataset(named))

    def spec(self, verdict: Verdict) -> InputSpec:
        """Input of the network."""
        return InputSpec.from_config(self.config, verdict.intensity)

    def carry_out(self) -> TrainingResult:
        """Check, fit, export, evaluate and report; write the manifest last."""
        verdict, classifier = with_photos_left(self.run, self.config, self.prepare(), self.fit, (TRIALS,))
        exported = self.export(verdict, classifier)
        classifier = self.as_served(verdict, classifier, exported)
        write_history(self.bundle, classifier.history)
        manifest = self.evaluate(verdict, classifier, exported)
        durable.write_text(self.bundle / bundle_files.MODEL_CARD, model_card(manifest))
        write_job(self.bundle)
        bundles.write_manifest(self.bundle, manifest)
        warnings = (*verdict.remarks, *self.warnings(verdict, classifier, exported))
        return TrainingResult(
            manifest.name,
            self.run.destination,
            summarize(manifest.metrics),
            warnings,
            self.meter.seconds,
            self.tuning,
            classifier.remarks,
            marks=tuple(mark_sentences(manifest.thresholds)),
        )

    def fit(self, verdict: Verdict) -> Classifier:
        """Fit the classifier, with a log for TensorBoard."""
        from model.tracking.tensorboard_log import TensorBoardLog

        shutil.rmtree(self.bundle / bundle_files.LOGS, ignore_errors=True)
        journal = TensorBoardLog(self.bundle / bundle_files.LOGS, verdict.dataset, self.spec(verdict))
        data = verdict.training_data
        views = views_of(self.config, len(verdict.dataset.train) / len(verdict.dataset.classes))
        if views:
            journal.views(draw_contact_sheet(data, views[0].operations, self.spec(verdict), self.config.seed))
        given = None if self.features is None else self.features.given
        classifier = fit_classifier(data, self.config, self.work, self.progress, self.deadline, journal, given)
        journal.finish(classifier.history)
        return classifier

    def only_tune(self) -> TuningResult:
        """Check the dataset, and search options."""
        verdict = self.prepare()
        if self.tuning is None:
            raise ConfigError("tune_minutes: expected the number of minutes to search, received none.")
        return TuningResult(self.tuning, verdict.remarks, self.meter.seconds)

    def prepare(self) -> Verdict:
        """Check the dataset; with a search, replace the options by those it selects."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        self.bundle.mkdir()
        self.work.mkdir(exist_ok=True)
        if self.config.upload_to:
            check_upload(self.config.upload_to)
        if self.config.features:
            verdict = self.open_features()
        else:
            opened = open_dataset(self.run, self.config, self.workspace, self.source, self.progress, self.begun_before)
            verdict = self.held.enter_context(opened)
            write_dataset_files(verdict, self.bundle / bundle_files.DATASET_FILES)
        self.progress("prepare", 0, 1)
        if self.config.tune_minutes:
            verdict, _ = with_photos_left(self.run, self.config, verdict, self.tune)
        elif self.config.backbone == AUTO and self.config.weights == "none":
            self.config = dataclasses.replace(self.config, backbone=self.backbone.name)
        elif self.config.backbone == AUTO:
            verdict, _ = with_photos_left(self.run, self.config, verdict, self.choose_backbone)
        return verdict

    def open_features(self) -> Verdict:
        """Open the features in place of a dataset, check them, and write the lists of their photos."""
        from model.runs.feature_dataset import open_features

        self.features = open_features(self.config, self.workspace, self.run, self.progress)
        self.config = self.features.config
        self.features.write_files(self.bundle)
        return self.features.verdict

    def tune(self, verdict: Verdict) -> None:
        """Search a backbone and options, and write the candidates to tuning.json."""
        from model.tuning.search import tune

        self.use(tune(verdict.training_data, self.config, self.work, self.progress, self.deadline))

    def choose_backbone(self, verdict: Verdict) -> None:
        """Search a backbone only, for backbone = auto."""
        from model.tuning.search import choose_backbone

        self.use(choose_backbone(verdict.training_data, self.config, self.work, self.progress, self.deadline))

    def use(self, tuning: Tuning) -> None:
        """Train with the options of a search, and write its candidates to tuning.json."""
        self.tuning = tuning
        log.info("tuning: %s", self.tuning.reason)
        self.config = self.tuning.config
        durable.write_json(self.bundle / bundle_files.TUNING, self.tuning.to_json())

    def export(self, verdict: Verdict, classifier: Classifier) -> "Exported":
        """Write model.keras, model.onnx and training_features.npz."""
        from model.export.model_files import export_classifier

        self.progress("export", 0, 1)
        classifier.reference.save(self.bundle / bundle_files.TRAINING_FEATURES)
        dataset, spec = verdict.dataset, self.spec(verdict)
        exported = export_classifier(classifier, dataset.samples if verdict.has_files else (), spec, self.bundle)
        if self.config.precision == "float32":
            return exported
        from model.export.int8 import export_in_int8

        photos = PhotoReader(verdict.content_hashes)
        return export_in_int8(exported, classifier.chosen, dataset.train, dataset.val, spec, self.bundle, photos)

    def as_served(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> Classifier:
        """Classifier with the predictions of the served network; write held_out_features.npz."""
        if exported.precision == "int8":
            from model.export.int8 import as_answered_in_int8

            spec = self.spec(verdict)
            photos = PhotoReader(verdict.content_hashes)
            classifier = as_answered_in_int8(classifier, verdict.dataset, spec, self.config.seed, self.bundle, photos)
        write_held_out(self.bundle / bundle_files.HELD_OUT_FEATURES, classifier.held_out)
        return classifier

    def warnings(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> tuple[str, ...]:
        """Warnings about the training."""
        ignored = ignored_options(
            self.config, has_splits=verdict.has_splits, cross_validated="cross_validation" in classifier.predictions
        )
        tuned = [_TUNED_ON_THE_SAME] if self.tuning and "cross_validation" in classifier.predictions else []
        return (*ignored, *tuned, *classifier.warnings, *exported.warnings)

    def evaluate(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> Manifest:
        """Evaluate each measurement; write predictions/ and report.html; return the manifest with the metrics."""
        self.progress("report", 0, 1)
        dataset = verdict.dataset
        evaluations = {
            name: evaluate_probabilities(
                dataset.classes,
                found.samples,
                found.probabilities,
                folds=found.folds,
                thresholds=classifier.thresholds,
                distances=found.distances,
            )
            for name, found in classifier.predictions.items()
        }
        manifest = self.manifest(verdict, classifier, exported, evaluations)
        content = ReportContent(
            manifest,
            evaluations,
            [dataclasses.asdict(row) for row in classifier.history],
            {name: found.uncalibrated for name, found in classifier.predictions.items()},
            verdict.rejected,
            verdict.leakage,
            (*verdict.warnings, *self.warnings(verdict, classifier, exported), *classifier.remarks),
            tuning=None if self.tuning is None else self.tuning.to_json(),
        )
        milliseconds = write_training_report(self.bundle, content, verdict, classifier, self.meter)
        cost = dataclasses.replace(self.meter.cost(), milliseconds_per_photo=milliseconds)
        durable.write_json(self.bundle / bundle_files.TRAINING_COST, cost.to_json())
        return manifest

    def manifest(
        self,
        verdict: Verdict,
        classifier: Classifier,
        exported: "Exported",
        evaluations: Mapping[Measurement, Evaluation],
    ) -> Manifest:
        """Manifest without the records of the files."""
        spec = self.spec(verdict)
        return Manifest(
            name=self.run.name,
            created=self.run.started,
            versions=installed_versions(),
            classes=verdict.dataset.classes,
            backbone=self.backbone.name,
            image_size=spec.height,
            resize=spec.resize,
            scaling=self.backbone.scaling,
            train_config=dataclasses.asdict(self.config) | self._origin_of_weights(),
            dataset={
                "path": self.source,
                "layout": verdict.layout,
                "fingerprint": verdict.fingerprint,
                "counts": verdict.counts,
                "folds": verdict.folds,
                "rejected": len(verdict.rejected),
                "leakage": len(verdict.leakage),
            },
            metrics={name: _without_matrix(evaluation.metrics) for name, evaluation in evaluations.items()},
            temperature=classifier.temperature,
            thresholds=dict(classifier.thresholds),
            engine=exported.engine,
            parity=exported.parity,
            files={},
            precision=exported.precision,
            intensity=spec.intensity,
        )

    def _origin_of_weights(self) -> dict[str, Any]:
        """Where the weights of a backbone come from that the user added, for the card of the model."""
        added = self.backbone.added
        return {} if added is None else {"added_backbone": {"source": added.source, "license": added.license}}


def _without_matrix(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics without the confusion matrix, which grows with the square of the classes and is in report.html."""
    return {name: value for name, value in metrics.items() if name != "confusion_matrix"}
