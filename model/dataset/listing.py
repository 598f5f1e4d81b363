"""The labelled images that a dataset names, before any is read; and all that is wrong with them at once."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.errors import DatasetError
from model.results import Sample, Split

DATASET_FILES = "dataset_files"
CLASSES = "classes.txt"
IMAGES = "images"
BLANKS = " \t"

EXPECTED = f"""one of these layouts, as a folder or as a .zip, .tar, .tar.gz or .tar.xz of it:
  {DATASET_FILES}/ with {CLASSES} and train.txt (and val.txt, test.txt), beside {IMAGES}/
  a folder per class, with its pictures
  train/ (and val/, test/), with a folder per class in each"""

_PROBLEMS_SHOWN = 30


@dataclasses.dataclass(frozen=True)
class Listing:
    """The labelled images that a dataset names, before any is read.

    Attributes:
        layout: what was found, in words.
        root: where the names of the samples start.
        classes: names in label order; two or more.
        splits: the samples of each split; all are in train where the dataset has no splits.
        has_splits: whether the dataset divides its images itself.
        ignored: files that are not among the samples and do not look like pictures of a class.
        unlistable: pictures whose names no list can hold.
    """

    layout: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    has_splits: bool
    ignored: tuple[str, ...] = ()
    unlistable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def is_listable(name: str) -> bool:
    """Whether a line of a list can hold the name: UTF-8, no line ends, no blanks around it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and name == name.strip(BLANKS) and not re.search(r"[\r\n\0]", name) and name[0] != "\ufeff"


def describe_problems(problems: Sequence[str]) -> str:
    """All problems in one text, one a line; of very many the first, and how many more."""
    head = "a problem in the dataset:" if len(problems) == 1 else f"{len(problems):,} problems in the dataset:"
    more = len(problems) - _PROBLEMS_SHOWN
    return "\n  ".join([head, *problems[:_PROBLEMS_SHOWN], *([f"... and {more:,} more"] if more > 0 else [])])


def raise_all(root: Path, problems: Sequence[str]) -> None:
    """Raise a DatasetError that tells all problems, if there are any."""
    if problems:
        raise DatasetError(f"{root}: {describe_problems(problems)}")
