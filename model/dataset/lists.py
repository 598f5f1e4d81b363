"""AI4OS layout: lists in `dataset_files/` (classes.txt and a list of each split), and the images in `images/`."""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from model import durable
from model.dataset.listing import BLANKS, CLASSES, DATASET_FILES, IMAGES, Listing, raise_all
from model.errors import DatasetError
from model.files.browsing import describe_content, folders_in
from model.results import SPLITS, Sample, Split

# A longer number is no label, and `int` is slow on very long ones.
_LABEL = re.compile(r"[+-]?[0-9]{1,18}")


def read_lists(root: Path, images_directory: str) -> Listing:
    """Read the lists of a dataset; see `model.dataset.layouts.find_layout`."""
    files = root / DATASET_FILES
    missing = [name for name in (CLASSES, "train.txt") if not (files / name).is_file()]
    if missing:
        raise DatasetError(f"{files}: expected {CLASSES} and train.txt, found {describe_content(files)}")
    problems: list[str] = []
    classes = _read_classes(files / CLASSES, problems)
    images = root / (images_directory or IMAGES)
    lines = {split: list(_read_list(files / f"{split}.txt", classes, problems)) for split in SPLITS}
    problems += _listed_twice(line for split in SPLITS for line in lines[split])
    if not lines["train"] and not problems:
        problems.append(f"{files / 'train.txt'}: expected lines `path label`, found none")
    problems += _missing_images([line for split in SPLITS for line in lines[split]], images, root)
    raise_all(root, problems)
    return Listing(
        layout=f"lists in {DATASET_FILES}/",
        root=images,
        classes=tuple(classes),
        splits={
            split: tuple(Sample(images / line.name, line.name, line.label) for line in lines[split]) for split in SPLITS
        },
        has_splits=True,
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
        durable.write_text(directory / f"{split}.txt", "".join(f"{name} {label}\n" for name, label in images))


def write_classes(directory: Path, classes: Iterable[str]) -> None:
    """Write `classes.txt`, one name per line in label order; the folder is created if it does not exist."""
    directory.mkdir(parents=True, exist_ok=True)
    durable.write_text(directory / CLASSES, "".join(f"{name}\n" for name in classes))


def parse_line(line: str) -> tuple[str, int] | None:
    """Parse a line of a list to path and label; None if the line is not `path label`.

    The label is the last field, so the path may contain spaces.
    """
    line = line.rstrip(BLANKS)
    end = max(line.rfind(blank) for blank in BLANKS) + 1
    name, label = line[:end].rstrip(BLANKS), line[end:]
    return (name, int(label)) if name and _LABEL.fullmatch(label) else None


@dataclasses.dataclass(frozen=True)
class _Line:
    where: str
    name: str
    label: int


def _read_classes(path: Path, problems: list[str]) -> list[str]:
    names = _read_lines(path, problems)
    while names and not names[-1].strip(BLANKS):
        names.pop()
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        name = name.strip(BLANKS)
        if not name:
            problems.append(f"{path}:{number}: expected a class name, found a blank line")
        elif name in first:
            problems.append(f"{path}:{number}: the class {name!r} was already listed on line {first[name]}")
        first.setdefault(name, number)
    if len(names) < 2 and not problems:
        problems.append(f"{path}: expected two classes or more, one per line, found {len(names)}")
    return [name.strip(BLANKS) for name in names]


def _read_list(path: Path, classes: Sequence[str], problems: list[str]) -> Iterator[_Line]:
    if not path.exists():
        return
    for number, text in enumerate(_read_lines(path, problems), start=1):
        if not text.strip(BLANKS):
            continue
        where = f"{path}:{number}"
        parsed = parse_line(text)
        if parsed is None:
            problems.append(f"{where}: expected `path label` with a whole number as the label, received {text[:200]!r}")
            continue
        name, label = posixpath.normpath(parsed[0]), parsed[1]
        if name.startswith(("/", "../")) or name == "..":
            problems.append(f"{where}: expected a path inside the images folder, received {name!r}")
        elif classes and not 0 <= label < len(classes):
            highest = f"0 to {len(classes) - 1} ({path.with_name(CLASSES).name} has {len(classes)} classes)"
            problems.append(f"{where}: expected a label from {highest}, received {label}")
        else:
            yield _Line(where, name, label)


def _read_lines(path: Path, problems: list[str]) -> list[str]:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        problems.append(f"{path}: expected a readable file, received: {error.strerror or error}")
        return []
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        problems.append(f"{path}:{number}: expected UTF-8 text, received {error.reason}. Save the file as UTF-8")
        return []
    # Not `splitlines`, which also splits at characters that may occur in a file name.
    return re.split(r"\r\n|\n|\r", text)


def _listed_twice(lines: Iterable[_Line]) -> Iterator[str]:
    first: dict[str, _Line] = {}
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line:
            yield f"{line.where}: {line.name!r} is listed already, in {before.where}"


def _missing_images(lines: Sequence[_Line], images: Path, root: Path) -> list[str]:
    missing = [line for line in lines if not (images / line.name).is_file()]
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
