"""One training, from a dataset to a published bundle.

`train` runs it in this process (the command line); `model.runs.process` in a child (the service).
"""

import contextlib
import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from model import bundle as bundles
from model import bundle_files, durable
from model.backbones import Backbone, find_backbone
from model.bundle import Bundle, Manifest
from model.config import TrainConfig
from model.dataset.prepare import Verdict, prepare_dataset, write_dataset_files
from model.dataset.reading import wait_for_dataset
from model.errors import ConfigError, DatasetError, StorageError, TopgraftError, TrainingStoppedError
from model.evaluation.confident_errors import find_confident_errors
from model.evaluation.evaluate import Evaluation, evaluate_probabilities, write_predictions
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import write_report
from model.features.contact_sheet import draw_contact_sheet
from model.features.views import views_of
from model.networks.tensorflow_import import import_tensorflow
from model.provenance import installed_versions, write_job
from model.publishing.card import model_card
from model.publishing.upload import add_upload
from model.results import InputSpec, Measurement, Progress, no_progress, primary_measurement
from model.runs import Reservation, begin, finished, reserve_again, wait_for_turn
from model.runs.ignored_options import ignored_options
from model.runs.import_process import take_over
from model.runs.status_file import StatusFile
from model.runs.stopping import how_to_go_on, stopped_by_signals
from model.serving.held_out_features import write_held_out
from model.serving.predictor import load_predictor
from model.storage import is_remote, parse_place
from model.storage.copies import dataset_folder
from model.storage.settings import require_remote
from model.tracking.experiment_tracking import add_tracking
from model.training.classifier import Classifier
from model.training.deadline import Deadline
from model.training.epochs import COLUMNS, Epoch
from model.training.fit import fit_classifier
from model.training_result import TrainingResult, Tuning, TuningResult, summarize
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.export.model_files import Exported

_TUNED_ON_THE_SAME = (
    "tuning chose the options on the very images of cross-validation, whose accuracy looks slightly better for it"
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
        return take_over(config, workspace, progress)
    reservation, config = begin(config, workspace)
    return run(reservation, config, workspace, progress)


def tune(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> TuningResult:
    """Search backbones and hyperparameters for `config.tune_minutes` and train nothing.

    An interrupted search is resumed as a training: it trains with the chosen options at the end.

    Raises:
        As `train`.
    """
    reservation, config = begin(config, workspace)
    with _started(reservation, config, workspace, progress) as training:
        result = training.only_tune()
        reservation.remove()
    return result


def resume(name: str, workspace: Workspace, progress: Progress = no_progress) -> TrainingResult:
    """Resume an interrupted training in this process, to the result it would have had; see `train`."""
    reservation, config = reserve_again(name, workspace)
    return run(reservation, config, workspace, progress)


def run(
    reservation: Reservation, config: TrainConfig, workspace: Workspace, progress: Progress = no_progress
) -> TrainingResult:
    """Carry out a reserved training; see `train`."""
    with _started(reservation, config, workspace, progress) as training:
        result = training.run()
        reservation.publish()
    result = add_upload(result, workspace, config.upload_to, progress)
    return add_tracking(result, progress)


@contextlib.contextmanager
def _started(
    reservation: Reservation, config: TrainConfig, workspace: Workspace, progress: Progress
) -> Iterator["_Training"]:
    """A reserved training when its turn has come; status.json tells how the block ended, where it did not succeed."""
    status = StatusFile(reservation, progress)
    with reservation.lock, contextlib.ExitStack() as held:
        try:
            with stopped_by_signals(reservation):
                wait_for_turn(reservation, workspace)
                status.begin()
                yield _Training(reservation, config, workspace, status, held)
        except (DatasetError, ConfigError) as error:
            if reservation.passed_checks:
                status.end("failed", error.message, error)
            else:
                reservation.remove()
            raise
        except (KeyboardInterrupt, TrainingStoppedError):
            status.end("cancelled", f"It was stopped before it was done. {how_to_go_on(reservation.name)}")
            raise
        except StorageError as error:
            failure = StorageError(f"training {reservation.name}: {error.message} {how_to_go_on(reservation.name)}")
            status.end("failed", failure.message, failure)
            raise failure from error
        except OSError as error:
            free = shutil.disk_usage(reservation.directory).free / 1e9
            failure = StorageError(
                f"training {reservation.name}: could not read or write: {error}. {free:.1f} GB are free in "
                f"{reservation.destination.parent}. See to that. {how_to_go_on(reservation.name)}"
            )
            status.end("failed", failure.message, failure)
            raise failure from error
        except TopgraftError as error:
            status.end("failed", error.message, error)
            raise
        except Exception as error:
            # Such as a GPU that is gone: what was learned is there still.
            status.end("failed", f"{error} {how_to_go_on(reservation.name)}", error)
            raise


class _Training:
    """The steps of one training, in their order."""

    def __init__(
        self,
        reservation: Reservation,
        config: TrainConfig,
        workspace: Workspace,
        progress: Progress,
        held: contextlib.ExitStack,
    ) -> None:
        self.reservation, self.config, self.progress = reservation, config, progress
        self.workspace, self.held = workspace, held
        self.begun_before = reservation.has_begun
        if not is_remote(config.dataset) and self.begun_before:
            wait_for_dataset(workspace.find_dataset(config.dataset))
        self.deadline = Deadline.after_minutes(config.time_limit_minutes, reservation.status.seconds_used)
        self.clock = time.perf_counter()
        self.bundle, self.work = reservation.bundle, reservation.work
        self.tuning: Tuning | None = None

    @property
    def backbone(self) -> Backbone:
        """The backbone that is trained."""
        return find_backbone(self.config.backbone)

    @property
    def source(self) -> str:
        """What the dataset is, as a person reads it: a path, or `remote:path`."""
        named = self.config.dataset
        return named if is_remote(named) else str(self.workspace.find_dataset(named))

    @property
    def spec(self) -> InputSpec:
        """The input of its network."""
        return InputSpec.from_config(self.config)

    @property
    def seconds(self) -> float:
        """The time since the start of this process's part of the training."""
        return round(time.perf_counter() - self.clock, 1)

    def run(self) -> TrainingResult:
        """Check, fit, export, evaluate, report, and close the bundle with its manifest."""
        verdict = self.prepare()
        classifier = self.fit(verdict)
        exported = self.export(verdict, classifier)
        classifier = self.as_served(verdict, classifier, exported)
        self.write_history(classifier.history)
        manifest = self.evaluate(verdict, classifier, exported)
        durable.write_text(self.bundle / bundle_files.MODEL_CARD, model_card(manifest))
        write_job(self.bundle)
        bundles.write_manifest(self.bundle, manifest)
        warnings = (*verdict.remarks, *self.warnings(verdict, classifier, exported))
        return TrainingResult(
            manifest.name,
            self.reservation.destination,
            summarize(manifest.metrics),
            warnings,
            self.seconds,
            self.tuning,
            classifier.remarks,
        )

    def fit(self, verdict: Verdict) -> Classifier:
        """The classifier, told to TensorBoard as it comes about."""
        from model.tracking.tensorboard_log import TensorBoardLog

        journal = TensorBoardLog(self.bundle / bundle_files.LOGS, verdict.dataset, self.config.resize)
        views = views_of(self.config, len(verdict.dataset.train) / len(verdict.dataset.classes))
        if views:
            journal.views(draw_contact_sheet(verdict.training_data, views[0].operations, self.spec, self.config.seed))
        data = verdict.training_data
        classifier = fit_classifier(data, self.config, self.work, self.progress, self.deadline, journal)
        journal.finish(classifier.history)
        return classifier

    def only_tune(self) -> TuningResult:
        """Check, and search."""
        verdict = self.prepare()
        if self.tuning is None:
            raise ConfigError("tune_minutes: expected the minutes to search, received none.")
        return TuningResult(self.tuning, verdict.remarks, self.seconds)

    def prepare(self) -> Verdict:
        """The dataset, checked; where a tuning is asked for, the options from here on are those that it chose."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        self.bundle.mkdir()
        self.work.mkdir(exist_ok=True)
        if self.config.upload_to:
            # What could not be sent in the end is better known before.
            require_remote(parse_place(self.config.upload_to).remote)
        user = f"the training {self.reservation.name}"
        copy = dataset_folder(self.workspace, self.config.dataset, user, self.progress, may_be_old=self.begun_before)
        source = self.held.enter_context(copy)
        verdict = prepare_dataset(source, self.config, self.work, self.progress)
        named = self.config.dataset if is_remote(self.config.dataset) else ""
        log.info("%s", "\n".join(verdict.lines(named)))
        write_dataset_files(verdict, self.bundle / bundle_files.DATASET_FILES)
        self.refuse_another_dataset(verdict)
        self.progress("prepare", 0, 1)
        import_tensorflow()
        if self.config.tune_minutes:
            self.tune(verdict)
        return verdict

    def tune(self, verdict: Verdict) -> None:
        """Choose a backbone and options, and write down what was tried."""
        from model.tuning.search import tune

        self.tuning = tune(verdict.training_data, self.config, self.work, self.progress, self.deadline)
        log.info("tuning: %s", self.tuning.reason)
        self.config = self.tuning.config
        durable.write_json(self.bundle / bundle_files.TUNING, self.tuning.to_json())

    def refuse_another_dataset(self, verdict: Verdict) -> None:
        """A resumed training goes on with the images it began with, or not at all."""
        remembered = self.reservation.fingerprint
        if not self.reservation.passed_checks:
            durable.write_text(remembered, verdict.fingerprint)
        elif remembered.read_text(encoding="utf-8") != verdict.fingerprint:
            raise DatasetError(
                f"{self.source}: expected the images that the training {self.reservation.name} began with, found "
                "others. Put those back to resume it, or remove it and train anew: "
                f"topgraft models remove {self.reservation.name}"
            )

    def export(self, verdict: Verdict, classifier: Classifier) -> "Exported":
        """model.keras, model.onnx and training_features.npz."""
        from model.export.model_files import export_classifier

        self.progress("export", 0, 1)
        classifier.reference.save(self.bundle / bundle_files.TRAINING_FEATURES)
        dataset = verdict.dataset
        exported = export_classifier(classifier, dataset.samples, self.spec, self.bundle)
        if self.config.precision == "float32":
            return exported
        from model.export.int8 import export_in_int8

        return export_in_int8(exported, classifier.chosen, dataset.train, dataset.val, self.spec, self.bundle)

    def as_served(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> Classifier:
        """The classifier with the answers of the network that serves, and held_out_features.npz."""
        if exported.precision == "int8":
            from model.export.int8 import as_answered_in_int8

            classifier = as_answered_in_int8(classifier, verdict.dataset, self.spec, self.config.seed, self.bundle)
        write_held_out(self.bundle / bundle_files.HELD_OUT_FEATURES, classifier.held_out)
        return classifier

    def warnings(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> tuple[str, ...]:
        """What to know of the training itself."""
        ignored = ignored_options(
            self.config, has_splits=verdict.has_splits, cross_validated="cross_validation" in classifier.predictions
        )
        tuned = [_TUNED_ON_THE_SAME] if self.tuning and "cross_validation" in classifier.predictions else []
        return (*ignored, *tuned, *classifier.warnings, *exported.warnings)

    def write_history(self, history: Sequence[Epoch]) -> None:
        """results.csv."""
        rows = [[getattr(row, column) for column in COLUMNS] for row in history]
        durable.write_csv(self.bundle / bundle_files.RESULTS, COLUMNS, rows)

    def evaluate(self, verdict: Verdict, classifier: Classifier, exported: "Exported") -> Manifest:
        """The metrics of each measurement, predictions/, report.html; and the manifest that they go into."""
        self.progress("report", 0, 1)
        dataset = verdict.dataset
        evaluations = {
            name: evaluate_probabilities(dataset.classes, found.samples, found.probabilities, folds=found.folds)
            for name, found in classifier.predictions.items()
        }
        manifest = self.manifest(verdict, classifier, exported, evaluations)
        predictions = self.bundle / bundle_files.PREDICTIONS
        predictions.mkdir()
        for name, evaluation in evaluations.items():
            write_predictions(predictions / f"{name}.csv", evaluation)
        judged = evaluations[primary_measurement(evaluations) or "val"]
        content = ReportContent(
            manifest,
            evaluations,
            [dataclasses.asdict(row) for row in classifier.history],
            {name: found.uncalibrated for name, found in classifier.predictions.items()},
            verdict.rejected,
            verdict.leakage,
            (*verdict.warnings, *self.warnings(verdict, classifier, exported), *classifier.remarks),
            find_confident_errors(judged, load_predictor(Bundle(self.bundle, manifest))),
            None if self.tuning is None else self.tuning.to_json(),
        )
        write_report(self.bundle / bundle_files.REPORT, content)
        return manifest

    def manifest(
        self,
        verdict: Verdict,
        classifier: Classifier,
        exported: "Exported",
        evaluations: Mapping[Measurement, Evaluation],
    ) -> Manifest:
        """All that must travel with the weights, but for the records of the files."""
        return Manifest(
            name=self.reservation.name,
            created=self.reservation.started,
            versions=installed_versions(),
            classes=verdict.dataset.classes,
            backbone=self.backbone.name,
            image_size=self.spec.height,
            resize=self.spec.resize,
            scaling=self.backbone.scaling,
            train_config=dataclasses.asdict(self.config),
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
        )


def _without_matrix(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics without what grows with the square of the classes: report.html has it."""
    return {name: value for name, value in metrics.items() if name != "confusion_matrix"}
