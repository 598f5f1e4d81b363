"""The images that a tuning measures candidates on, with their features by any backbone, made when first asked for."""

import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.prepare import Verdict
from model.dataset.reading import read_sample
from model.dataset.splits import stratified_folds
from model.errors import TrainingError
from model.features.cache import FeatureCache
from model.features.extractor import Extract, FeatureExtractor
from model.features.views import View, views_of
from model.networks.converted_backbone import converted_backbone, is_converted
from model.results import InputSpec, Sample
from model.training.head import LabelledFeatures
from model.tuning.trials import MeasuredBackbone

# Beyond so many images a tuning learns little more about which option is better, but takes longer.
MOST_IMAGES = 2000
# The speed is told by so many images, and may change by so much.
_FIRST_IMAGES = 16
_DOUBT = 1.1
# A guess, until one has been converted.
_SECONDS_TO_CONVERT = 15.0
_WARM_UPS = 2
_RUNS = 9
_MOST_SECONDS_OF_RUNS = 2.0
_BYTES_OF_A_WEIGHT = 4


class NoTimeError(TrainingError):
    """What was asked for does not fit in the time that is left."""


class Pool:
    """Images for training and validation, at most 2,000 of them; never those of the test split.

    Attributes:
        samples: the images.
        labels: int (n,).
        classes: how many there are.
    """

    def __init__(
        self,
        verdict: Verdict,
        seed: int,
        tell: Callable[[], None],
        on_saved: Callable[[str, int], None] | None = None,
    ) -> None:
        """Args:
        tell: called as features are made.
        on_saved: see `FeatureCache`.
        """
        dataset = verdict.dataset
        self.samples = _at_most(MOST_IMAGES, (*dataset.train, *dataset.val), verdict, seed)
        self.labels = np.array([sample.label for sample in self.samples], np.int64)
        self.classes = len(dataset.classes)
        self._images_per_class = len(dataset.train) / self.classes
        self._content_hashes = verdict.content_hashes
        self._tell, self._on_saved = tell, on_saved
        self._made: dict[tuple[object, ...], LabelledFeatures] = {}
        self._prepared: tuple[tuple[str, int], Extract, int] | None = None
        self._slowest_conversion = _SECONDS_TO_CONVERT

    def measure(self, candidate: TrainConfig, seconds_left: float) -> MeasuredBackbone:
        """What the backbone of a candidate costs.

        Raises:
            NoTimeError: others took longer to get ready than there is time.
            WeightsError, ConfigError, ExportError: it cannot be used.
        """
        spec = InputSpec.from_config(candidate)
        expected = 0.0 if is_converted(find_backbone(candidate.backbone), spec.height) else self._slowest_conversion
        if expected > seconds_left:
            raise NoTimeError(
                f"converting it to ONNX would take about {expected:.0f} s, and {max(0.0, seconds_left):.0f} s of the "
                "tuning were left for that."
            )
        started = time.monotonic()
        extract, graph_bytes = self._network(candidate)
        self._slowest_conversion = max(self._slowest_conversion, time.monotonic() - started)
        image = read_sample(self.samples[0], spec)[None]
        features = extract(image).shape[1]
        head_bytes = _BYTES_OF_A_WEIGHT * (features + 1) * self.classes
        return MeasuredBackbone(round(_median_ms(extract, image), 2), round((graph_bytes + head_bytes) / 1e6, 2))

    def make_features(self, candidate: TrainConfig, seconds_left: float) -> None:
        """Have the features of a candidate ready.

        Raises:
            NoTimeError: they would not be in time, judged by the first of them.
        """
        key = _features_key(candidate)
        if key in self._made:
            return
        views: tuple[View | None, ...] = (None, *views_of(candidate, self._images_per_class))
        give_up = time.monotonic() + seconds_left
        features, *of_views = (
            self._extract(candidate, view, _Watch(self._tell, give_up, len(views) - number))
            for number, view in enumerate(views)
        )
        weights = np.ones(len(self.samples), np.float32)
        self._made[key] = LabelledFeatures(features, self.labels, weights, tuple(of_views))

    def images(self, candidate: TrainConfig) -> LabelledFeatures:
        """The images as the head of a candidate sees them."""
        self.make_features(candidate, math.inf)
        return self._made[_features_key(candidate)]

    def _extract(self, candidate: TrainConfig, view: View | None, watch: "_Watch") -> np.ndarray:
        cache = FeatureCache(find_backbone(candidate.backbone), InputSpec.from_config(candidate), self._on_saved)
        return cache.extract(
            lambda images: self._network(candidate)[0](images),
            self.samples,
            self._content_hashes,
            watch,
            view,
        )

    def _network(self, candidate: TrainConfig) -> tuple[Extract, int]:
        """From images to features, and the bytes of the graph; only the last one is kept in memory."""
        spec = InputSpec.from_config(candidate)
        key = (candidate.backbone, spec.height)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None
            graph = converted_backbone(find_backbone(candidate.backbone), key[1])
            self._prepared = (key, FeatureExtractor(graph, spec), len(graph))
        return self._prepared[1], self._prepared[2]


class _Watch:
    """A `Progress` that gives up as soon as it sees that features will not be made in time."""

    def __init__(self, tell: Callable[[], None], give_up: float, passes: int) -> None:
        self._tell, self._give_up, self._passes = tell, give_up, passes
        self._first: tuple[float, int] | None = None

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        self._tell()
        now = time.monotonic()
        # The first batch takes longer: the network is read.
        started, done_then = self._first = self._first or (now, done)
        enough = done - done_then >= _FIRST_IMAGES
        expected = (now - started) / (done - done_then) * (total * self._passes - done) if enough else 0.0
        left = self._give_up - now
        if expected > _DOUBT * left:
            raise NoTimeError(
                f"its features would take {expected:.0f} s more, and {max(0.0, left):.0f} s of the tuning were left."
            )


def _at_most(most: int, samples: Sequence[Sample], verdict: Verdict, seed: int) -> tuple[Sample, ...]:
    """A stratified part of the samples, which keeps groups whole."""
    parts = math.ceil(len(samples) / most)
    if parts == 1:
        return tuple(samples)
    fold_of = stratified_folds(samples, [verdict.groups[sample.name] for sample in samples], parts, seed)
    return tuple(sample for sample, fold in zip(samples, fold_of, strict=True) if fold == 0)


def _features_key(candidate: TrainConfig) -> tuple[object, ...]:
    return candidate.backbone, InputSpec.from_config(candidate), candidate.augmentation


def _median_ms(extract: Extract, image: np.ndarray) -> float:
    started = time.perf_counter()
    times = []
    for run in range(_WARM_UPS + _RUNS):
        before = time.perf_counter()
        extract(image)
        after = time.perf_counter()
        if run >= _WARM_UPS or after - started > _MOST_SECONDS_OF_RUNS:
            times.append(1000 * (after - before))
        if after - started > _MOST_SECONDS_OF_RUNS:
            break
    return statistics.median(times)
