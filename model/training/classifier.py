"""Fitting a classifier to a checked dataset: features, head, fine-tuning, calibration, evaluation."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from model.augmentation import augmentation_text
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.prepare import Verdict
from model.errors import ExportError
from model.evaluation.calibration import fit_temperature
from model.evaluation.paired import compare_paired
from model.evaluation.unknown import confidence_thresholds, describe_held_out, known_distance
from model.features.cache import FeatureCache
from model.features.extractor import Extract, FeatureExtractor, extract_features
from model.features.views import View, view_transform, views_of
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec, Measurement, Progress, Sample, labels_of
from model.serving.reference_features import ReferenceFeatures, build_reference_features
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import CachedCounts, Checkpoints, TimedCheckpoints
from model.training.cross_validation import CrossValidation, FoldPlan, cross_validate
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch
from model.training.fine_tuning.choice import (
    Choice,
    Circumstances,
    choose_fine_tuning,
    leaving_time,
    measured_seconds_per_image,
    remembered,
    seconds_to_finish,
)
from model.training.head import (
    Head,
    HeadOptions,
    LabelledFeatures,
    random_head,
    refit_head,
    train_head,
)
from model.training.journal import NO_JOURNAL, Journal
from model.training.memory import memory_remark, refuse_too_many_features

if TYPE_CHECKING:
    import keras

    from model.training.fine_tuning.fine_tune import Part, Tuned

_TUNED_IS_NOT_CROSS_VALIDATED = (
    "cross-validation measured the frozen backbone, and fine-tuning did better on validation: the model is the "
    "fine-tuned one, so that number is not its own and was left out"
)
# A head takes seconds, and without it the features were made for nothing.
_LEAST_SECONDS_OF_HEAD = 20.0
_NO_TIME_TO_CROSS_VALIDATE = (
    "the time limit left no time for cross-validation: the accuracy is that of validation images, which chose the "
    "settings, and looks better than the model is"
)
_NO_TIME_TO_REFIT = "the time limit left no time to train the head again on training and validation images together"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class UsedBackbone:
    """The backbone of a classifier, in the forms that its making needs.

    Attributes:
        network: gives it as a Keras model from uint8 images to a feature map.
        graph: it converted to ONNX, serialised; None where that is impossible.
        extract: from images to features, by the quickest engine.
        remark: why there is no graph, else empty.
    """

    network: Callable[[], "keras.Model"]
    graph: bytes | None
    extract: Extract
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Answers:
    """What was answered to labelled images.

    Attributes:
        probabilities, uncalibrated: float32 (n, classes), divided by the temperature before softmax and not.
        folds: of cross-validation; 0 where the model itself answered.
    """

    samples: tuple[Sample, ...]
    probabilities: np.ndarray
    uncalibrated: np.ndarray
    folds: int = 0


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        kernel, bias: the head, float32 (features, classes) and (classes,).
        chosen: the head that validation chose, before it learned from validation images too.
        temperature: what logits are divided by, fitted on the answers of cross-validation, else on validation.
        thresholds: what tells that an image is unknown, as in `model.bundle.Manifest`; those of confidence are
            fitted on the same answers.
        reference: features of the training images.
        held_out: description of the images of `val` and `test`, none of which is in `reference`; see
            `model.evaluation.unknown.describe_held_out`.
        history: a row per epoch of every phase.
        answers: to `val`, by the head that validation chose, before it is refitted; to `test`, where the
            dataset has one; and of `cross_validation`, where there was one and the backbone stayed frozen.
        warnings: sentences for the reader of the result.
        remarks: more of them, where nothing is wrong: what was chosen, and what fine-tuning brought.
    """

    backbone: UsedBackbone
    kernel: np.ndarray
    bias: np.ndarray
    chosen: Head
    temperature: float
    thresholds: Mapping[str, Any]
    reference: ReferenceFeatures
    held_out: np.ndarray
    history: tuple[Epoch, ...]
    answers: Mapping[Measurement, Answers]
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def fit_classifier(
    verdict: Verdict,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
    journal: Journal = NO_JOURNAL,
) -> Classifier:
    """Fit a classifier: frozen features and a head, then what `config` asks for beyond them.

    Args:
        work_directory: for checkpoints and large temporary files; what an interrupted fit left there is used again.
        deadline: when to stop with what is best so far.
        journal: told of each epoch, and of the features that come out.

    Raises:
        WeightsError, ConfigError: the backbone cannot be built.
        TrainingError: the training diverged.
    """
    fit = _Fit(verdict, config, work_directory, progress, deadline, journal)
    return fit.from_scratch() if config.weights == "none" else fit.from_pretrained()


class _Fit:
    """The parts of one fit, over the same samples and options."""

    def __init__(
        self,
        verdict: Verdict,
        config: TrainConfig,
        work_directory: Path,
        progress: Progress,
        deadline: Deadline,
        journal: Journal,
    ) -> None:
        self.deadline, self.journal = deadline, journal
        self.verdict, self.config = verdict, config
        self.dataset, self.content_hashes = verdict.dataset, verdict.content_hashes
        self.backbone, self.spec = find_backbone(config.backbone), InputSpec.from_config(config)
        self.work_directory, self.progress = work_directory, progress
        self.classes = len(verdict.dataset.classes)
        self.warnings: list[str] = []
        self.remarks: list[str] = []
        self.views = views_of(config, len(verdict.dataset.train) / self.classes)
        if self.views:
            operations = augmentation_text(self.views[0].operations)
            log.info("augmentation: %d views of each image by %s", len(self.views), operations)

    def from_pretrained(self) -> Classifier:
        """Head on frozen features; fine-tuned where asked for and better; refitted where it stayed frozen."""
        used = self._pretrained()
        features = self._cached_features(used, self.dataset.samples)
        refuse_too_many_features(len(features), features.shape[1], len(self.views))
        train = self._with_views(used, features, self.dataset.train)
        val = self._labelled(features, self.dataset.val)
        head = self._head(train, val)
        found = self._cross_validated(used, features) if self.verdict.folds else None
        history = head.history
        part = self._part_to_tune(used)
        if part is not None:
            network = used.network()
            tuned = self._fine_tune(network, head, part, measured_seconds_per_image(used.extract, self.spec))
            history += tuned.head.history
            if self._is_better(tuned, head.logits(val.features), val):
                if found:
                    self.warnings.append(_TUNED_IS_NOT_CROSS_VALIDATED)
                return self._tuned_classifier(network, tuned.head, history)
        if self.verdict.folds and found is None:
            self.warnings.append(_NO_TIME_TO_CROSS_VALIDATE)
        final = self._refitted(used, features, head, found)
        return self._classifier(used, features, head, final, history, found)

    def from_scratch(self) -> Classifier:
        """All layers from random weights."""
        from model.networks.pretrained import build_backbone

        network = build_backbone(self.backbone, self.spec.height, "none", self.config.seed)
        start = random_head(network.output.shape[-1], self.classes, self.config.seed)
        tuned = self._fine_tune(network, start, "scratch", 0.0)
        return self._tuned_classifier(network, tuned.head, tuned.head.history)

    def _head(self, train: LabelledFeatures, val: LabelledFeatures) -> Head:
        """The head that validation chooses; one that an interrupted fit has trained is taken as it is."""
        config = self.config
        head = train_head(
            train,
            val,
            self.classes,
            HeadOptions.from_config(config),
            self._tell_epoch,
            self.deadline.at_least(_LEAST_SECONDS_OF_HEAD),
            TimedCheckpoints(self.work_directory / "head", 60 * config.checkpoint_minutes),
        )
        if head.cut_short:
            self.warnings.append(
                f"the time limit ended the training of the head after epoch {len(head.history)} of {config.epochs} at "
                "most, while it may still have become better: raise time_limit_minutes"
            )
        return head

    def _part_to_tune(self, used: UsedBackbone) -> "Part | None":
        wanted: Any = self.config.fine_tune
        if wanted == "auto":
            choice = remembered(self.work_directory / "fine_tune.json", lambda: self._choice(used))
            self._remark(f"fine_tune = auto chose {choice.fine_tune}: {choice.reason}")
            wanted = choice.fine_tune
        return None if wanted == "none" else wanted

    def _choice(self, used: UsedBackbone) -> Choice:
        from model.training.fine_tuning.hardware import gpus

        dataset = self.dataset
        return choose_fine_tuning(
            Circumstances(
                images=len(dataset.samples),
                train_images=len(dataset.train),
                val_images=len(dataset.val),
                classes=self.classes,
                views=1 + len(self.views),
                epochs=self.config.fine_tune_epochs,
                seconds_per_image=measured_seconds_per_image(used.extract, self.spec),
                gpu=bool(gpus()),
                seconds_left=self.deadline.seconds_left(),
            )
        )

    def _is_better(self, tuned: "Tuned", head_logits: np.ndarray, val: LabelledFeatures) -> bool:
        """Whether fine-tuning improved validation beyond chance."""
        if not tuned.head.best_epoch:
            self._remark("fine-tuning was left out: the time was over before its first epoch, or it diverged")
            return False
        config = self.config
        found = compare_paired(head_logits, tuned.val_logits, val.labels, val.weights, config.stop_on, config.seed)
        kept = "was kept" if found.is_better else "was left out, as that may be chance"
        self._remark(f"fine-tuning reached {found}, and {kept}")
        return found.is_better

    def _remark(self, sentence: str) -> None:
        log.info("%s", sentence)
        self.remarks.append(sentence)

    def _cross_validated(self, used: UsedBackbone, features: np.ndarray) -> CrossValidation | None:
        config, verdict = self.config, self.verdict
        samples = self.dataset.train + self.dataset.val
        return cross_validate(
            samples,
            self._with_views(used, features, samples),
            self.classes,
            FoldPlan(verdict.groups, verdict.folds, config.val_fraction, config.seed, config.refit),
            HeadOptions.from_config(self.config),
            lambda done: self.progress("cross_validation", done, verdict.folds),
            self.deadline,
            Checkpoints(self.work_directory / "folds"),
        )

    def _refitted(self, used: UsedBackbone, features: np.ndarray, head: Head, found: CrossValidation | None) -> Head:
        """The head learned again from validation images too, with the L2 strength and epochs that were settled."""
        if not self.config.refit:
            return head
        if self.deadline.is_over() and sum(row.seconds for row in head.history) > _LEAST_SECONDS_OF_HEAD:
            self.warnings.append(_NO_TIME_TO_REFIT)
            return head
        both = self._with_views(used, features, self.dataset.train + self.dataset.val)
        # Several folds choose better than the few validation images of one division.
        settled = head if found is None else dataclasses.replace(head, l2=found.l2, best_epoch=found.epochs)
        return refit_head(both, self.classes, settled, HeadOptions.from_config(self.config))

    def _pretrained(self) -> UsedBackbone:
        from model.networks.pretrained import build_backbone

        build = functools.partial(build_backbone, self.backbone, self.spec.height, "imagenet")
        try:
            graph = converted_backbone(self.backbone, self.spec.height)
        except ExportError as error:
            return _without_graph(build(), error)
        return UsedBackbone(build, graph, FeatureExtractor(graph, self.spec))

    def _fine_tune(self, network: "keras.Model", start: Head, part: "Part", seconds_per_image: float) -> "Tuned":
        from model.networks.network import cut_at_last_block
        from model.training.fine_tuning.fine_tune import fine_tune
        from model.training.fine_tuning.hardware import gpus

        trained = cut_at_last_block(network)[1] if part == "top" else network
        too_much = "" if gpus() else memory_remark(trained, self.config.batch_size, part == "scratch")
        if too_much:
            log.warning("%s", too_much)
            self.warnings.append(too_much)
        dataset, imbalance = self.dataset, self.config.imbalance
        tuned = fine_tune(
            network,
            start,
            part,
            dataset,
            learning_weights(labels_of(dataset.train), self.classes, imbalance),
            measuring_weights(labels_of(dataset.val), self.classes, imbalance),
            self.config,
            self.work_directory,
            self.progress,
            leaving_time(self.deadline, seconds_to_finish(len(dataset.samples), seconds_per_image)),
            [None, *(view_transform(view, self.content_hashes) for view in self.views)],
            self.journal,
        )
        if tuned.batch_size < self.config.batch_size:
            self.warnings.append(
                f"the memory of the GPU was too small for batches of {self.config.batch_size} images: fine-tuning "
                f"ended with batches of {tuned.batch_size}"
            )
        return tuned

    def _tuned_classifier(self, network: "keras.Model", head: Head, history: tuple[Epoch, ...]) -> Classifier:
        from model.networks.onnx_export import convert_backbone

        try:
            graph = convert_backbone(network).SerializeToString()
            used = UsedBackbone(lambda: network, graph, FeatureExtractor(graph, self.spec))
        except ExportError as error:
            used = _without_graph(network, error)
        features = extract_features(used.extract, self.dataset.samples, self.spec, self.progress)
        return self._classifier(used, features, head, head, history, frozen=False)

    def _classifier(
        self,
        used: UsedBackbone,
        features: np.ndarray,
        chosen: Head,
        final: Head,
        history: tuple[Epoch, ...],
        found: CrossValidation | None = None,
        frozen: bool = True,
    ) -> Classifier:
        """Calibrate on images that had no part in the weights, and keep the final head with its answers."""
        self.journal.features(features)
        dataset = self.dataset
        samples: dict[Measurement, tuple[Sample, ...]] = {"val": dataset.val, "test": dataset.test}
        logits: dict[Measurement, np.ndarray] = {
            "val": chosen.logits(self._rows(features, dataset.val)),
            "test": final.logits(self._rows(features, dataset.test)),
        }
        if found is not None:
            samples["cross_validation"], logits["cross_validation"] = dataset.train + dataset.val, found.logits
        calibrating: Measurement = "val" if found is None else "cross_validation"
        labels = labels_of(samples[calibrating])
        temperature = fit_temperature(logits[calibrating], labels)
        answers = {
            name: Answers(samples[name], softmax(values / temperature, axis=-1), softmax(values, axis=-1))
            for name, values in logits.items()
            if samples[name]
        }
        if found is not None:
            answers["cross_validation"] = dataclasses.replace(answers["cross_validation"], folds=self.verdict.folds)
        probabilities, wanted = answers[calibrating].probabilities, self.config.target_accuracy
        thresholds = confidence_thresholds(probabilities, labels, dataset.classes, wanted)
        learned_from = self._rows(features, dataset.train)
        names = [sample.name for sample in dataset.train]
        reference = build_reference_features(learned_from, labels_of(dataset.train), names, self.config.seed)
        thresholds["distance"] = known_distance(reference, self._rows(features, dataset.val), frozen)
        return Classifier(
            used,
            final.kernel,
            final.bias,
            chosen,
            temperature,
            thresholds,
            reference,
            describe_held_out(reference, self._rows(features, dataset.val + dataset.test), self.config.seed),
            history,
            answers,
            tuple(self.warnings),
            tuple(self.remarks),
        )

    def _cached_features(self, used: UsedBackbone, samples: Sequence[Sample], view: View | None = None) -> np.ndarray:
        cache = FeatureCache(self.backbone, self.spec, CachedCounts(self.work_directory))
        return cache.extract(used.extract, samples, self.content_hashes, self.progress, view)

    def _rows(self, features: np.ndarray, samples: Sequence[Sample]) -> np.ndarray:
        """The features of some samples; `features` has a row for each of `dataset.samples`."""
        position = {sample.name: row for row, sample in enumerate(self.dataset.samples)}
        return features[[position[sample.name] for sample in samples]]

    def _labelled(self, features: np.ndarray, samples: Sequence[Sample]) -> LabelledFeatures:
        """Images to measure on."""
        labels = labels_of(samples)
        weights = measuring_weights(labels, self.classes, self.config.imbalance)
        return LabelledFeatures(self._rows(features, samples), labels, weights)

    def _with_views(self, used: UsedBackbone, features: np.ndarray, samples: Sequence[Sample]) -> LabelledFeatures:
        """Images to learn from, with their augmented views."""
        views = tuple(self._cached_features(used, samples, view) for view in self.views)
        labels = labels_of(samples)
        weights = learning_weights(labels, self.classes, self.config.imbalance)
        return LabelledFeatures(self._rows(features, samples), labels, weights, views)

    def _tell_epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        self.journal.epoch(row, val_logits)
        self.progress(
            row.phase,
            row.epoch,
            self.config.epochs,
            loss=row.loss,
            val_loss=row.val_loss,
            val_accuracy=row.val_accuracy,
            val_macro_f1=row.val_macro_f1,
        )


def _without_graph(network: "keras.Model", reason: ExportError) -> UsedBackbone:
    log.warning("%s", reason)

    def extract(images: np.ndarray) -> np.ndarray:
        return np.asarray(network.predict_on_batch(images)).mean(axis=(1, 2))

    return UsedBackbone(lambda: network, None, extract, reason.message)
