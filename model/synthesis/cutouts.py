"""Cut-outs: pictures of objects on transparent ground, in a folder for each class."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model.dataset.image_files import is_image
from model.dataset.images import decode_transparent, read_content
from model.dataset.listing import Problems, describe_problems, is_listable
from model.dataset.pipeline import in_threads
from model.dataset.similar_names import similar_classes
from model.errors import DatasetError, ImageError
from model.files.browsing import files_below, has_hidden_part, name_some
from model.received import quoted
from model.results import Progress

MIN_SIDE = 8
"""Minimum width and height of the object in a cut-out, in pixels."""

_MAX_SIDE = 512
# Programs that remove backgrounds leave a haze that is not seen.
_VISIBLE = 16
_KEPT_DECODED = 128

HOW_TO_CUT_OUT = (
    "Remove its background, for example with rembg (rembg i photo.jpg cut-out.png) or GIMP, and save it as PNG; "
    "--whole pastes such pictures as rectangles"
)


@dataclasses.dataclass(frozen=True)
class Cutout:
    """A cut-out.

    Attributes:
        path: its file.
        name: its path below the folder of the cut-outs, with `/`.
        label: its class.
        digest: sha256 of the file, in hexadecimal.
    """

    path: Path
    name: str
    label: str
    digest: str


def read_cutouts(folder: Path, classes: Sequence[str], is_whole: bool, progress: Progress) -> tuple[Cutout, ...]:
    """List and check the cut-outs in a folder: the class of each is the path of its folder.

    Args:
        classes: the classes that there may be; empty for any.
        is_whole: accept pictures without transparency.
        progress: called with the phase `cutouts`.

    Returns:
        the cut-outs, sorted by name.

    Raises:
        DatasetError: there is none, a class is unknown, or a cut-out cannot be used; all problems are listed.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder with a folder of cut-outs for each class, found a file")
    names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    names = [name for name in names if not has_hidden_part(name) and is_image(folder / name)]
    outside = [name for name in names if "/" not in name]
    if not names or outside:
        found = f"{len(outside):,} pictures outside such folders: {name_some(outside)}" if outside else "no picture"
        raise DatasetError(
            f"{folder}: expected a folder for each class with its cut-outs, such as {folder.name}/stop/1.png, found "
            f"{found}"
        )
    _check_classes(folder, sorted({name.rpartition("/")[0] for name in names}), classes)
    problems = Problems()
    cutouts = []
    for done, checked in enumerate(in_threads(lambda name: _checked(folder, name, is_whole), names), start=1):
        if isinstance(checked, str):
            problems.add(checked)
        else:
            cutouts.append(checked)
        progress("cutouts", done, len(names))
    if problems:
        raise DatasetError(f"{folder}: {describe_problems(problems)}")
    return tuple(cutouts)


@functools.lru_cache(_KEPT_DECODED)
def decode_cutout(cutout: Cutout) -> Image.Image:
    """The object as an RGBA image without the empty space around it, at most 512 pixels a side.

    Raises:
        DatasetError: the file has changed since it was checked.
    """
    try:
        content = read_content(cutout.path)
        if hashlib.sha256(content).hexdigest() != cutout.digest:
            raise ImageError("the file has changed")
        image = decode_transparent(content)
    except ImageError as error:
        raise DatasetError(f"{cutout.path}: {error.message}. Start again") from error
    image = image.crop(_visible(image) or (0, 0, *image.size))
    image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return image


def by_class(cutouts: Iterable[Cutout]) -> dict[str, list[Cutout]]:
    """Class -> its cut-outs, both sorted by name."""
    found: dict[str, list[Cutout]] = {}
    for cutout in sorted(cutouts, key=lambda cutout: (cutout.label, cutout.name)):
        found.setdefault(cutout.label, []).append(cutout)
    return found


def _check_classes(folder: Path, found: Sequence[str], classes: Sequence[str]) -> None:
    problems = Problems()
    if classes:
        lowered: Mapping[str, str] = {name.casefold(): name for name in classes}
        for name in found:
            if name not in classes:
                alike = lowered.get(name.casefold())
                advice = f"Rename it to {quoted(alike)}" if alike else "Rename or remove it"
                problems.add(
                    f"{quoted(name)}: expected the name of a class of the dataset ({name_some(classes)}) as the "
                    f"folder of its cut-outs. {advice}"
                )
    else:
        problems.extend(
            f"{quoted(name)}: expected a class name on one line, without blanks around it: rename the folder"
            for name in found
            if not is_listable(name)
        )
        problems.extend(similar_classes([name for name in found if is_listable(name)]))
    if problems:
        raise DatasetError(f"{folder}: {describe_problems(problems)}")


def _checked(folder: Path, name: str, is_whole: bool) -> Cutout | str:
    """The cut-out, or the sentence that says why it cannot be used."""
    path = folder / name
    try:
        content = read_content(path)
        image = decode_transparent(content)
    except ImageError as error:
        return f"{name}: {error.message}. Replace or remove it"
    visible = _visible(image)
    if visible is None:
        return f"{name}: expected an object on transparent ground, found only transparent pixels. Replace or remove it"
    width, height = visible[2] - visible[0], visible[3] - visible[1]
    if min(width, height) < MIN_SIDE:
        return (
            f"{name}: expected an object of at least {MIN_SIDE} x {MIN_SIDE} pixels, found one of {width} x {height}. "
            "Replace or remove it"
        )
    if not is_whole and image.getchannel("A").getextrema()[0] == 255:
        return f"{name}: expected an object on transparent ground, found an opaque picture. {HOW_TO_CUT_OUT}"
    return Cutout(path, name, name.rpartition("/")[0], hashlib.sha256(content).hexdigest())


def _visible(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Bounding box of the pixels that are seen; None without any."""
    mask = np.asarray(image.getchannel("A")) >= _VISIBLE
    return Image.fromarray(mask).getbbox()
