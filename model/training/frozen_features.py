"""Features of the images of a training by the frozen backbone, with their augmented views."""

import numpy as np

from model.dataset.training_data import take_rows
from model.features.cache import FeatureCache
from model.features.extractor import Extract
from model.features.views import View
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import CachedCounts
from model.training.context import TrainingContext
from model.training.head_candidates import LabelledFeatures
from model.training.memory import refuse_too_many_features


class FrozenFeatures:
    """The features of all images of a training, through the feature cache.

    Attributes:
        all: float32 (n, features), a row for each image of `TrainingContext.data`.
    """

    def __init__(self, context: TrainingContext, extract: Extract, given: np.ndarray | None = None) -> None:
        """Args:
        extract: the frozen backbone.
        given: the features, if they are known; the images then have no views.

        Raises:
            TrainingError: the features and their views do not fit into memory.
        """
        self._context, self._extract = context, extract
        self._cache = FeatureCache(context.backbone, context.spec, CachedCounts(context.work_directory))
        self.all = self._extracted(np.arange(len(context.data))) if given is None else given
        refuse_too_many_features(len(self.all), self.all.shape[1], len(context.views))

    def for_training(self, rows: np.ndarray) -> LabelledFeatures:
        """Images to learn from, with their augmented views."""
        context, labels = self._context, self._context.data.labels[rows]
        views = tuple(self._extracted(rows, view) for view in context.views)
        weights = learning_weights(labels, context.classes, context.config.imbalance)
        return LabelledFeatures(take_rows(self.all, rows), labels, weights, views)

    def for_validation(self, rows: np.ndarray) -> LabelledFeatures:
        """Images to measure on."""
        labels = self._context.data.labels[rows]
        weights = measuring_weights(labels, self._context.classes, self._context.config.imbalance)
        return LabelledFeatures(take_rows(self.all, rows), labels, weights)

    def _extracted(self, rows: np.ndarray, view: View | None = None) -> np.ndarray:
        data = self._context.data
        samples = [data.source[row] for row in rows.tolist()]
        return self._cache.extract(self._extract, samples, data.content_hashes, self._context.progress, view)
