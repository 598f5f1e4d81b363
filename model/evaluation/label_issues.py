"""Suspected label errors, by confident learning (Northcutt, Jiang and Chuang, 2021).

The threshold of a class is the mean probability of that class over the photos labelled with it. A photo is counted as
the class whose probability reaches its threshold, the most probable one among several. Photos counted as another class
than their label are suspected, if the model also prefers that class.
"""

import dataclasses
from pathlib import Path

import numpy as np

from model import durable
from model.evaluation.photo_features import PhotoFeatures
from model.results import Sample, Split

HEADER = ("image", "split", "given", "suggested", "quality")
MIN_PHOTOS = 30
NEIGHBOURS = 5


@dataclasses.dataclass(frozen=True)
class LabelIssue:
    """A photo whose label may be wrong.

    Attributes:
        sample: the photo.
        split: the split that it belongs to.
        given, suggested: class names: the label, and the class that the model finds.
        quality: probability of the given class by a model that was not trained on the photo, in [0, 1].
        neighbours: class names of the nearest training photos, nearest first.
    """

    sample: Sample
    split: Split
    given: str
    suggested: str
    quality: float
    neighbours: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class LabelCheck:
    """Result of the search for label errors.

    Attributes:
        checked: split -> number of photos with out-of-sample probabilities.
        issues: the suspected photos, lowest quality first.
        off: reason why labels were not checked; empty if they were.
    """

    checked: dict[Split, int]
    issues: tuple[LabelIssue, ...] = ()
    off: str = ""


def label_issues_beside(report: Path) -> Path:
    """File of the suspected label errors of a report, beside it; both may be `remote:path`."""
    return report.with_suffix(".label_issues.csv")


def check_labels(photos: PhotoFeatures) -> LabelCheck:
    """Search the photos that have out-of-sample probabilities for label errors."""
    rows = np.flatnonzero(np.isfinite(photos.probabilities).all(axis=1))
    splits = [photos.splits[row] for row in rows.tolist()]
    checked = {split: splits.count(split) for split in dict.fromkeys(splits)}
    if len(rows) < MIN_PHOTOS:
        return LabelCheck(checked, off=f"{len(rows)} photos are too few, at least {MIN_PHOTOS} are needed")
    probabilities, labels = photos.probabilities[rows], photos.labels[rows]
    suspected = np.flatnonzero(suspected_labels(probabilities, labels))
    quality = probabilities[suspected, labels[suspected]]
    suspected = suspected[np.argsort(quality, kind="stable")]
    neighbours = photos.neighbours(rows[suspected].tolist(), NEIGHBOURS)
    issues = tuple(
        LabelIssue(
            sample=photos.samples[rows[index]],
            split=splits[index],
            given=photos.classes[labels[index]],
            suggested=photos.classes[int(probabilities[index].argmax())],
            quality=float(probabilities[index, labels[index]]),
            neighbours=tuple(photos.classes[near.sample.label] for near in nearest),
        )
        for index, nearest in zip(suspected.tolist(), neighbours, strict=True)
    )
    return LabelCheck(checked, issues)


def suspected_labels(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the label of each photo is suspected: bool (n,).

    Args:
        probabilities: float (n, classes), of photos that the model was not trained on.
        labels: int (n,), the given classes.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = np.bincount(labels, probabilities[np.arange(len(labels)), labels], minlength=classes)
    # A class without photos is suggested to none.
    thresholds = np.divide(own, counts, out=np.full(classes, np.inf), where=counts > 0)
    confident = np.where(probabilities >= thresholds, probabilities, -1)
    counted_as = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), labels)
    suspected: np.ndarray = (counted_as != labels) & (probabilities.argmax(axis=1) != labels)
    return suspected


def write_label_issues(path: Path, check: LabelCheck, split: str = "") -> None:
    """Write a row per suspected label: image, split, given, suggested, quality.

    Args:
        split: of all photos; empty for the split of each.
    """
    rows = (
        (one.sample.name, split or one.split, one.given, one.suggested, f"{one.quality:.4f}") for one in check.issues
    )
    durable.write_csv(path, HEADER, rows)
