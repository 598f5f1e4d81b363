"""The images of a search, with their features by each backbone, extracted on first use."""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np

from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.splits import stratified_folds
from model.dataset.training_data import TrainingData
from model.errors import TrainingError
from model.features.cache import FeatureCache
from model.features.extractor import Extract, FeatureExtractor
from model.features.views import View, views_of
from model.networks.converted_backbone import converted_backbone, is_converted
from model.results import InputSpec
from model.training.head_candidates import LabelledFeatures
from model.tuning.trials import MeasuredBackbone

# More images hardly change which option is better, but take longer.
MAX_IMAGES = 2000
# Images after which the speed is known, and the factor by which it may change.
_FIRST_IMAGES = 16
_TOLERANCE = 1.1
# A guess, until one has been converted.
_SECONDS_TO_CONVERT = 15.0
_WARM_UPS = 2
_RUNS = 9
_MAX_SECONDS_OF_RUNS = 2.0
_BYTES_OF_A_WEIGHT = 4


class NoTimeError(TrainingError):
    """The remaining time is too short for the requested features."""


class Pool:
    """Images for the search: at most 2,000 of train and val, never those of test.

    Attributes:
        data: the images.
    """

    def __init__(
        self,
        data: TrainingData,
        seed: int,
        report: Callable[[], None],
        on_saved: Callable[[str, int], None] | None = None,
    ) -> None:
        """Args:
        report: called as features are extracted.
        on_saved: see `FeatureCache`.
        """
        self.data = _at_most(MAX_IMAGES, data.select(data.rows("train", "val")), seed)
        self._images_per_class = len(data.rows("train")) / len(data.classes)
        self._report, self._on_saved = report, on_saved
        self._made: dict[tuple[object, ...], LabelledFeatures] = {}
        self._prepared: tuple[tuple[str, int], Extract, int] | None = None
        self._slowest_conversion = _SECONDS_TO_CONVERT

    def measure(self, candidate: TrainConfig, seconds_left: float) -> MeasuredBackbone:
        """Measure the speed and size of the backbone of a candidate.

        Raises:
            NoTimeError: converting other backbones took longer than the remaining time.
            WeightsError, ConfigError, ExportError: it cannot be used.
        """
        spec = self._spec(candidate)
        expected = 0.0 if is_converted(find_backbone(candidate.backbone), spec.height) else self._slowest_conversion
        if expected > seconds_left:
            raise NoTimeError(
                f"converting it to ONNX would take about {expected:.0f} s, and {max(0.0, seconds_left):.0f} s of the "
                "search were left."
            )
        started = time.monotonic()
        extract, graph_bytes = self._network(candidate)
        self._slowest_conversion = max(self._slowest_conversion, time.monotonic() - started)
        # The time does not depend on the content.
        image = np.zeros((1, *spec.shape), np.uint8)
        features = extract(image).shape[1]
        head_bytes = _BYTES_OF_A_WEIGHT * (features + 1) * len(self.data.classes)
        return MeasuredBackbone(round(_median_ms(extract, image), 2), round((graph_bytes + head_bytes) / 1e6, 2))

    def make_features(self, candidate: TrainConfig, seconds_left: float) -> None:
        """Extract the features of a candidate, unless they are there.

        Raises:
            NoTimeError: by the speed of the first images, they would take too long.
        """
        key = self._features_key(candidate)
        if key in self._made:
            return
        views: tuple[View | None, ...] = (None, *views_of(candidate, self._images_per_class))
        deadline = time.monotonic() + seconds_left
        features, *of_views = (
            self._extract(candidate, view, _Watch(self._report, deadline, len(views) - number))
            for number, view in enumerate(views)
        )
        weights = np.ones(len(self.data), np.float32)
        self._made[key] = LabelledFeatures(features, self.data.labels, weights, tuple(of_views))

    def images(self, candidate: TrainConfig) -> LabelledFeatures:
        """The features of the images for the head of a candidate."""
        self.make_features(candidate, math.inf)
        return self._made[self._features_key(candidate)]

    def _extract(self, candidate: TrainConfig, view: View | None, watch: "_Watch") -> np.ndarray:
        cache = FeatureCache(find_backbone(candidate.backbone), self._spec(candidate), self._on_saved)
        return cache.extract(
            lambda images: self._network(candidate)[0](images),
            self.data.source,
            self.data.content_hashes,
            watch,
            view,
        )

    def _spec(self, candidate: TrainConfig) -> InputSpec:
        return InputSpec.from_config(candidate, self.data.intensity)

    def _features_key(self, candidate: TrainConfig) -> tuple[object, ...]:
        return candidate.backbone, self._spec(candidate), candidate.augmentation

    def _network(self, candidate: TrainConfig) -> tuple[Extract, int]:
        """Feature extractor of a candidate and the size of its graph in bytes; only the last one is kept in memory."""
        spec = self._spec(candidate)
        key = (candidate.backbone, spec.height)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None
            graph = converted_backbone(find_backbone(candidate.backbone), key[1])
            self._prepared = (key, FeatureExtractor(graph, spec), len(graph))
        return self._prepared[1], self._prepared[2]


class _Watch:
    """A `Progress` that raises as soon as the features are known to take too long."""

    def __init__(self, report: Callable[[], None], deadline: float, passes: int) -> None:
        self._report, self._deadline, self._passes = report, deadline, passes
        self._first: tuple[float, int] | None = None

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        self._report()
        now = time.monotonic()
        # The first batch takes longer, because the network is loaded.
        started, done_then = self._first = self._first or (now, done)
        is_measured = done - done_then >= _FIRST_IMAGES
        expected = (now - started) / (done - done_then) * (total * self._passes - done) if is_measured else 0.0
        seconds_left = self._deadline - now
        if expected > _TOLERANCE * seconds_left:
            raise NoTimeError(
                f"its features would take {expected:.0f} s more, and {max(0.0, seconds_left):.0f} s of the search were "
                "left."
            )


def _at_most(images: int, data: TrainingData, seed: int) -> TrainingData:
    """Stratified subset of at most `images` images that divides no group; all if they are not more."""
    parts = math.ceil(len(data) / images)
    if parts == 1:
        return data
    fold_of = stratified_folds(data.names, data.labels.tolist(), data.groups.tolist(), parts, seed)
    return data.select(np.flatnonzero(np.array(fold_of) == 0))


def _median_ms(extract: Extract, image: np.ndarray) -> float:
    started = time.perf_counter()
    times = []
    for run in range(_WARM_UPS + _RUNS):
        before = time.perf_counter()
        extract(image)
        after = time.perf_counter()
        if run >= _WARM_UPS or after - started > _MAX_SECONDS_OF_RUNS:
            times.append(1000 * (after - before))
        if after - started > _MAX_SECONDS_OF_RUNS:
            break
    return statistics.median(times)
