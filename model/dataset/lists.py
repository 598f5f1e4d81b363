"""AI4OS layout: lists in `dataset_files/` (classes.txt and a list of each split), and the images in `images/`."""

import dataclasses
import errno
import itertools
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from model import durable
from model.dataset.formats import IMAGE_SUFFIXES
from model.dataset.image_index import path_ends
from model.dataset.list_lines import is_header, possible_readings
from model.dataset.listing import BLANKS, CLASSES, DATASET_FILES, IMAGES, LayoutOptions, Listing, Problems
from model.dataset.text_files import read_lines
from model.errors import DatasetError
from model.files.browsing import describe_content, files_in, folders_in
from model.results import SPLITS, Sample, Split
from model.shown import counted

# Number of the class and name, in either order.
_NUMBERED = re.compile(r"(\d+)[\s,;:.)-]+\S.*|.*\S[\s,;:]+(\d+)")
_QUOTED = re.compile(r"""(["']).*\1""")


def read_lists(root: Path, options: LayoutOptions) -> Listing:
    """Read the lists of a dataset; see `model.dataset.layouts.find_layout`."""
    files = root / DATASET_FILES
    required = (CLASSES, "train.txt") if options.for_training else (CLASSES,)
    if not all((files / name).is_file() for name in required):
        raise DatasetError(f"{files}: expected {' and '.join(required)}, found {describe_content(files)}")
    problems = Problems()
    warnings: list[str] = []
    classes = _read_classes(files / CLASSES, problems, warnings.append, 2 if options.for_training else 1)
    images = root / (options.images_directory or IMAGES)
    label_of = {name: label for label, name in enumerate(classes)}
    reader = _ListReader(images, label_of, problems, warnings.append)
    lines = {split: list(reader.read(files / f"{split}.txt")) for split in SPLITS}
    everything = [line for split in SPLITS for line in lines[split]]
    if classes:
        problems.extend(_label_problems(everything, files / CLASSES, len(classes)))
    problems.extend(_listed_twice(everything))
    if not (lines["train"] if options.for_training else everything) and not problems:
        problems.add(f"{files / 'train.txt'}: expected lines `path label`, found none")
    problems.extend(_missing_images(everything, images, root))
    problems.raise_all(root)
    return Listing(
        layout=f"lists in {DATASET_FILES}/",
        root=images,
        classes=tuple(classes),
        splits={
            split: tuple(Sample(images / line.name, line.name, line.label) for line in lines[split]) for split in SPLITS
        },
        has_splits=True,
        uses=("images_directory", "table"),
        warnings=(*warnings, *_moved(reader.moved, images), *_no_first_label(everything, classes)),
    )


def write_lists(directory: Path, classes: Iterable[str], splits: Mapping[Split, Iterable[tuple[str, int]]]) -> None:
    """Write a dataset as lists, the form that `read_lists` reads; the folder is created if it does not exist.

    Args:
        directory: folder of the lists, such as `dataset_files/`.
        classes: names in label order.
        splits: split -> path and label of each image.
    """
    write_classes(directory, classes)
    for split, images in splits.items():
        durable.write_text(directory / f"{split}.txt", "".join(itertools.starmap(list_line, images)))


def list_line(name: str, label: int) -> str:
    """Line of an image in the list of a split, with its path and its label."""
    return f"{name} {label}\n"


def write_classes(directory: Path, classes: Iterable[str]) -> None:
    """Write `classes.txt`, one name per line in label order; the folder is created if it does not exist."""
    directory.mkdir(parents=True, exist_ok=True)
    durable.write_text(directory / CLASSES, "".join(f"{name}\n" for name in classes))


@dataclasses.dataclass(frozen=True)
class _Line:
    where: str
    name: str
    label: int
    exists: bool


@dataclasses.dataclass(frozen=True)
class _ListReader:
    """Reader of the lists of a dataset; see `model.dataset.list_lines` for the forms of a line.

    Attributes:
        images: folder that the paths are relative to.
        label_of: class name -> label.
        problems: receives what cannot be read.
        warn: called with a sentence about an uncertain encoding.
        moved: receives absolute paths of another folder with the same name as the folder of the images.
        by_stem: the images of each folder that was listed, by their paths without ending.
    """

    images: Path
    label_of: Mapping[str, int]
    problems: Problems
    warn: Callable[[str], None]
    moved: list[str] = dataclasses.field(default_factory=list)
    by_stem: dict[str, dict[str, list[str]]] = dataclasses.field(default_factory=dict)

    def read(self, path: Path) -> Iterator[_Line]:
        """Lines of a list, which may be missing; a path outside the folder of the images is a problem."""
        if not path.exists():
            return
        for number, text in enumerate(read_lines(path, self.problems, self.warn), start=1):
            if number == 1 and is_header(text):
                self.warn(f"{path}:1: the header {text[:80]!r} was not read as an image")
            elif text.strip(BLANKS):
                yield from self._read_line(text, f"{path}:{number}")

    def _read_line(self, text: str, where: str) -> Iterator[_Line]:
        literal: _Line | None = None
        outside, label_of_outside = "", -1
        for written, label in possible_readings(text, self.label_of):
            name = self._inside(written)
            if name is None:
                if not outside:
                    outside, label_of_outside = posixpath.normpath(written), label
                continue
            name = self._existing(name)
            line = _Line(where, name, label, _is_file(self.images / name))
            if line.exists:
                yield line
                return
            literal = literal or line
        end = self._end_of(outside) if outside.startswith("/") else ""
        if end and outside.endswith(f"/{self.images.name}/{end}"):
            self.moved.append(outside)
            yield _Line(where, end, label_of_outside, True)
        elif outside and (literal is None or "/" in outside):
            advice = f". There is {end!r}: remove the part before it" if end else ""
            self.problems.add(f"{where}: expected a path inside the images folder, received {outside!r}{advice}")
        elif literal:
            yield literal
        else:
            self.problems.add(
                f"{where}: expected `path label` with a whole number or a class name as the label, received "
                f"{text[:200]!r}"
            )

    def _existing(self, name: str) -> str:
        """The image of a path: as written, below the folder of the images, or with the ending that it lacks."""
        if _is_file(self.images / name):
            return name
        below = name.removeprefix(f"{self.images.name}/")
        if below != name and _is_file(self.images / below):
            return below
        endings = [] if posixpath.splitext(name)[1] else self._images_of(posixpath.dirname(name)).get(name, [])
        return endings[0] if len(endings) == 1 else name

    def _images_of(self, folder: str) -> dict[str, list[str]]:
        """Path without ending -> the images of a folder with this path."""
        if folder not in self.by_stem:
            by_stem: dict[str, list[str]] = {}
            path = self.images / folder
            for file in files_in(path) if path.is_dir() else ():
                if file.suffix.lower() in IMAGE_SUFFIXES:
                    by_stem.setdefault(posixpath.join(folder, file.stem), []).append(posixpath.join(folder, file.name))
            self.by_stem[folder] = by_stem
        return self.by_stem[folder]

    def _inside(self, written: str) -> str | None:
        """Path relative to the folder of the images; None if it is outside."""
        name = posixpath.normpath(written)
        if name.startswith("/"):
            for folder in dict.fromkeys((os.path.abspath(self.images), os.path.realpath(self.images))):
                if name.startswith(f"{folder}/"):
                    return name[len(folder) + 1 :]
            return None
        return None if name == ".." or name.startswith("../") else name

    def _end_of(self, outside: str) -> str:
        """Longest end of an absolute path that is the path of an image; empty if there is none."""
        ends = path_ends(outside.removeprefix("/"))
        return next((end for end in ends if _is_file(self.images / end)), "")


def _read_classes(path: Path, problems: Problems, warn: Callable[[str], None], least: int) -> list[str]:
    names = list(read_lines(path, problems, warn))
    while names and not names[-1].strip(BLANKS):
        names.pop()
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        name = name.strip(BLANKS)
        if not name:
            problems.add(f"{path}:{number}: expected a class name, found a blank line")
        elif name in first:
            problems.add(f"{path}:{number}: the class {name!r} was already listed on line {first[name]}")
        first.setdefault(name, number)
    if len(names) < least and not problems:
        expected = "two classes or more" if least > 1 else "classes"
        problems.add(f"{path}: expected {expected}, one per line, found {len(names)}")
    classes = [name.strip(BLANKS) for name in names]
    numbered = [_NUMBERED.fullmatch(name) for name in classes]
    numbers = [int(match[1] or match[2]) for match in numbered if match]
    if len(numbers) > 1 and numbers == list(range(len(classes))):
        warn(f"{path}: the number on every line was read as a part of the class name, such as {classes[0]!r}")
    if classes and all(_QUOTED.fullmatch(name) for name in classes):
        warn(f"{path}: the quotation marks were read as a part of the class name, such as {classes[0]!r}")
    return classes


def _label_problems(lines: Sequence[_Line], classes: Path, count: int) -> Iterator[str]:
    """Labels out of range; if all labels are from 1 to the number of classes, one problem for all."""
    if lines and min(line.label for line in lines) == 1 and max(line.label for line in lines) == count:
        last = next(line for line in lines if line.label == count)
        yield (
            f"{last.where}: expected labels counted from zero, found 1 to {count} and no 0 in all lists. "
            f"{classes.name} has {counted(count, 'class')}: subtract 1 from every label, or complete {classes.name}"
        )
        return
    for line in lines:
        if not 0 <= line.label < count:
            yield (
                f"{line.where}: expected a label from 0 to {count - 1} ({classes.name} has {counted(count, 'class')}), "
                f"received {line.label}"
            )


def _moved(paths: Sequence[str], images: Path) -> list[str]:
    if not paths:
        return []
    return [
        f"{len(paths):,} absolute paths of the lists, such as {paths[0]!r}, are in another folder {images.name}/ and "
        f"were read as paths in {images}"
    ]


def _no_first_label(lines: Sequence[_Line], classes: Sequence[str]) -> list[str]:
    if min(line.label for line in lines) == 0:
        return []
    return [f"no line of the lists has the label 0 ({classes[0]}): labels are counted from zero"]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _listed_twice(lines: Sequence[_Line]) -> Iterator[str]:
    first: dict[str, _Line] = {}
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line:
            yield f"{line.where}: {line.name!r} is listed already, in {before.where}"


def _missing_images(lines: Sequence[_Line], images: Path, root: Path) -> list[str]:
    missing = [line for line in lines if not line.exists]
    if not missing or len(missing) < len(lines):
        return [f"{line.where}: no such image: {images / line.name}" for line in missing]
    state = "none of the listed images exists" if images.is_dir() else "no such folder"
    holding = [folder for folder in (root, *folders_in(root)) if (folder / lines[0].name).is_file()]
    better = [folder.relative_to(root).as_posix() for folder in holding]
    advice = f"They are in {better[0]!r}: set" if better else f"{root} holds {describe_content(root)}. Set"
    return [
        f"{images}: {state}, such as {lines[0].name!r}. {advice} images_directory to the folder "
        "where the paths of the lists start"
    ]
