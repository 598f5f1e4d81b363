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
from model.results import Progress, Sample, Split
from model.training.augment import View
from model.training.batches import balanced_weights
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
class FittedSplit:
    """What a classifier says of a split: probabilities (n, classes) calibrated and not, and the labels (n,)."""

    probabilities: np.ndarray
    uncalibrated: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        kernel, bias: the head, float32 (features, classes) and (classes,).
        temperature: what logits are divided by, fitted on validation.
        confidence_threshold: below it an answer counts as unknown, fitted on validation.
        history: a row per epoch of every phase.
        splits: of `val`, by the head that validation chose, before it is refitted; and of `test`,
            where the dataset has one.
    """

    backbone: UsedBackbone
    kernel: np.ndarray
    bias: np.ndarray
    temperature: float
    confidence_threshold: float
    history: tuple[Epoch, ...]
    splits: Mapping[Split, FittedSplit]


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
        self.dataset, self.content_hashes, self.config = verdict.dataset, verdict.content_hashes, config
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
        history = head.history
        if self.config.fine_tune == "top":
            network = used.network()
            tuned = self._fine_tune(network, head)
            history += tuned.history
            stop_on = self.config.stop_on
            if tuned.best_epoch and score(tuned.best, stop_on) < score(head.best, stop_on):
                return self._tuned_classifier(network, tuned, history)
            log.info("fine-tuning did not improve %s of %.4f: it is left out", stop_on, getattr(head.best, stop_on))
        return self._classifier(used, features, head, self._refitted(used, features, head), history)

    def from_scratch(self) -> Classifier:
        """All layers from random weights."""
        from model.training.pretrained import build_backbone

        network = build_backbone(self.backbone, self.image_size, "none", self.config.seed)
        start = random_head(network.output.shape[-1], self.classes, self.config.seed)
        tuned = self._fine_tune(network, start)
        return self._tuned_classifier(network, tuned, tuned.history)

    def _refitted(self, used: UsedBackbone, features: np.ndarray, head: Head) -> Head:
        if not self.config.refit:
            return head
        both = self._with_views(used, features, self.dataset.train + self.dataset.val)
        return refit_head(both, self.classes, head, self._head_options())

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
            self._train_weights(self.dataset.train),
            self._val_weights(self.dataset.val),
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
        self, used: UsedBackbone, features: np.ndarray, chosen: Head, final: Head, history: tuple[Epoch, ...]
    ) -> Classifier:
        """Calibrate on validation with the head it chose, evaluate, and keep the final head."""
        logits: dict[Split, np.ndarray] = {
            "val": chosen.logits(self._rows(features, self.dataset.val)),
            "test": final.logits(self._rows(features, self.dataset.test)),
        }
        labels = {split: _labels(self.dataset.split(split)) for split in logits}
        temperature = fit_temperature(logits["val"], labels["val"])
        probabilities = {split: softmax(values / temperature) for split, values in logits.items()}
        return Classifier(
            used,
            final.kernel,
            final.bias,
            temperature,
            confidence_threshold(probabilities["val"], labels["val"]),
            history,
            {
                split: FittedSplit(probabilities[split], softmax(logits[split]), labels[split])
                for split in logits
                if len(labels[split])
            },
        )

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
        return LabelledFeatures(self._rows(features, samples), _labels(samples), self._val_weights(samples))

    def _with_views(self, used: UsedBackbone, features: np.ndarray, samples: Sequence[Sample]) -> LabelledFeatures:
        """Images to learn from, with their augmented views."""
        views = tuple(self._cached_features(used, samples, view) for view in self.views)
        return LabelledFeatures(self._rows(features, samples), _labels(samples), self._train_weights(samples), views)

    def _train_weights(self, samples: Sequence[Sample]) -> np.ndarray:
        if self.config.imbalance == "class_weights":
            return balanced_weights(_labels(samples), self.classes)
        return np.ones(len(samples), np.float32)

    def _val_weights(self, samples: Sequence[Sample]) -> np.ndarray:
        """All that is done about imbalance aims at classes that count the same."""
        if self.config.imbalance != "none":
            return balanced_weights(_labels(samples), self.classes)
        return np.ones(len(samples), np.float32)

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
