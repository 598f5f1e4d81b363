"""Out-of-fold predictions of repeated cross-validation, by which the options of a head are compared.

All options share the same folds, so they are compared image by image: see `model.evaluation.paired`.
"""

from collections.abc import Sequence

import numpy as np

from model.dataset.training_data import TrainingData
from model.errors import TrainingError
from model.evaluation.calibration import fit_temperature
from model.evaluation.metrics import cross_entropies
from model.evaluation.paired import ScoredPredictions
from model.training.cross_validation import FoldPlan, cross_validate
from model.training.head_candidates import HeadOptions, LabelledFeatures


def predict_out_of_fold(
    data: TrainingData,
    images: LabelledFeatures,
    plans: Sequence[FoldPlan],
    options: HeadOptions,
) -> ScoredPredictions:
    """Predict every real image once for each of `plans`, by a head that was not trained on it.

    The logits of each repeat are calibrated by one temperature, as those of a trained model are: options that only
    make predictions more or less confident gain nothing.
    """
    real = data.is_real
    labels = images.labels[real]
    losses, predicted = [], []
    for plan in plans:
        try:
            found = cross_validate(data, images, plan, options)
        except TrainingError:
            found = None
        if found is None:
            none = np.zeros((len(plans), len(labels)), np.int16)
            return ScoredPredictions(np.full(len(labels), np.inf, np.float32), none)
        logits = found.logits[real]
        losses.append(cross_entropies(logits / fit_temperature(logits, labels), labels))
        predicted.append(logits.argmax(axis=1))
    return ScoredPredictions(np.mean(losses, axis=0).astype(np.float32), np.stack(predicted).astype(np.int16))
