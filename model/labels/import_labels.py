"""`topgraft import-labels`: labelled photos as a dataset, with the origin of every image."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.dataset.listing import DATASET_FILES, IMAGES
from model.dataset.lists import write_lists
from model.dataset.origins import ORIGIN
from model.errors import DatasetError
from model.files.browsing import name_some
from model.files.folder_replacement import replaced_folder
from model.labels.agreement import Agreement, Disagreement, agree
from model.labels.crops import CropOptions
from model.labels.cutting import (
    Crop,
    Imported,
    LeftOut,
    SplitOptions,
    count_by_split,
    crops_by_class,
    import_crops,
    split_crops,
)
from model.labels.former import DISAGREEMENTS, LEFT_OUT, Former, read_former
from model.labels.photos import Photos
from model.labels.pictures import SHEET, SHEET_COLUMNS, draw_sheet
from model.labels.regions import Labels
from model.results import SPLITS, Progress, Split, no_progress

_ORIGIN_COLUMNS = (
    *("image", "class", "split", "photo", "task", "annotation", "region", "annotator"),
    *("x", "y", "width", "height", "rotation", "updated_at"),
)


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        crops: how images are cut out.
        splits: how photos are divided among the splits.
        annotator: the person whose annotations alone are read; empty for the majority of all.
    """

    crops: CropOptions
    splits: SplitOptions
    annotator: str = ""


@dataclasses.dataclass(frozen=True)
class LabelsImport:
    """Result of an import of labels.

    Attributes:
        dataset: path of the dataset.
        source: what was imported.
        tasks: number of tasks; `annotated`: of those with an annotation.
        images: split -> class -> number of images.
        new, unchanged, withdrawn: numbers of images that the former import into the folder did not have, had too, or
            had alone.
        changed: whether the images, their classes or their splits differ from the former import.
        left_out: number of rows in rejected.csv.
        not_read: what the source has besides labels, or labels that do not count -> number.
        disagreements: number of objects that people labelled differently; `ties`: of those that were left out.
        kappa: agreement of the people, see `model.labels.agreement.Agreement`; `compared`: number of pairs of labels.
        annotators: people whose annotations were read.
        warnings: sentences about the source and the dataset.
    """

    dataset: str
    source: str
    tasks: int
    annotated: int
    images: dict[Split, dict[str, int]]
    new: int
    unchanged: int
    withdrawn: int
    changed: bool
    left_out: int
    not_read: dict[str, int]
    disagreements: int
    ties: int
    kappa: float | None
    compared: int
    annotators: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        converted: dict[str, Any] = durable.to_json(dataclasses.asdict(self))
        return converted


def import_labels(
    source: str,
    labels: Labels,
    photos: Photos,
    directory: Path,
    options: ImportOptions,
    progress: Progress = no_progress,
) -> LabelsImport:
    """Write labelled photos as a dataset: the image of each labelled object, and what is needed to check it.

    The folder gets `images/`, `dataset_files/` (classes and splits), `origin.csv` (the photo, box and annotation of
    each image), `rejected.csv`, `disagreements.csv`, `boxes/` (20 photos with their boxes) and `contact-sheet.jpg`. It
    takes the place of a former one at once. Of a former import, unchanged images keep their bytes and split.

    Args:
        source: name of the source, for the result.
        labels: its tasks; see `model.labels.sources.read_labels`.
        photos: where the photos are read from.
        directory: folder of the dataset: new, empty, or written by a former import.
        progress: called with the phase `import_labels`.

    Raises:
        DatasetError: the source has no usable label, or the folder holds something that no import has written, or not
            in this form.
        StorageError: the photos cannot be read at the moment.
    """
    former = read_former(directory)
    former.check_own_files()
    agreement = agree(labels.tasks, options.annotator)
    if not any(agreement.chosen.values()):
        raise DatasetError(f"{source}: expected labelled photos, found {_describe_unlabelled(labels, agreement)}")
    with replaced_folder(directory) as target:
        imported = import_crops(labels, agreement, photos, former, options.crops, target, progress)
        if not imported.crops:
            first = imported.left_out[0]
            raise DatasetError(
                f"{source}: expected labels that give images, found {len(imported.left_out):,} that give none, such as "
                f"task {first.task}: {first.reason}"
            )
        split_of = split_crops(imported.crops, imported.hashes, former, options.splits)
        _write(target, imported, split_of, agreement)
        splits = {crop.task.photo: split_of[crop.name] for crop in imported.crops}
        rectangles = {crop.name: crop.rectangle for crop in imported.crops}
        Former(target, source, dict(imported.hashes), splits, rectangles, options.crops).write()
    return _result(source, labels, directory, former, imported, split_of, agreement)


def _write(target: Path, imported: Imported, split_of: Mapping[str, Split], agreement: Agreement) -> None:
    by_class = crops_by_class(imported.crops)
    label_of = {label: number for number, label in enumerate(by_class)}
    splits: dict[Split, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    for crop in sorted(imported.crops, key=lambda crop: crop.name):
        splits[split_of[crop.name]].append((crop.name, label_of[crop.label]))
    write_lists(target / DATASET_FILES, by_class, {split: rows for split, rows in splits.items() if rows})
    durable.write_csv(target / ORIGIN, _ORIGIN_COLUMNS, _origins(imported.crops, split_of))
    durable.write_csv(target / LEFT_OUT, ("photo", "task", "region", "reason"), _rows_left_out(imported.left_out))
    if agreement.disagreements:
        durable.write_csv(
            target / DISAGREEMENTS,
            ("task", "regions", "labels", "without_label", "outcome"),
            map(_disagreement_row, agreement.disagreements),
        )
    shown = {
        label: [(target / IMAGES / crop.name).read_bytes() for crop in _spread(crops)]
        for label, crops in by_class.items()
    }
    (target / SHEET).write_bytes(draw_sheet(shown))


def _origins(crops: Iterable[Crop], split_of: Mapping[str, Split]) -> Iterable[Sequence[object]]:
    for crop in sorted(crops, key=lambda crop: crop.name):
        annotation, region = crop.chosen.annotation, crop.chosen.region
        box = [""] * 5 if region.box is None else [f"{number:.2f}" for number in crop.rectangle]
        yield (
            *(crop.name, crop.label, split_of[crop.name], crop.task.photo, crop.task.name),
            *(annotation.name, region.name, annotation.annotator, *box, annotation.updated),
        )


def _rows_left_out(left_out: Iterable[LeftOut]) -> Iterable[Sequence[str]]:
    return (dataclasses.astuple(one) for one in left_out)


def _disagreement_row(one: Disagreement) -> Sequence[str]:
    labels = "; ".join(f"{person}: {label}" for person, label in one.labels)
    return one.task, "; ".join(one.regions), labels, "; ".join(one.without), one.outcome


def _spread(crops: Sequence[Crop]) -> list[Crop]:
    """At most as many images as a row of the sheet shows, evenly spread."""
    step = max(1.0, len(crops) / SHEET_COLUMNS)
    return [crops[int(at * step)] for at in range(min(len(crops), SHEET_COLUMNS))]


def _result(
    source: str,
    labels: Labels,
    directory: Path,
    former: Former,
    imported: Imported,
    split_of: Mapping[str, Split],
    agreement: Agreement,
) -> LabelsImport:
    names = {crop.name for crop in imported.crops}
    new = sum(crop.is_new for crop in imported.crops)
    withdrawn = len(former.crops.keys() - names)
    images = count_by_split(imported.crops, split_of)
    return LabelsImport(
        dataset=str(directory),
        source=source,
        tasks=len(labels.tasks),
        annotated=sum(bool(task.annotations) for task in labels.tasks),
        images=images,
        new=new,
        unchanged=len(names) - new,
        withdrawn=withdrawn,
        changed=bool(new or withdrawn or _has_moved(imported.crops, split_of, former)),
        left_out=len(imported.left_out),
        not_read=_not_read(labels, agreement),
        disagreements=len(agreement.disagreements),
        ties=sum(not one.outcome for one in agreement.disagreements),
        kappa=agreement.kappa,
        compared=agreement.compared,
        annotators=agreement.annotators,
        warnings=(*labels.warnings, *_warnings(images)),
    )


def _has_moved(crops: Iterable[Crop], split_of: Mapping[str, Split], former: Former) -> bool:
    """Whether an image of the former import is in another split now."""
    return any(not crop.is_new and former.splits.get(crop.task.photo) != split_of[crop.name] for crop in crops)


def _not_read(labels: Labels, agreement: Agreement) -> dict[str, int]:
    earlier = {"earlier annotations of the same person": agreement.earlier} if agreement.earlier else {}
    return {**labels.left_out, **earlier}


def _warnings(images: Mapping[Split, Mapping[str, int]]) -> list[str]:
    classes = {label for counts in images.values() for label in counts}
    if len(classes) < 2:
        return [f"there is one class, {name_some(sorted(classes))}: a training needs two or more"]
    missing = sorted(label for label in classes if label not in images["train"])
    return [f"classes without an image for training: {name_some(missing)}"] if missing else []


def _describe_unlabelled(labels: Labels, agreement: Agreement) -> str:
    parts = [f"{len(labels.tasks):,} tasks, {sum(bool(one.annotations) for one in labels.tasks):,} with an annotation"]
    parts += [f"{count:,} {kind}" for kind, count in _not_read(labels, agreement).items()]
    if labels.unusable:
        parts.append(f"{len(labels.unusable):,} regions that give no label, such as {labels.unusable[0][2]}")
    if agreement.disagreements:
        parts.append(f"{len(agreement.disagreements):,} objects that people labelled differently")
    return "; ".join(parts)
