"""The real photos that synthetic ones are added to, and which of their pictures must not be used for that."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from model.dataset.listing import DATASET_FILES
from model.dataset.origins import GROUP, IMAGE, NO, ORIGIN, PHOTO, SYNTHETIC, Origin, read_origins, read_table
from model.dataset.verdict import Verdict
from model.errors import DatasetError
from model.files.browsing import name_some
from model.files.new_files import link_or_copy
from model.labels.former import recorded_options
from model.labels.photo_names import possible_names, stored_name
from model.results import SPLITS, Sample, Split
from model.synthesis.cutouts import Cutout
from model.synthesis.writing import SyntheticPhoto

# Of import-labels, whose former versions did not record it.
_CROP_MARGIN = 0.1
_MEASURED_ON: tuple[Split, ...] = ("val", "test")


class RealPhotos:
    """Real photos of a dataset.

    Args:
        verdict: the dataset; None without one.
        cutouts: folder of the cut-outs, whose `origin.csv` may name the photos they were cut out of.

    Attributes:
        given: the dataset as the user named it; empty without one.
        classes: names in label order; empty without a dataset.

    Raises:
        DatasetError: the dataset has synthetic photos, or a table of origins is damaged.
    """

    def __init__(self, verdict: Verdict | None, cutouts: Path) -> None:
        self._verdict = verdict
        self.given = "" if verdict is None else verdict.given or str(verdict.dataset.root)
        self.classes: tuple[str, ...] = () if verdict is None else verdict.dataset.classes
        self._origins = {} if verdict is None else _real_origins(verdict)
        self._photo_of_cutout = _photos_of_cutouts(cutouts)
        self._by_stem = {PurePosixPath(name).stem: name for name in self._origins}
        self._held_names = {sample.name for split in _MEASURED_ON for sample in self.samples(split)}
        self._held_digests = set() if verdict is None else {verdict.content_hashes[name] for name in self._held_names}
        self._held_photos = {
            key for name in self._held_names for key in _keys(self._origins.get(name, {}).get(PHOTO, ""))
        }

    @property
    def counts(self) -> dict[Split, dict[str, int]]:
        """Split -> class -> number of photos, for classes with any."""
        counts = {split: Counter(self.classes[sample.label] for sample in self.samples(split)) for split in SPLITS}
        return {split: dict(sorted(of_split.items())) for split, of_split in counts.items()}

    @property
    def are_crops(self) -> bool:
        """Whether most of the training photos were cut out of photos, as `origin.csv` says."""
        return 2 * len(self.crop_heights) > len(self.samples("train"))

    @property
    def crop_margin(self) -> float:
        """Margin that the photos were cut out with, as the record of their import says; 0.1 without a record.

        Raises:
            DatasetError: the record is damaged.
        """
        recorded = None if self._verdict is None else recorded_options(_folder(self._verdict.dataset.root))
        return _CROP_MARGIN if recorded is None else recorded.margin

    @property
    def crop_heights(self) -> np.ndarray:
        """Heights of the training photos that were cut out of photos, in pixels, without margin: float (k,)."""
        rows = [self._origins.get(sample.name, {}) for sample in self.samples("train")]
        heights = [_number(row.get("height", "")) for row in rows]
        return np.array([height for height in heights if height > 0])

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the origin of the photos."""
        return tuple(dict.fromkeys(column for row in self._origins.values() for column in row))

    def samples(self, split: Split) -> tuple[Sample, ...]:
        """The photos of a split."""
        return () if self._verdict is None else self._verdict.dataset.split(split)

    def rows(self) -> Iterator[Origin]:
        """The row of each photo in `origin.csv` of the new dataset."""
        for split in SPLITS:
            for sample in self.samples(split):
                own = {
                    IMAGE: sample.name,
                    "class": self.classes[sample.label],
                    "split": split,
                    SYNTHETIC: NO,
                    GROUP: self._group(sample.name),
                }
                yield {**self._origins.get(sample.name, {}), **own}

    def is_held_out(self, name: str, digest: str) -> bool:
        """Whether a picture is, or comes from, a photo of val or test.

        Args:
            name: path of the picture.
            digest: sha256 of its file, in hexadecimal.
        """
        return digest in self._held_digests or not self._held_photos.isdisjoint(_keys(name))

    def without_held_out(self, cutouts: Iterable[Cutout]) -> tuple[tuple[Cutout, ...], tuple[str, ...]]:
        """The cut-outs that may be used, and the names of those that come from photos of val or test.

        Raises:
            DatasetError: no cut-out of a class is left.
        """
        kept: list[Cutout] = []
        held_out: list[Cutout] = []
        for cutout in cutouts:
            (held_out if self._is_held_out(cutout) else kept).append(cutout)
        left = {cutout.label for cutout in kept}
        lost = sorted({cutout.label for cutout in held_out} - left)
        if lost:
            raise DatasetError(
                f"all cut-outs of the class {name_some(lost)} come from photos of val or test, on which the model is "
                f"measured: {name_some([cutout.name for cutout in held_out if cutout.label in lost])}. Cut objects "
                "out of training photos, or of photos outside the dataset"
            )
        return tuple(kept), tuple(cutout.name for cutout in held_out)

    def photo_of(self, cutout: Cutout) -> str:
        """The photo that a cut-out comes from; empty if it is not known."""
        crop = self._crop_of(cutout)
        return self._origins[crop].get(PHOTO, "") if crop else self._photo_of_cutout.get(cutout.name, "")

    def group_of(self, cutout: Cutout) -> str:
        """The group of the photo that a cut-out comes from; empty if it is not known."""
        crop = self._crop_of(cutout)
        return self._group(crop) if crop else ""

    def bytes_to_copy(self, parent: Path) -> int:
        """Size of the photos that cannot be linked into a folder."""
        device = parent.stat().st_dev
        statuses = (sample.path.stat() for split in SPLITS for sample in self.samples(split))
        return sum(status.st_size for status in statuses if status.st_dev != device)

    def put_into(self, images: Path) -> None:
        """Put hard links to the photos, or copies where the file system has no links, into a folder."""
        images.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            for sample in self.samples(split):
                path = images / sample.name
                path.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(sample.path, path)

    def _is_held_out(self, cutout: Cutout) -> bool:
        if cutout.digest in self._held_digests:
            return True
        crop = self._crop_of(cutout)
        if crop:
            return crop in self._held_names
        return not self._held_photos.isdisjoint(_keys(self.photo_of(cutout)))

    def _crop_of(self, cutout: Cutout) -> str:
        """The photo of the dataset with the name of a cut-out, if `topgraft import-labels` gave that name."""
        return self._by_stem.get(PurePosixPath(cutout.name).stem, "")

    def _group(self, name: str) -> str:
        return "" if self._verdict is None else str(self._verdict.groups[name])


def _real_origins(verdict: Verdict) -> dict[str, Origin]:
    root = verdict.dataset.root
    names = {sample.name for sample in verdict.dataset.samples}
    origins = read_origins(_folder(root), root, names)
    if verdict.synthetic:
        raise DatasetError(
            f"{verdict.given or root}: expected a dataset of real photos, found {len(verdict.synthetic):,} synthetic "
            f"ones: {name_some(sorted(verdict.synthetic))}. Name the dataset of real photos that it was made of"
        )
    if alike := sorted(name for name in names if SyntheticPhoto.may_be_named(name)):
        raise DatasetError(
            f"{verdict.given or root}: expected a dataset of real photos, found {len(alike):,} with names that "
            f"synthetic photos get: {name_some(alike)}. Remove them if a former synthesis wrote them, otherwise rename "
            "them"
        )
    return origins


def _folder(images: Path) -> Path:
    """Folder of a dataset by that of its images."""
    return next((folder for folder in (images, *images.parents) if (folder / DATASET_FILES).is_dir()), images)


def _photos_of_cutouts(folder: Path) -> dict[str, str]:
    """Cut-out -> photo, by the table of origins in the folder of the cut-outs, if there is one."""
    if not (folder / ORIGIN).is_file():
        return {}
    return {row[IMAGE]: row[PHOTO] for row in read_table(folder / ORIGIN) if row.get(PHOTO)}


def _keys(address: str) -> set[str]:
    """File names that the address or the path of a photo may stand for, as Label Studio writes them."""
    names = possible_names(address) if address else []
    return {stored_name(PurePosixPath(name).name).casefold() for name in names}


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
