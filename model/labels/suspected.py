"""Suspected label errors of a training, as regions of the tasks that the dataset was imported from."""

import csv
import dataclasses
import io
import posixpath
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from model.dataset.origins import ORIGIN
from model.errors import DatasetError
from model.evaluation.label_issues import HEADER
from model.files.browsing import name_some
from model.reading import open_regular, without_number
from model.received import quoted
from model.tables import read_csv

_MAX_HEADER = 10_000
_ORIGIN_COLUMNS = ("image", "task", "annotation", "region")


@dataclasses.dataclass(frozen=True)
class SuspectedLabel:
    """A label that may be wrong.

    Attributes:
        annotation, region: identifiers of the label in its task.
        given, suggested: class names: the label, and the class that the training found.
        quality: probability of the given class by a model that was not trained on the image, in [0, 1].
    """

    annotation: str
    region: str
    given: str
    suggested: str
    quality: float


@dataclasses.dataclass(frozen=True)
class SuspectedLabels:
    """Suspected labels of a dataset.

    Attributes:
        by_task: identifier of a task -> its suspected labels.
        missing: images that the dataset no longer has, because their labels have changed since.
    """

    by_task: Mapping[int, tuple[SuspectedLabel, ...]] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read_suspected(errors: Path, dataset: Path) -> SuspectedLabels:
    """Suspected labels by the identifier of their task.

    Args:
        errors: `label_issues.csv` of a training.
        dataset: the dataset of that training, made by `topgraft import-labels`, with its `origin.csv`.

    Raises:
        DatasetError: a file is missing or no such table, or they do not belong together.
    """
    issues = _rows(errors, HEADER, "the label_issues.csv of a training")
    if not (dataset / ORIGIN).is_file():
        raise DatasetError(
            f"{dataset}: expected the dataset of {errors.name}, made by topgraft import-labels, found no {ORIGIN} in "
            "it. Name its folder with --dataset"
        )
    origins = {row["image"]: row for row in _rows(dataset / ORIGIN, _ORIGIN_COLUMNS, "the table of an import")}
    found: dict[int, list[SuspectedLabel]] = defaultdict(list)
    missing = []
    for issue in issues:
        origin = origins.get(posixpath.basename(issue["image"]))
        if origin is None:
            missing.append(issue["image"])
            continue
        if not origin["task"].isdecimal():
            raise DatasetError(
                f"{dataset / ORIGIN}: expected numbers of tasks in Label Studio, received {quoted(origin['task'])}: "
                "the dataset was imported from another tool"
            )
        label = SuspectedLabel(
            origin["annotation"], origin["region"], issue["given"], issue["suggested"], _quality(issue, errors)
        )
        found[int(origin["task"])].append(label)
    if missing and not found:
        raise DatasetError(
            f"{errors}: expected images of {dataset / ORIGIN}, not found: {name_some(missing)}. The dataset is another "
            "one, or all these labels have changed: name the dataset with --dataset, or train again"
        )
    return SuspectedLabels({task: tuple(labels) for task, labels in found.items()}, tuple(missing))


def _rows(path: Path, columns: tuple[str, ...], expected: str) -> list[dict[str, str]]:
    """All rows of a table, which has at least these columns.

    Raises:
        DatasetError: the file is no such table.
    """
    try:
        with io.TextIOWrapper(open_regular(path), "utf-8-sig") as stream:
            # The names of the columns have no commas.
            header = stream.readline(_MAX_HEADER).strip().split(",")
        rows = list(read_csv(path))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected {expected}, received: {without_number(error)}") from error
    if not set(columns) <= set(header) or any(not set(columns) <= row.keys() for row in rows):
        raise DatasetError(
            f"{path}: expected {expected} with the columns {', '.join(columns)}, received "
            f"{name_some([quoted(name) for name in header])}"
        )
    return rows


def _quality(issue: Mapping[str, str], errors: Path) -> float:
    try:
        quality = float(issue["quality"])
    except ValueError:
        quality = -1.0
    if not 0 <= quality <= 1:
        raise DatasetError(f"{errors}: expected a quality from 0 to 1, received {quoted(issue['quality'])}")
    return quality
