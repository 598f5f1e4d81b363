"""Result of the checks of a dataset, as text, as JSON and as files of a trained model."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from model import durable
from model.dataset.lists import write_lists
from model.files.checksums import checksum_line
from model.intensity import FULL, Intensity
from model.results import SPLITS, Dataset, Split, labels_of
from model.shown import counted, printable

if TYPE_CHECKING:
    from model.dataset.training_data import TrainingData

REJECTED = "rejected.csv"
LEARNED_SPLITS: tuple[Split, ...] = ("train", "val")
"""Splits that a training learns from: the weights from train, the epoch, the options and the thresholds from val."""

Kinship = Literal["identical", "near", "group"]

_SHOWN = 5
_IN_WORDS: dict[Kinship, str] = {
    "identical": "the same file",
    "near": "near duplicates",
    "group": "one group",
}


@dataclasses.dataclass(frozen=True)
class Rejected:
    """Rejected image, and the reason."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Leakage:
    """Images that belong together but are in more than one split, which makes metrics too optimistic.

    Attributes:
        kind: `identical` bytes; `near` duplicates; one `group`, of `group_pattern` or of a table.
        images: (split, name) of each.
    """

    kind: Kinship
    images: tuple[tuple[Split, str], ...]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Dataset ready for training, and the findings of its checks.

    Attributes:
        dataset: samples without the rejected images, in their splits.
        rejected: images that cannot be decoded.
        leakage: images shared between the dataset's own splits; splits made here share none.
        warnings: sentences, one per possible problem.
        fingerprint: sha256 over the sorted names, classes and content hashes, in hexadecimal.
        layout: description of the layout.
        has_splits: whether the dataset has its own splits.
        content_hashes: name -> sha256 of the file's bytes, in hexadecimal.
        ignored: files that are no images of a class.
        folds: number of cross-validation folds of a training; 0 for none.
        groups: name -> group of images that stay together: duplicates, and groups of group_pattern or of a table.
        intensity: how images with more than 8 bits per channel are reduced to 8.
        values: sentence about the values of these images; empty without any.
        given: the dataset as the user gave it, if it is not the folder of the images.
        synthetic: names of synthetic images, which are in train only, and on which nothing is measured.
        has_files: whether the files of the images can be read; else only their names and features are known.
        all_counts: `counts` of all images, if `dataset` has only those that are drawn from features in parts.
    """

    dataset: Dataset
    rejected: tuple[Rejected, ...]
    leakage: tuple[Leakage, ...]
    warnings: tuple[str, ...]
    fingerprint: str
    layout: str
    has_splits: bool
    content_hashes: dict[str, str]
    ignored: tuple[str, ...] = ()
    folds: int = 0
    groups: dict[str, int] = dataclasses.field(default_factory=dict)
    intensity: Intensity = FULL
    values: str = ""
    given: str = ""
    synthetic: tuple[str, ...] = ()
    has_files: bool = True
    all_counts: dict[Split, dict[str, int]] | None = None

    @property
    def synthetic_names(self) -> frozenset[str]:
        """Names of the synthetic images."""
        return frozenset(self.synthetic)

    @property
    def training_data(self) -> "TrainingData":
        """The images for a training: those of train, then of val, then of test."""
        # The command reports verdicts and loads no NumPy for it.
        import numpy as np

        from model.dataset.training_data import TrainingData

        samples = self.dataset.samples
        sizes = [len(self.dataset.split(split)) for split in SPLITS]
        starts = np.cumsum([0, *sizes])
        return TrainingData(
            classes=self.dataset.classes,
            names=tuple(sample.name for sample in samples),
            labels=labels_of(samples),
            groups=np.array([self.groups[sample.name] for sample in samples], int),
            content_hashes=self.content_hashes,
            splits={split: np.arange(starts[number], starts[number + 1]) for number, split in enumerate(SPLITS)},
            source=samples,
            folds=self.folds,
            intensity=self.intensity,
            synthetic=self.synthetic_names,
        )

    @property
    def counts(self) -> dict[Split, dict[str, int]]:
        """Number of images of each class in each split; classes in label order."""
        return self.all_counts or count_images(self.dataset)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks for the user, one sentence each: rejected images, leakage, warnings."""
        remarks = []
        if self.rejected:
            number = len(self.rejected)
            are = "is" if number == 1 else "are"
            remarks.append(f"{counted(number, 'image')} that cannot be decoded {are} left out: see {REJECTED}")
        if self.leakage:
            remarks.append(
                f"{counted(len(self.leakage), 'group')} of related images in different splits: the metrics are too "
                "optimistic. topgraft check lists these images"
            )
        return (*remarks, *self.warnings)

    def __str__(self) -> str:
        """The lines for a terminal or a notebook."""
        return "\n".join(map(printable, self.lines()))

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON types, without the content hashes."""
        return {
            "layout": self.layout,
            "has_splits": self.has_splits,
            "root": self.given or str(self.dataset.root),
            "classes": list(self.dataset.classes),
            "images": len(self.dataset.samples),
            "counts": self.counts,
            "synthetic": len(self.synthetic),
            "folds": self.folds,
            "intensity": str(self.intensity),
            "values": self.values,
            "rejected": [dataclasses.asdict(item) for item in self.rejected],
            "leakage": [
                {"kind": leak.kind, "images": [{"split": split, "name": name} for split, name in leak.images]}
                for leak in self.leakage
            ],
            "ignored": list(self.ignored),
            "warnings": list(self.warnings),
            "fingerprint": self.fingerprint,
        }

    def lines(self, fetched_from: str = "") -> list[str]:
        """Format as lines of text for a terminal, without colours.

        Args:
            fetched_from: name of the dataset as given by the user, if it is a local copy of a remote one.
        """
        dataset = self.dataset
        root = f"{fetched_from}, fetched into {dataset.root}" if fetched_from else self.given or str(dataset.root)
        sizes_of = {split: sum(of_class.values()) for split, of_class in self.counts.items()}
        train, val, test = (f"{sizes_of[split]:,}" for split in SPLITS)
        sizes = f"{train} for training, {val} for validation, {test} for testing"
        return [
            f"Dataset   {root}",
            f"Layout    {self.layout}",
            f"Images    {sum(sizes_of.values()):,} in {counted(len(dataset.classes), 'class')}: {sizes}",
            *self._synthetic(),
            *self._folds(),
            *([f"Values    {self.values}"] if self.values else []),
            "",
            *self._table(),
            "",
            *self._left_out(),
            *self._leaks(),
            *(f"Warning: {warning}." for warning in self.warnings),
            self._conclusion(),
        ]

    def _synthetic(self) -> list[str]:
        if not self.synthetic:
            return []
        return [f"Synthetic {len(self.synthetic):,} of the images for training; nothing is measured on them"]

    def _folds(self) -> list[str]:
        if not self.folds:
            return []
        learnable = len(self.dataset.train) + len(self.dataset.val) - len(self.synthetic)
        return [f"Estimate  {self.folds}-fold cross-validation on the {learnable:,} images for training and validation"]

    def _table(self) -> list[str]:
        counts = self.counts
        shown = {name: printable(name) for name in self.dataset.classes}
        width = max(map(len, ("class", *shown.values())))
        return [
            f"  {'class':<{width}}  {'train':>7}  {'val':>7}  {'test':>7}",
            *(
                f"  {shown[name]:<{width}}  " + "  ".join(f"{counts[split][name]:>7,}" for split in SPLITS)
                for name in self.dataset.classes
            ),
        ]

    def _left_out(self) -> list[str]:
        lines = []
        if self.rejected:
            lines.append(f"Left out: {counted(len(self.rejected), 'image')} that cannot be decoded.")
            lines += _first(f"  {item.name}: {item.reason}" for item in self.rejected)
        if self.ignored:
            shown = ", ".join(self.ignored[:_SHOWN]) + (", ..." if len(self.ignored) > _SHOWN else "")
            lines.append(f"Ignored: {counted(len(self.ignored), 'file')} that are not images of a class: {shown}")
        return lines

    def _leaks(self) -> list[str]:
        if not self.leakage:
            return []
        return [
            f"Leakage: {counted(len(self.leakage), 'group')} of related images in different splits of the dataset: the "
            "metrics will be too optimistic. Move each group into one split.",
            *_first(
                f"  {_IN_WORDS[leak.kind]}: {', '.join(f'{name} ({split})' for split, name in leak.images[:4])}"
                + (", ..." if len(leak.images) > 4 else "")
                for leak in self.leakage
            ),
        ]

    def _conclusion(self) -> str:
        doubts = len(self.rejected) + len(self.leakage) + len(self.warnings)
        return "Ready to train." if not doubts else "Ready to train; check the warnings above first."


def write_dataset_files(verdict: Verdict, directory: Path) -> None:
    """Write the dataset as used: classes.txt, train.txt, val.txt, test.txt, train.sha256, val.sha256 and rejected.csv.

    `directory` is created if it does not exist; the paths in the lists are relative to `verdict.dataset.root`. A line
    of train.sha256 and val.sha256 has the checksum and the path of a photo, as `sha256sum` writes them: a comparison of
    models leaves these photos out, whatever their path is then.
    """
    dataset = verdict.dataset
    splits = {split: ((sample.name, sample.label) for sample in dataset.split(split)) for split in SPLITS}
    write_lists(directory, dataset.classes, splits)
    for split in LEARNED_SPLITS:
        lines = (checksum_line(verdict.content_hashes[sample.name], sample.name) for sample in dataset.split(split))
        durable.write_text(directory / f"{split}.sha256", "".join(lines))
    durable.write_csv(directory / REJECTED, ("name", "reason"), [(item.name, item.reason) for item in verdict.rejected])


def count_images(dataset: Dataset) -> dict[Split, dict[str, int]]:
    """Number of images of each class in each split; classes in label order."""
    labels = {split: Counter(sample.label for sample in dataset.split(split)) for split in SPLITS}
    return {split: {name: labels[split][label] for label, name in enumerate(dataset.classes)} for split in SPLITS}


def _first(lines: Iterable[str]) -> list[str]:
    everything = list(lines)
    more = len(everything) - _SHOWN
    return everything[:_SHOWN] + ([f"  ... and {more:,} more"] if more > 0 else [])
