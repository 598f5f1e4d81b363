"""Fitting a classifier to a checked dataset: features, head, fine-tuning, calibration, evaluation."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.augmentation import augmentation_text, parse_augmentation
from model.backbones import Backbone
from model.config import TrainConfig
from model.dataset.prepare import Verdict
from model.errors import ExportError
from model.evaluation.calibration import confidence_threshold, fit_temperature
from model.results import Measurement, Progress, Sample
from model.training.augment import View
from model.training.batches import learning_weights, measuring_weights
from model.training.cross_validation import CrossValidation, FoldPlan, cross_validate
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch, score
from model.training.features import (
    Extract,
    FeatureCache,
    as_decoded,
    converted_backbone,
    extract_features,
    extract_with_onnx,
    look_at,
)
from model.training.head import (
    Head,
    HeadOptions,
    LabelledFeatures,
    random_head,
    refit_head,
    softmax,
    train_head,
)

if TYPE_CHECKING:
    import keras

_TUNED_IS_NOT_CROSS_VALIDATED = (
    "cross-validation measured the frozen backbone, and fine-tuning did better on validation: the model is the "
    "fine-tuned one, so that number is not its own and was left out"
)
_NO_TIME_TO_CROSS_VALIDATE = (
    "the time limit left no time for cross-validation: the accuracy is that of validation images, which chose the "
    "settings, and looks better than the model is"
)

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
    """What was answered to labelled images: probabilities float32 (n, classes), calibrated and not."""

    samples: tuple[Sample, ...]
    probabilities: np.ndarray
    uncalibrated: np.ndarray


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        kernel, bias: the head, float32 (features, classes) and (classes,).
        temperature: what logits are divided by, fitted on the answers of cross-validation, else on validation.
        confidence_threshold: below it an answer counts as unknown, fitted on the same.
        history: a row per epoch of every phase.
        answers: to `val`, by the head that validation chose, before it is refitted; to `test`, where the
            dataset has one; and of `cross_validation`, where there was one and the backbone stayed frozen.
        warnings: sentences for the reader of the result.
    """

    backbone: UsedBackbone
    kernel: np.ndarray
    bias: np.ndarray
    temperature: float
    confidence_threshold: float
    history: tuple[Epoch, ...]
    answers: Mapping[Measurement, Answers]
    warnings: tuple[str, ...] = ()


def fit_classifier(
    verdict: Verdict,
    config: TrainConfig,
    backbone: Backbone,
    image_size: int,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
) -> Classifier:
    """Fit a classifier: frozen features and a head, then what `config` asks for beyond them.

    Args:
        work_directory: for checkpoints and large temporary files; what an interrupted fit left there is used again.
        deadline: when to stop with what is best so far.

    Raises:
        WeightsError, ConfigError: the backbone cannot be built.
        TrainingError: the training diverged.
    """
    fit = _Fit(verdict, config, backbone, image_size, work_directory, progress, deadline)
    return fit.from_scratch() if config.weights == "none" else fit.from_pretrained()


class _Fit:
    """The parts of one fit, over the same samples and options."""

    def __init__(
        self,
        verdict: Verdict,
        config: TrainConfig,
        backbone: Backbone,
        image_size: int,
        work_directory: Path,
        progress: Progress,
        deadline: Deadline,
    ) -> None:
        self.deadline = deadline
        self.verdict, self.config = verdict, config
        self.dataset, self.content_hashes = verdict.dataset, verdict.content_hashes
        self.backbone, self.image_size = backbone, image_size
        self.work_directory, self.progress = work_directory, progress
        self.classes = len(verdict.dataset.classes)
        self.views = _views(config, len(verdict.dataset.train) / self.classes)

    def from_pretrained(self) -> Classifier:
        """Head on frozen features; fine-tuned where asked for and better; refitted where it stayed frozen."""
        used = self._pretrained()
        features = self._cached_features(used, self.dataset.samples)
        train = self._with_views(used, features, self.dataset.train)
        val = self._labelled(features, self.dataset.val)
        options = self._head_options()
        head = train_head(train, val, self.classes, options, self._tell_epoch, self.deadline)
        found = self._cross_validated(used, features) if self.verdict.folds else None
        history = head.history
        if self.config.fine_tune == "top":
            network = used.network()
            tuned = self._fine_tune(network, head)
            history += tuned.history
            stop_on = self.config.stop_on
            if tuned.best_epoch and score(tuned.best, stop_on) < score(head.best, stop_on):
                classifier = self._tuned_classifier(network, tuned, history)
                return dataclasses.replace(classifier, warnings=(_TUNED_IS_NOT_CROSS_VALIDATED,) if found else ())
            log.info("fine-tuning did not improve %s of %.4f: it is left out", stop_on, getattr(head.best, stop_on))
        final = self._refitted(used, features, head, found)
        classifier = self._classifier(used, features, head, final, history, found)
        gave_up = self.verdict.folds and found is None
        return dataclasses.replace(classifier, warnings=(_NO_TIME_TO_CROSS_VALIDATE,) if gave_up else ())

    def from_scratch(self) -> Classifier:
        """All layers from random weights."""
        from model.training.pretrained import build_backbone

        network = build_backbone(self.backbone, self.image_size, "none", self.config.seed)
        start = random_head(network.output.shape[-1], self.classes, self.config.seed)
        tuned = self._fine_tune(network, start)
        return self._tuned_classifier(network, tuned, tuned.history)

    def _cross_validated(self, used: UsedBackbone, features: np.ndarray) -> CrossValidation | None:
        config, verdict = self.config, self.verdict
        samples = self.dataset.train + self.dataset.val
        return cross_validate(
            samples,
            self._with_views(used, features, samples),
            self.classes,
            FoldPlan(verdict.groups, verdict.folds, config.val_fraction, config.seed, config.refit),
            self._head_options(),
            lambda done: self.progress("cross_validation", done, verdict.folds),
            self.deadline,
        )

    def _refitted(self, used: UsedBackbone, features: np.ndarray, head: Head, found: CrossValidation | None) -> Head:
        """The head learned again from validation images too, with the L2 strength and epochs that were settled."""
        if not self.config.refit:
            return head
        both = self._with_views(used, features, self.dataset.train + self.dataset.val)
        # Several folds choose better than the few validation images of one division.
        settled = head if found is None else dataclasses.replace(head, l2=found.l2, best_epoch=found.epochs)
        return refit_head(both, self.classes, settled, self._head_options())

    def _pretrained(self) -> UsedBackbone:
        from model.training.pretrained import build_backbone

        build = functools.partial(build_backbone, self.backbone, self.image_size, "imagenet")
        try:
            graph = converted_backbone(self.backbone, self.image_size)
        except ExportError as error:
            return _without_graph(build(), error)
        return UsedBackbone(build, graph, extract_with_onnx(graph))

    def _fine_tune(self, network: "keras.Model", start: Head) -> Head:
        from model.training.fine_tune import fine_tune

        return fine_tune(
            network,
            start,
            self.dataset,
            learning_weights(_labels(self.dataset.train), self.classes, self.config.imbalance),
            measuring_weights(_labels(self.dataset.val), self.classes, self.config.imbalance),
            self.config,
            self.work_directory,
            self.progress,
            self.deadline,
            [as_decoded, *(look_at(view, self.content_hashes) for view in self.views)],
        )

    def _tuned_classifier(self, network: "keras.Model", head: Head, history: tuple[Epoch, ...]) -> Classifier:
        from model.training.onnx_export import convert_backbone

        try:
            graph = convert_backbone(network).SerializeToString()
            used = UsedBackbone(lambda: network, graph, extract_with_onnx(graph))
        except ExportError as error:
            used = _without_graph(network, error)
        size, resize = (self.image_size, self.image_size), self.config.resize
        features = extract_features(used.extract, self.dataset.samples, size, resize, self.progress)
        return self._classifier(used, features, head, head, history)

    def _classifier(
        self,
        used: UsedBackbone,
        features: np.ndarray,
        chosen: Head,
        final: Head,
        history: tuple[Epoch, ...],
        found: CrossValidation | None = None,
    ) -> Classifier:
        """Calibrate on images that had no part in the weights, and keep the final head with its answers."""
        dataset = self.dataset
        samples: dict[Measurement, tuple[Sample, ...]] = {"val": dataset.val, "test": dataset.test}
        logits: dict[Measurement, np.ndarray] = {
            "val": chosen.logits(self._rows(features, dataset.val)),
            "test": final.logits(self._rows(features, dataset.test)),
        }
        if found is not None:
            samples["cross_validation"], logits["cross_validation"] = dataset.train + dataset.val, found.logits
        calibrating: Measurement = "val" if found is None else "cross_validation"
        labels = _labels(samples[calibrating])
        temperature = fit_temperature(logits[calibrating], labels)
        answers = {
            name: Answers(samples[name], softmax(values / temperature), softmax(values))
            for name, values in logits.items()
            if samples[name]
        }
        threshold = confidence_threshold(answers[calibrating].probabilities, labels)
        return Classifier(used, final.kernel, final.bias, temperature, threshold, history, answers)

    def _cached_features(self, used: UsedBackbone, samples: Sequence[Sample], view: View | None = None) -> np.ndarray:
        cache = FeatureCache(self.backbone, self.image_size, self.config.resize)
        size, resize = (self.image_size, self.image_size), self.config.resize
        return cache.extract(used.extract, samples, self.content_hashes, size, resize, self.progress, view)

    def _rows(self, features: np.ndarray, samples: Sequence[Sample]) -> np.ndarray:
        """The features of some samples; `features` has a row for each of `dataset.samples`."""
        position = {sample.name: row for row, sample in enumerate(self.dataset.samples)}
        return features[[position[sample.name] for sample in samples]]

    def _labelled(self, features: np.ndarray, samples: Sequence[Sample]) -> LabelledFeatures:
        """Images to measure on."""
        labels = _labels(samples)
        weights = measuring_weights(labels, self.classes, self.config.imbalance)
        return LabelledFeatures(self._rows(features, samples), labels, weights)

    def _with_views(self, used: UsedBackbone, features: np.ndarray, samples: Sequence[Sample]) -> LabelledFeatures:
        """Images to learn from, with their augmented views."""
        views = tuple(self._cached_features(used, samples, view) for view in self.views)
        labels = _labels(samples)
        weights = learning_weights(labels, self.classes, self.config.imbalance)
        return LabelledFeatures(self._rows(features, samples), labels, weights, views)

    def _head_options(self) -> HeadOptions:
        config = self.config
        return HeadOptions(
            epochs=config.epochs,
            patience=config.patience,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            l2=config.l2,
            seed=config.seed,
            imbalance=config.imbalance,
            label_smoothing=config.label_smoothing,
            mixup=config.mixup,
            stop_on=config.stop_on,
        )

    def _tell_epoch(self, row: Epoch) -> None:
        self.progress(
            row.phase,
            row.epoch,
            self.config.epochs,
            loss=row.loss,
            val_loss=row.val_loss,
            val_accuracy=row.val_accuracy,
            val_macro_f1=row.val_macro_f1,
        )


def _views(config: TrainConfig, images_per_class: float) -> tuple[View, ...]:
    """The augmented views that a training learns from, beside the images themselves."""
    operations = parse_augmentation(config.augmentation, images_per_class)
    if not operations or not config.augmented_views:
        return ()
    log.info("augmentation: %d views of each image by %s", config.augmented_views, augmentation_text(operations))
    return tuple(View(operations, config.seed, number) for number in range(1, config.augmented_views + 1))


def _without_graph(network: "keras.Model", reason: ExportError) -> UsedBackbone:
    log.warning("%s", reason)

    def extract(images: np.ndarray) -> np.ndarray:
        return np.asarray(network.predict_on_batch(images)).mean(axis=(1, 2))

    return UsedBackbone(lambda: network, None, extract, reason.message)


def _labels(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([sample.label for sample in samples], dtype=np.int64)
