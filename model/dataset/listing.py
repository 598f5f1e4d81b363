"""Listing of the labelled images of a dataset, and reporting of all its problems at once."""

import dataclasses
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.config import TrainConfig
from model.errors import DatasetError
from model.results import Sample, Split

DATASET_FILES = "dataset_files"
CLASSES = "classes.txt"
IMAGES = "images"
BLANKS = " \t"

EXPECTED = f"""one of these layouts, as a folder or as a .zip, .tar, .tar.gz or .tar.xz of it:
  {DATASET_FILES}/ with {CLASSES} and train.txt (and val.txt, test.txt), next to {IMAGES}/
  a folder per class, with its images
  train/ (and val/, test/), with a folder per class in each
  images and a table (.csv, .tsv, .xlsx) with a column of file names and a column of labels"""

_PROBLEMS_SHOWN = 30
# Empty, surrounded by blanks, with a byte order mark or a line break, or not UTF-8.
_UNLISTABLE = re.compile(rf"^\Z|^[{BLANKS}\ufeff]|[{BLANKS}]\Z|[\r\n\0\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class LayoutOptions:
    """What the user has set about the layout of a dataset: the options of `TrainConfig` with these names.

    Attributes:
        for_training: whether a model is trained on the dataset, which needs training images of two classes or more; no
            option of the user.
    """

    images_directory: str = ""
    class_level: int | None = None
    table: str = ""
    image_column: str = ""
    label_column: str = ""
    split_column: str = ""
    group_column: str = ""
    for_training: bool = dataclasses.field(default=True, kw_only=True)

    @property
    def given(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: getattr(self, name) for name in _OPTIONS if getattr(self, name) not in ("", None)}

    @property
    def has_columns(self) -> bool:
        """Whether a column of a table is set."""
        return any((self.image_column, self.label_column, self.split_column, self.group_column))

    @classmethod
    def from_config(cls, config: TrainConfig, for_training: bool = True) -> "LayoutOptions":
        """The options of a training, or of another command on a dataset."""
        return cls(**{name: getattr(config, name) for name in _OPTIONS}, for_training=for_training)


_OPTIONS = tuple(field.name for field in dataclasses.fields(LayoutOptions) if field.name != "for_training")


@dataclasses.dataclass(frozen=True)
class Listing:
    """Labelled images of a dataset, before any of them is read.

    Attributes:
        layout: description of the layout.
        root: folder that the names of the samples are relative to.
        classes: names in label order; two or more for a training.
        splits: samples of each split; all of them in train if the dataset has no splits.
        has_splits: whether the dataset has its own splits.
        ignored: files that are no images of a class.
        outside: images outside the class folders.
        unlistable: images whose names cannot be written to a list.
        groups: name -> group of images that belong together, such as those of one specimen.
        uses: options of the layout that apply to it.
        origins: name -> its row of `origin.csv`, see `model.dataset.origins`.
    """

    layout: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    has_splits: bool
    ignored: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    unlistable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    uses: tuple[str, ...] = ()
    origins: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


def is_listable(name: str) -> bool:
    """Whether a name can be written to a line of a list: UTF-8, no line breaks, no surrounding blanks."""
    return not _UNLISTABLE.search(name)


def advice_for_names() -> str:
    """What to set where Python reads file names in another encoding than UTF-8; empty elsewhere."""
    encoding = sys.getfilesystemencoding()
    return "" if encoding == "utf-8" else f". Names are read as {encoding} here: set PYTHONUTF8=1 to read them as UTF-8"


class Problems:
    """Problems of a dataset, which are all reported at once; of very many only the first are kept, and counted."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self.first: list[str] = []
        self.count = 0
        self.extend(problems)

    def __len__(self) -> int:
        return self.count

    def add(self, problem: str) -> None:
        """Add a problem: one sentence, which begins with the place."""
        self.count += 1
        if len(self.first) < _PROBLEMS_SHOWN:
            self.first.append(problem)

    def extend(self, problems: Iterable[str]) -> None:
        """Add several problems."""
        for problem in problems:
            self.add(problem)

    def raise_all(self, root: Path) -> None:
        """Raise a DatasetError with all problems of the dataset in `root`, if there are any."""
        if self:
            raise DatasetError(f"{root}: {describe_problems(self)}")


def describe_problems(problems: Sequence[str] | Problems) -> str:
    """Format problems as text, one per line; of many problems the first ones and their number."""
    first = problems.first if isinstance(problems, Problems) else problems[:_PROBLEMS_SHOWN]
    head = "a problem in the dataset:" if len(problems) == 1 else f"{len(problems):,} problems in the dataset:"
    more = len(problems) - len(first)
    return "\n  ".join([head, *first, *([f"... and {more:,} more"] if more > 0 else [])])
