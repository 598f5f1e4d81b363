"""Examination of photos: label errors, uncertain photos, neighbours, variety of classes, a map."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from model.evaluation.contact_photos import contact_photos
from model.evaluation.evaluate import Evaluation
from model.evaluation.label_issues import LabelCheck, check_labels
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.photo_features import Neighbour, PhotoFeatures
from model.evaluation.photo_map import PhotoMap, draw_map
from model.results import Sample

MAX_UNCERTAIN = 12
MAX_CONTACT_SHEETS = 40


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoStudy:
    """What the features and the out-of-sample probabilities of the photos show.

    Attributes:
        photos: the photos.
        label_check: suspected label errors.
        curve: accuracy by number of training photos; None if it was not measured.
        uncertain: rows of the leading evaluation with the least confident predictions, least confident first.
        neighbours: name of a photo that is shown -> its nearest training photos.
        contact_sheets: class name -> photos spread over its features; those of at most 40 classes, lowest F1 first.
        map: places of the photos; None for too few photos, and without features.
        of_training: whether the photos are those of the training, and not photos that the model was evaluated on.
    """

    photos: PhotoFeatures
    label_check: LabelCheck
    curve: LearningCurve | None
    uncertain: tuple[int, ...]
    neighbours: Mapping[str, tuple[Neighbour, ...]]
    contact_sheets: Mapping[str, tuple[Sample, ...]]
    map: PhotoMap | None
    of_training: bool = True


def study_photos(
    photos: PhotoFeatures,
    evaluation: Evaluation,
    curve: LearningCurve | None = None,
    errors: Sequence[str] = (),
    seed: int = 0,
    of_training: bool = True,
    labels_off: str = "",
) -> PhotoStudy:
    """Examine the photos of a training, or those that a model was evaluated on.

    Args:
        evaluation: the leading evaluation of the report.
        curve: from `model.training.learning_sizes`.
        errors: names of further photos whose neighbours are shown.
        seed: random seed of the map.
        of_training: whether the photos are those of the training.
        labels_off: reason why the labels are not checked; empty to check them.
    """
    uncertain = np.argsort(evaluation.probabilities.max(axis=1), kind="stable")[:MAX_UNCERTAIN].tolist()
    shown = [*(evaluation.samples[row].name for row in uncertain), *errors]
    shown = [name for name in dict.fromkeys(shown) if name in photos.row_of]
    found = photos.neighbours([photos.row_of[name] for name in shown])
    weakest = sorted(range(len(evaluation.classes)), key=lambda label: evaluation.metrics["per_class"][label]["f1"])
    return PhotoStudy(
        photos,
        LabelCheck({}, off=labels_off) if labels_off else check_labels(photos),
        curve,
        tuple(uncertain),
        dict(zip(shown, found, strict=True)),
        {evaluation.classes[label]: contact_photos(photos, label) for label in weakest[:MAX_CONTACT_SHEETS]},
        draw_map(photos, seed),
        of_training,
    )
