"""Listing of the labelled images of a dataset, and reporting of all its problems at once."""

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
  {DATASET_FILES}/ with {CLASSES} and train.txt (and val.txt, test.txt), next to {IMAGES}/
  a folder per class, with its images
  train/ (and val/, test/), with a folder per class in each"""

_PROBLEMS_SHOWN = 30


@dataclasses.dataclass(frozen=True)
class Listing:
    """Labelled images of a dataset, before any of them is read.

    Attributes:
        layout: description of the layout.
        root: folder that the names of the samples are relative to.
        classes: names in label order; two or more.
        splits: samples of each split; all of them in train if the dataset has no splits.
        has_splits: whether the dataset has its own splits.
        ignored: files that are no images of a class.
        unlistable: images whose names cannot be written to a list.
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
    """Whether a name can be written to a line of a list: UTF-8, no line breaks, no surrounding blanks."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and name == name.strip(BLANKS) and not re.search(r"[\r\n\0]", name) and name[0] != "\ufeff"


def describe_problems(problems: Sequence[str]) -> str:
    """Format problems as text, one per line; of many problems the first ones and their number."""
    head = "a problem in the dataset:" if len(problems) == 1 else f"{len(problems):,} problems in the dataset:"
    more = len(problems) - _PROBLEMS_SHOWN
    return "\n  ".join([head, *problems[:_PROBLEMS_SHOWN], *([f"... and {more:,} more"] if more > 0 else [])])


def raise_all(root: Path, problems: Sequence[str]) -> None:
    """Raise a DatasetError with all problems, if there are any."""
    if problems:
        raise DatasetError(f"{root}: {describe_problems(problems)}")
