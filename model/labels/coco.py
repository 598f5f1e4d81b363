"""Tasks of a COCO file, as CVAT, Roboflow, VGG Image Annotator and Label Studio write them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.errors import DatasetError
from model.files.browsing import name_some
from model.labels.regions import Annotation, Box, Labels, Region, Task
from model.received import quoted
from model.results import Split

KEYS = ("images", "annotations", "categories")
"""Keys of a COCO file."""

_ROTATED_BOXES = "rotated boxes are wrong in COCO files of Label Studio: export JSON if a box is rotated"


def is_coco(content: Any) -> bool:
    """Whether content is that of a COCO file."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in KEYS)


def read_coco(content: Mapping[str, Any], split: Split | None = None) -> Labels:
    """Read the photos and boxes of a COCO file.

    Roboflow writes changed copies of a photo with its name in `extra.name`: the copies are one group. Its category 0,
    a name for all others, is no class if it has no boxes, as any category without boxes.

    Args:
        split: the split of the photos, if the name of the file states it.

    Raises:
        DatasetError: an entry lacks what every COCO file has; the message names it.
    """
    return _Reader(content, split).read()


class _Reader:
    def __init__(self, content: Mapping[str, Any], split: Split | None) -> None:
        self.content, self.split = content, split
        self.left_out: Counter[str] = Counter()
        self.unusable: list[tuple[str, str, str]] = []
        categories = _by_id(content["categories"], "category", "name")
        self.name_of = {str(key): str(entry["name"]) for key, entry in categories}
        if not content["images"]:
            raise DatasetError("expected images, found none")

    def read(self) -> Labels:
        # VGG Image Annotator may write an identifier as a number in one place and as text in another.
        photos = {str(key): photo for key, photo in _by_id(self.content["images"], "image", "file_name")}
        regions: dict[str, list[Region]] = {key: [] for key in photos}
        for entry in self.content["annotations"]:
            given = _required(entry, "image_id", "annotation")
            key = str(given)
            if key not in photos:
                raise DatasetError(
                    f"annotation {quoted(entry.get('id'))}: expected the id of an image, received {quoted(given)}"
                )
            region = self._region(entry, photos[key])
            regions[key] += [region] if region is not None else []
        tasks = tuple(self._task(key, photo, regions[key]) for key, photo in photos.items())
        warnings = (_ROTATED_BOXES,) if _is_of_label_studio(self.content) else ()
        return Labels(tasks, dict(self.left_out), tuple(self.unusable), warnings)

    def _task(self, name: str, photo: Mapping[str, Any], regions: Sequence[Region]) -> Task:
        updated = str(photo.get("date_captured") or "")
        address = str(_required(photo, "file_name", "image"))
        extra = photo.get("extra")
        group = str(extra.get("name") or "") if isinstance(extra, dict) else ""
        annotations = (Annotation(name, "", tuple(regions)),)
        return Task(name, address, annotations, updated, group, self.split)

    def _region(self, entry: Mapping[str, Any], photo: Mapping[str, Any]) -> Region | None:
        name = str(entry.get("id", ""))
        if entry.get("iscrowd"):
            self.left_out["regions of several objects (iscrowd)"] += 1
            return None
        try:
            size = _photo_size(photo)
            label = self._label(entry)
            return Region(name, (label,), _box(entry, *size), size)
        except ValueError as error:
            self.unusable.append((str(_required(photo, "id", "image")), name, str(error)))
            return None

    def _label(self, entry: Mapping[str, Any]) -> str:
        key = entry.get("category_id")
        if not isinstance(key, (int, str)) or str(key) not in self.name_of:
            raise ValueError(f"expected the id of a category ({name_some(list(self.name_of))}), received {quoted(key)}")
        return self.name_of[str(key)]


def _box(entry: Mapping[str, Any], photo_width: int, photo_height: int) -> Box:
    """Box of an annotation; that around its outline if it has no `bbox`.

    Raises:
        ValueError: there is neither, or one of size 0.
    """
    attributes = entry.get("attributes")
    rotation = attributes.get("rotation", 0) if isinstance(attributes, dict) else 0
    box = _numbers(entry.get("bbox"))
    if len(box) != 4:
        box = _around(entry.get("segmentation"))
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise ValueError(f"expected a box with a width and a height, received {width:g} x {height:g} pixels")
    # CVAT writes the box before its rotation about its centre.
    rotation = float(rotation) if isinstance(rotation, (int, float)) else 0.0
    return Box(
        *(x / photo_width, y / photo_height, width / photo_width, height / photo_height),
        rotation=rotation,
        about_centre=True,
    )


def _around(segmentation: Any) -> list[float]:
    # VGG Image Annotator writes one outline without the list around it.
    flat = _numbers(segmentation)
    outlines = [flat] if flat else [_numbers(one) for one in segmentation] if isinstance(segmentation, list) else []
    points = [number for outline in outlines for number in outline]
    if len(points) < 6 or len(points) % 2:
        raise ValueError("expected a box (`bbox`) or an outline (`segmentation`), found neither")
    left, top = min(points[::2]), min(points[1::2])
    return [left, top, max(points[::2]) - left, max(points[1::2]) - top]


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    ):
        return []
    return [float(value) for value in values]


def _photo_size(photo: Mapping[str, Any]) -> tuple[int, int]:
    width, height = photo.get("width"), photo.get("height")
    if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
        raise ValueError(f"expected the width and height of the image, found {quoted(width)} and {quoted(height)}")
    return width, height


def _by_id(entries: Sequence[Any], kind: str, named_by: str) -> Iterator[tuple[Any, Any]]:
    """Identifiers of images or categories, and the entries.

    Raises:
        DatasetError: two different ones have the same identifier, as in files that were joined by hand.
    """
    names: dict[str, Any] = {}
    for entry in entries:
        key, name = _required(entry, "id", kind), _required(entry, named_by, kind)
        if names.setdefault(str(key), name) != name:
            raise DatasetError(
                f"expected one {kind} with the id {quoted(key)}, found two: {quoted(names[str(key)])} and "
                f"{quoted(name)}. Give each its own id"
            )
        yield key, entry


def _required(entry: Any, key: str, kind: str) -> Any:
    if not isinstance(entry, dict) or isinstance(entry.get(key), (dict, list)) or entry.get(key) is None:
        raise DatasetError(f"expected each {kind} to have {quoted(key)}, received {quoted(entry)}")
    return entry[key]


def _is_of_label_studio(content: Mapping[str, Any]) -> bool:
    information = content.get("info")
    return isinstance(information, dict) and "label studio" in str(information.get("contributor", "")).lower()
