"""`topgraft synthesize`: synthetic photos of cut-outs, as a dataset or added to one of real photos."""

import contextlib
import dataclasses
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.config import TrainConfig
from model.dataset.checked import checked_dataset
from model.dataset.given_names import errors_name
from model.dataset.listing import DATASET_FILES, IMAGES
from model.dataset.lists import write_lists
from model.dataset.origins import ORIGIN, YES
from model.errors import ConfigError, DatasetError, StorageFullError
from model.files.browsing import name_some
from model.files.folder_replacement import check_own_files, check_replaceable, file_checksums, replaced_folder
from model.home import nearest_existing
from model.labels.pictures import SHEET, SHEET_COLUMNS, draw_sheet
from model.reading import UnreadableError, read_json, unreadable
from model.results import SPLITS, Progress, Split, no_progress
from model.storage.copies import local_paths
from model.storage.places import is_remote
from model.synthesis.background_sources import PROCEDURAL, Backgrounds, FoundBackgrounds, find_backgrounds
from model.synthesis.cutouts import Cutout, by_class, read_cutouts
from model.synthesis.real_photos import RealPhotos
from model.synthesis.writing import SyntheticPhoto, write_photos
from model.workspace import Workspace

RECORD = "synthesis.json"
"""File in the dataset with the options it was made with; the command replaces only folders that have it."""

DEFAULT_COUNT = 100
MAX_MARGIN = 2

_USER = "topgraft synthesize"
_ADVICE_ON_FOLDER = "Name another; --dataset names a dataset of real photos, which are put into the new one"
# Of scenes with much noise at a high quality of JPEG.
_BYTES_OF_A_PHOTO = 60_000
_COLUMNS = (
    *("image", "class", "split", "synthetic", "photo", "group", "cutout", "background"),
    *("x", "y", "width", "height", "seed"),
)


@dataclasses.dataclass(frozen=True)
class SynthesisOptions:
    """How synthetic photos are made.

    Attributes:
        count: number of synthetic photos of each class that has cut-outs; 0 only with `fill`.
        seed: fixes all random choices; 0 or more.
        fill: add as many photos as a class has fewer training photos than the largest class of the real dataset.
        margin: photos are cut to their object with this fraction of its width and height on each side; None keeps the
            whole scene, or cuts with the margin of the real photos if they are crops of `topgraft import-labels`.
        whole: accept cut-outs without transparency, which are pasted as rectangles.

    Raises:
        ConfigError: a number is out of its range.
    """

    count: int = DEFAULT_COUNT
    seed: int = 0
    fill: bool = False
    margin: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        fewest = 0 if self.fill else 1
        if self.count < fewest:
            raise ConfigError(f"count: expected {fewest} or more synthetic photos of each class, received {self.count}")
        if self.seed < 0:
            raise ConfigError(f"seed: expected 0 or more, received {self.seed}")
        if self.margin is not None and not 0 <= self.margin <= MAX_MARGIN:
            raise ConfigError(f"margin: expected 0 to {MAX_MARGIN}, received {self.margin}")


@dataclasses.dataclass(frozen=True)
class Synthesis:
    """Result of a synthesis.

    Attributes:
        dataset: path of the dataset.
        synthetic: class -> number of synthetic photos, which are all in train.
        real: split -> class -> number of real photos; empty without a real dataset.
        cutouts: class -> number of cut-outs that were used.
        backgrounds: what they were.
        margin: margin around the objects; None for whole scenes.
        held_out: cut-outs and backgrounds that come from photos of val or test, and were left out.
        unreadable: backgrounds that cannot be used -> reason.
        warnings: sentences about the dataset.
    """

    dataset: str
    synthetic: dict[str, int]
    real: dict[Split, dict[str, int]]
    cutouts: dict[str, int]
    backgrounds: str
    margin: float | None
    held_out: tuple[str, ...]
    unreadable: dict[str, str]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        converted: dict[str, Any] = durable.to_json(dataclasses.asdict(self))
        return converted


def synthesize(
    cutouts: str,
    backgrounds: str,
    directory: Path,
    options: SynthesisOptions,
    workspace: Workspace,
    real: TrainConfig | None = None,
    progress: Progress = no_progress,
) -> Synthesis:
    """Write synthetic photos as an AI4OS dataset; with `real`, together with the photos of that dataset.

    The folder gets `images/`, `dataset_files/`, `origin.csv` (a row for each image), `contact-sheet.jpg` and
    `synthesis.json`. Synthetic photos are in train only. The folder takes the place of a former one at once. The same
    files, options and versions of NumPy and Pillow give the same bytes, with any number of threads.

    Args:
        cutouts: folder with a folder of cut-outs for each class; also `remote:path`.
        backgrounds: folder of photos or videos, one such file, or `procedural`; also `remote:path`.
        directory: folder of the dataset: new, empty, or written by a former synthesis.
        real: its `dataset` is read as in a training. Its photos keep their splits; hard links to them or copies are
            put into the new dataset, and the original stays as it is.
        progress: called with the phases `check`, `cutouts`, `backgrounds` and `synthesize`.

    Raises:
        DatasetError: an input cannot be used, or the folder holds something that no synthesis has written, or not in
            this form.
        ConfigError: the options contradict each other, or a video needs a library that is not installed.
        StorageFullError: the disk is too small.
    """
    _check_folder(directory)
    is_drawn = backgrounds == PROCEDURAL
    with contextlib.ExitStack() as held:
        paths = held.enter_context(local_paths([cutouts, *([] if is_drawn else [backgrounds])], _USER, progress))
        for given, local in zip((cutouts, backgrounds), paths.paths, strict=False):
            _check_source(given, local, directory)
            if is_remote(given):
                held.enter_context(errors_name(given, local))
        verdict = None
        if real is not None:
            if not is_remote(real.dataset):
                _check_apart(workspace.find_dataset(real.dataset), directory)
            # Without folds a dataset without splits gets a test split, which later datasets share.
            with_test = dataclasses.replace(real, folds=0)
            verdict = held.enter_context(checked_dataset(with_test, workspace, _USER, progress))
        photos = RealPhotos(verdict, paths.paths[0])
        read = read_cutouts(paths.paths[0], photos.classes, options.whole, progress)
        kept, held_out = photos.without_held_out(read)
        found = find_backgrounds(None if is_drawn else paths.paths[1], photos.is_held_out, progress)
        job = _Job(options, photos, by_class(kept), found, (*held_out, *found.held_out))
        return job.write(cutouts, backgrounds, directory, progress)


class _Job:
    """A synthesis whose inputs were read."""

    def __init__(
        self,
        options: SynthesisOptions,
        photos: RealPhotos,
        cutouts: Mapping[str, Sequence[Cutout]],
        found: FoundBackgrounds,
        held_out: tuple[str, ...],
    ) -> None:
        self.options, self.photos, self.cutouts = options, photos, cutouts
        self.found, self.held_out = found, held_out
        self.classes = photos.classes or tuple(cutouts)
        self.counts = self._counts()
        self.margin = photos.crop_margin if options.margin is None and photos.are_crops else options.margin

    def write(self, cutouts: str, backgrounds: str, directory: Path, progress: Progress) -> Synthesis:
        self._require_room(directory)
        with replaced_folder(directory) as target:
            written = self._write_images(target, progress)
            self._write_lists(target, written)
            durable.write_csv(target / ORIGIN, self._columns(), self._origins(written))
            (target / SHEET).write_bytes(draw_sheet(self._shown(target)))
            inputs = {"cutouts": cutouts, "backgrounds": backgrounds, "dataset": self.photos.given}
            record = {"format": 1, **inputs, **dataclasses.asdict(self.options), "files": file_checksums(target)}
            durable.write_json(target / RECORD, record)
        return self._result(directory)

    def _counts(self) -> dict[str, int]:
        """Class -> number of synthetic photos.

        Raises:
            DatasetError: there would be none.
        """
        trained = self.photos.counts["train"]
        largest = max(trained.values(), default=0)
        counts = {
            label: self.options.count + (largest - trained.get(label, 0) if self.options.fill else 0)
            for label in self.cutouts
        }
        if not any(counts.values()):
            raise DatasetError(
                f"{self.photos.given}: expected a class with cut-outs that has fewer training photos than the largest, "
                f"found none: {', '.join(f'{label} has {trained.get(label, 0):,}' for label in counts)}. Add --count"
            )
        return {label: count for label, count in counts.items() if count}

    def _require_room(self, directory: Path) -> None:
        parent = nearest_existing(directory.absolute().parent)
        size = sum(self.counts.values()) * _BYTES_OF_A_PHOTO + self.photos.bytes_to_copy(parent)
        free = shutil.disk_usage(parent).free
        if free < size:
            raise StorageFullError(
                f"{directory}: {sum(self.counts.values()):,} photos take about {size:,} bytes, and {free:,} are free. "
                "Free some space, lower --count, or name another folder."
            )

    def _write_images(self, target: Path, progress: Progress) -> list[SyntheticPhoto]:
        self.photos.put_into(target / IMAGES)
        jobs = itertools.chain.from_iterable(
            ((label, index) for index in range(count)) for label, count in self.counts.items()
        )
        backgrounds: Backgrounds = self.found.backgrounds
        written = write_photos(
            target / IMAGES, jobs, self.cutouts, backgrounds, self.options.seed, self.margin, self.photos.crop_heights
        )
        photos = []
        for photo in written:
            photos.append(photo)
            progress("synthesize", len(photos), sum(self.counts.values()))
        return photos

    def _write_lists(self, target: Path, written: Sequence[SyntheticPhoto]) -> None:
        label_of = {name: label for label, name in enumerate(self.classes)}
        splits: dict[Split, list[tuple[str, int]]] = {
            split: [(sample.name, sample.label) for sample in self.photos.samples(split)] for split in SPLITS
        }
        splits["train"] += [(photo.name, label_of[photo.cutout.label]) for photo in written]
        write_lists(target / DATASET_FILES, self.classes, {split: rows for split, rows in splits.items() if rows})

    def _columns(self) -> tuple[str, ...]:
        return (*_COLUMNS, *(column for column in self.photos.columns if column not in _COLUMNS))

    def _origins(self, written: Sequence[SyntheticPhoto]) -> Iterator[Sequence[object]]:
        columns = self._columns()
        for row in self.photos.rows():
            yield [row.get(column, "") for column in columns]
        for photo in written:
            own = {
                "image": photo.name,
                "class": photo.cutout.label,
                "split": "train",
                "synthetic": YES,
                "photo": self.photos.photo_of(photo.cutout),
                "group": self.photos.group_of(photo.cutout),
                "cutout": photo.cutout.name,
                "background": photo.background,
                "x": photo.box[0],
                "y": photo.box[1],
                "width": photo.box[2] - photo.box[0],
                "height": photo.box[3] - photo.box[1],
                "seed": self.options.seed,
            }
            yield [own.get(column, "") for column in columns]

    def _shown(self, target: Path) -> dict[str, list[bytes]]:
        return {
            label: [
                (target / IMAGES / SyntheticPhoto.name_of(label, index)).read_bytes()
                for index in range(min(SHEET_COLUMNS, count))
            ]
            for label, count in self.counts.items()
        }

    def _result(self, directory: Path) -> Synthesis:
        return Synthesis(
            dataset=str(directory),
            synthetic=self.counts,
            real=self.photos.counts if self.photos.given else {},
            cutouts={label: len(cutouts) for label, cutouts in self.cutouts.items()},
            backgrounds=self.found.backgrounds.description,
            margin=self.margin,
            held_out=self.held_out,
            unreadable=self.found.unreadable,
            warnings=tuple(self._warnings()),
        )

    def _warnings(self) -> Iterator[str]:
        if not self.photos.given:
            if len(self.classes) < 2:
                yield f"there is one class, {self.classes[0]}: a training needs two or more"
            yield (
                "the dataset has synthetic photos only, and is measured on real ones: add those of a dataset with "
                "--dataset"
            )
            return
        missing = [label for label in self.classes if label not in self.cutouts]
        if missing:
            yield f"classes without cut-outs, which got no synthetic photos: {name_some(missing)}"
        trained = Counter(self.counts) + Counter(self.photos.counts["train"])
        real = self.photos.counts["train"]
        only = [label for label in self.counts if not real.get(label) and trained[label]]
        if only:
            yield f"classes with synthetic training photos only: {name_some(only)}"


def _check_folder(directory: Path) -> None:
    """Check that a folder may be replaced: it is new, or has only files that a former synthesis wrote.

    Raises:
        DatasetError: it has others, or changed ones, or its record is damaged.
    """
    if not check_replaceable(directory, RECORD, _USER, _ADVICE_ON_FOLDER):
        return
    try:
        with unreadable():
            record = read_json(directory / RECORD, file_names=True)
            files = {str(name): str(digest) for name, digest in record["files"].items()}
    except UnreadableError as error:
        raise DatasetError(
            f"{directory / RECORD}: expected the record of a synthesis, received a damaged one: {error}. Move the "
            "folder away, and run the command again"
        ) from error
    check_own_files(directory, files, RECORD)


def _check_source(given: str, local: Path, directory: Path) -> None:
    if not local.exists():
        raise DatasetError(f"{given}: expected a folder, found nothing. Check the path")
    _check_apart(local, directory)


def _check_apart(source: Path, directory: Path) -> None:
    """Refuse a folder of the new dataset inside one of its inputs, or around it."""
    inside, around = directory.resolve(), source.resolve()
    if inside == around or around in inside.parents or inside in around.parents:
        raise DatasetError(f"{directory}: expected a folder outside {source}, which is read. Name another")
