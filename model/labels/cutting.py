"""Images of a dataset cut out of labelled photos: one for each labelled object, split by photo."""

import dataclasses
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from model.dataset.images import decode_image
from model.dataset.listing import IMAGES, Problems, describe_problems
from model.dataset.pipeline import in_threads
from model.dataset.splits import split_rows
from model.errors import DatasetError, ImageError
from model.files.browsing import name_some
from model.labels.agreement import Agreement, Chosen
from model.labels.classes import classes_of
from model.labels.crops import CropOptions, UnusableRegionError, crop_name, cut, encode_crop, file_stem
from model.labels.former import BOXES, Former
from model.labels.photos import Photos
from model.labels.pictures import draw_boxes
from model.labels.regions import Labels, Rectangle, Task
from model.received import quoted
from model.results import SPLITS, Progress, Split

PHASE = "import_labels"
_PHOTOS_DRAWN = 20

_WHOLE_PHOTO = Rectangle(0.0, 0.0, 0.0, 0.0)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """Fractions of the photos for validation and test, and the seed; see `model.config.TrainConfig`."""

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Crop:
    """An image of the dataset.

    Attributes:
        name: file name in `images/`.
        label: its class.
        task: the task of its photo.
        chosen: the region that it shows, and its annotation.
        rectangle: the box in pixels of the photo, without margin; of size 0 for a whole photo.
        is_new: whether the former import did not have it.
    """

    name: str
    label: str
    task: Task
    chosen: Chosen
    rectangle: Rectangle
    is_new: bool


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A region, or a whole photo if `region` is empty, that gave no image, and the reason."""

    photo: str
    task: str
    region: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Imported:
    """Images that were written to a folder.

    Attributes:
        crops: the images, in the order of the tasks.
        left_out: regions and photos without an image.
        hashes: address of a photo -> sha256 of its file.
    """

    crops: tuple[Crop, ...]
    left_out: tuple[LeftOut, ...]
    hashes: Mapping[str, str]


def import_crops(
    labels: Labels,
    agreement: Agreement,
    photos: Photos,
    former: Former,
    options: CropOptions,
    target: Path,
    progress: Progress,
) -> Imported:
    """Write an image for each chosen region.

    Args:
        former: the former import into the same folder; its unchanged images are kept.
        target: folder of the new dataset; images are written to its `images/`, and 20 photos with their boxes to
            its `boxes/`.
        progress: called with the phase `import_labels` after each photo.

    Raises:
        DatasetError: an address stands for several photos, or labels cannot be classes.
        StorageError: photos cannot be read at the moment.
    """
    (target / IMAGES).mkdir()
    (target / BOXES).mkdir()
    classes = classes_of(one.label for chosen in agreement.chosen.values() for one in chosen)
    tasks = [task for task in labels.tasks if agreement.chosen[task.name]]
    found = _find_photos(tasks, photos)
    work = _Cutter(agreement, photos, former, options, target, classes, _drawn_tasks(tasks, agreement))
    items = [(task, found[task.name]) for task in tasks]
    results = []
    for done, result in enumerate(in_threads(work, items, photos.connections), start=1):
        results.append(result)
        progress(PHASE, done, len(tasks))
    unusable = [LeftOut("", task, region, reason) for task, region, reason in labels.unusable]
    return Imported(
        tuple(crop for result in results for crop in result.crops),
        (*unusable, *(one for result in results for one in result.left_out)),
        {address: digest for result in results for address, digest in result.hashes.items()},
    )


def split_crops(
    crops: Sequence[Crop], hashes: Mapping[str, str], former: Former, options: SplitOptions
) -> dict[str, Split]:
    """Split the images so that all of a photo, or of a group of photos, are in one split.

    Splits that the source states are kept, and those of the former import. Photos with the same content, such as a file
    that was uploaded twice, get one split otherwise.

    Args:
        hashes: address of a photo -> sha256 of its file.

    Returns:
        file name of each image -> its split.
    """
    known: dict[str, Split] = {}
    for crop in crops:
        group = _group(crop)
        split = crop.task.split or former.splits.get(crop.task.photo)
        if split is not None:
            known.setdefault(group, split)
    joined = _joined_groups(crops, hashes)
    known_of_joined: dict[str, Split] = {}
    for group, split in known.items():
        known_of_joined.setdefault(joined[group], split)
    new = [crop for crop in crops if joined[_group(crop)] not in known_of_joined]
    classes = sorted({crop.label for crop in new})
    fractions: dict[Split, float] = {"val": options.val_fraction, "test": options.test_fraction}
    rows = split_rows(
        [crop.name for crop in new],
        [classes.index(crop.label) for crop in new],
        [joined[_group(crop)] for crop in new],
        fractions,
        options.seed,
    )
    split_of = {new[row].name: split for split in SPLITS for row in rows[split]}
    return {
        crop.name: split_of.get(crop.name) or known.get(_group(crop)) or known_of_joined[joined[_group(crop)]]
        for crop in crops
    }


def count_by_split(crops: Sequence[Crop], split_of: Mapping[str, Split]) -> dict[Split, dict[str, int]]:
    """Split -> class -> number of images."""
    counts: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
    for crop in crops:
        counts[split_of[crop.name]][crop.label] += 1
    return {split: dict(sorted(counts[split].items())) for split in SPLITS}


def _group(crop: Crop) -> str:
    return crop.task.group or crop.task.photo


def _joined_groups(crops: Sequence[Crop], hashes: Mapping[str, str]) -> dict[str, str]:
    """Group -> the first of the groups that have photos of the same content, directly or through others."""
    first: dict[str, str] = {}

    def first_of(group: str) -> str:
        while first.setdefault(group, group) != group:
            group = first[group]
        return group

    group_of: dict[str, str] = {}
    for crop in crops:
        own = first_of(_group(crop))
        other = first_of(group_of.setdefault(hashes[crop.task.photo], own))
        first[own] = other
    return {group: first_of(group) for group in list(first)}


def _find_photos(tasks: Sequence[Task], photos: Photos) -> dict[str, str]:
    """Task -> name of its photo; empty if there is none.

    Raises:
        DatasetError: several photos for one task; all such tasks are listed.
    """
    problems = Problems()
    found: dict[str, str] = {}
    for task in tasks:
        names = photos.find(task)
        if len(names) > 1:
            problems.add(
                f"task {task.name}: expected one photo for {quoted(task.address)}, found {len(names)}: "
                f"{name_some(names)}. Leave one of them in the folder of the photos"
            )
        found[task.name] = names[0] if names else ""
    if problems:
        raise DatasetError(describe_problems(problems))
    if tasks and not any(found.values()):
        raise DatasetError(
            f"expected the photos of the tasks, found none, such as {quoted(tasks[0].address)}. Name their folder with "
            "--images"
        )
    return found


def _drawn_tasks(tasks: Sequence[Task], agreement: Agreement) -> frozenset[str]:
    """Tasks with boxes whose photos are drawn, evenly spread."""
    with_boxes = [
        task.name for task in tasks if any(chosen.region.box is not None for chosen in agreement.chosen[task.name])
    ]
    places = np.linspace(0, len(with_boxes) - 1, min(_PHOTOS_DRAWN, len(with_boxes))).round().astype(int)
    return frozenset(with_boxes[place] for place in places)


class _Cutter:
    """Cuts the regions out of one photo at a time; called in threads."""

    def __init__(
        self,
        agreement: Agreement,
        photos: Photos,
        former: Former,
        options: CropOptions,
        target: Path,
        classes: Sequence[str],
        drawn: frozenset[str],
    ) -> None:
        self.agreement, self.photos, self.former, self.options = agreement, photos, former, options
        self.target, self.classes, self.drawn = target, classes, drawn

    def __call__(self, item: tuple[Task, str]) -> Imported:
        task, name = item
        if not name:
            reason = "expected the photo in the folder of the photos, found none of this name"
            return Imported((), (LeftOut(task.photo, task.name, "", reason),), {})
        try:
            return self._cut(task, name)
        except ImageError as error:
            return Imported((), (LeftOut(task.photo, task.name, "", error.message),), {})

    def _cut(self, task: Task, name: str) -> Imported:
        photo = _Photo(self.photos, name, self.former.hashes.get(task.photo, "") if self.photos.is_lasting else "")
        crops, left_out = [], []
        for chosen in self.agreement.chosen[task.name]:
            try:
                crops.append(self._crop(task, name, chosen, photo))
            except UnusableRegionError as error:
                left_out.append(LeftOut(task.photo, task.name, chosen.region.name, str(error)))
        boxes = [(crop.rectangle, crop.label) for crop in crops if crop.chosen.region.box is not None]
        if task.name in self.drawn and boxes:
            self._draw(task, [crop.name for crop in crops], boxes, photo)
        return Imported(tuple(crops), tuple(left_out), {task.photo: photo.digest})

    def _draw(self, task: Task, crops: Sequence[str], boxes: Sequence[tuple[Rectangle, str]], photo: "_Photo") -> None:
        """Draw a photo with its boxes, unless the former import has the same picture."""
        key = hashlib.sha256("\n".join(crops).encode()).hexdigest()[:8]
        name = f"{BOXES}/{file_stem(task.photo)}-{file_stem(task.name)}-{key}.jpg"
        if not self.former.keep(name, self.target):
            (self.target / name).write_bytes(draw_boxes(photo.pixels, boxes, self.classes))

    def _crop(self, task: Task, name: str, chosen: Chosen, photo: "_Photo") -> Crop:
        is_whole = chosen.region.box is None
        suffix = self.photos.suffix(name) if is_whole else ".png"
        place = f"{task.name}:{task.photo}"
        file = crop_name(place, photo.digest, chosen.region, chosen.label, self.options, suffix)
        is_new = file not in self.former.crops
        if not is_new and (is_whole or self._was_checked()):
            if self.former.keep(f"{IMAGES}/{file}", self.target):
                return Crop(file, chosen.label, task, chosen, self.former.crops[file], False)
            is_new = True
        pixels = photo.pixels
        if chosen.region.box is None:
            content, rectangle = photo.content, _WHOLE_PHOTO
        else:
            crop, rectangle = cut(pixels, chosen.region.box, chosen.region.photo_size, self.options)
            content = encode_crop(crop)
        (self.target / IMAGES / file).write_bytes(content)
        return Crop(file, chosen.label, task, chosen, rectangle, is_new)

    def _was_checked(self) -> bool:
        """Whether the former import left out all boxes that are too small for this one."""
        return self.former.options is not None and self.former.options.min_side >= self.options.min_side


class _Photo:
    """A photo that is read when its content is needed, and decoded when its pixels are.

    Args:
        digest: sha256 of its content if it is known; otherwise empty.
    """

    def __init__(self, photos: Photos, name: str, digest: str) -> None:
        self._photos, self._name, self._known_digest = photos, name, digest

    @cached_property
    def content(self) -> bytes:
        """The file."""
        return self._photos.read(self._name)

    @cached_property
    def digest(self) -> str:
        """sha256 of the file."""
        return self._known_digest or hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pixels(self) -> np.ndarray:
        """uint8 RGB of shape (height, width, 3), upright."""
        return decode_image(self.content)


def crops_by_class(crops: Sequence[Crop]) -> dict[str, list[Crop]]:
    """Class -> its images, both sorted by name."""
    by_class: dict[str, list[Crop]] = defaultdict(list)
    for crop in sorted(crops, key=lambda crop: (crop.label, crop.name)):
        by_class[crop.label].append(crop)
    return dict(by_class)
