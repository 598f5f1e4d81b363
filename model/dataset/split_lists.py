"""Splits of class folders by lists of photos: `meta/train.txt` and `meta/test.txt`, or the numbers of CUB-200."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from model.dataset.folder_names import split_in
from model.dataset.image_index import Search
from model.dataset.listing import DATASET_FILES, IMAGES, Listing, Problems
from model.dataset.tables.finding import DatasetFiles
from model.dataset.text_files import MAX_TEXT_BYTES, read_lines
from model.files.browsing import name_some
from model.results import SPLITS, Sample, Split
from model.shown import printable

LIST_SUFFIXES = (".txt", ".lst", ".list")
# Lines that show whether a text is a list of images.
_SAMPLE_LINES = 20
_SHOWN = 3
# Lists of fewer of the images are about something else.
_MIN_FRACTION = 0.5
_NUMBERED_IMAGES, _NUMBERED_SPLITS = "images.txt", "train_test_split.txt"


def split_by_lists(files: DatasetFiles, folders: Listing) -> Listing:
    """Divide class folders as the lists of their author do.

    Lists of several divisions, as `train1.txt` and `train2.txt`, and those with problems, are left out with a warning.

    Args:
        files: the dataset.
        folders: its class folders, without splits.
    """
    names = {sample.name for sample in folders.splits["train"]}
    split_of, lists = _numbered(files, names)
    problems = Problems()
    if not lists:
        of_split = _lists(files, names)
        lists = [name for of_one in of_split.values() for name in of_one]
        if "train" not in of_split or len(of_split) < 2:
            return folders
        several = [of_one for of_one in of_split.values() if len(of_one) > 1]
        if several:
            return _unread(
                folders,
                lists,
                f"there are several for one split, such as {name_some(several[0], 2)}. "
                "Leave one for each split to use them",
            )
        split_of = _read(files, {split: of_one[0] for split, of_one in of_split.items()}, names, problems)
    if problems:
        return _unread(folders, lists, f"problems in them, {len(problems):,}, such as {problems.first[0]}")
    if len(split_of) < _MIN_FRACTION * len(names):
        return _unread(folders, lists, f"they name {len(split_of):,} of {len(names):,} images")
    return _divided(folders, lists, split_of)


def _lists(files: DatasetFiles, names: set[str]) -> dict[Split, list[str]]:
    """Lists of images of each split, by the word in their names."""
    found: dict[Split, list[str]] = {}
    for name in files.others:
        path = PurePosixPath(name)
        split = split_in(path.stem)
        if split and path.suffix.lower() in LIST_SUFFIXES and DATASET_FILES not in path.parts[:-1]:
            lines = list(itertools.islice(_lines(files.root / name), _SAMPLE_LINES))
            known = sum(len(_find(files, line, path)) == 1 and _find(files, line, path)[0] in names for line in lines)
            if lines and known > len(lines) / 2:
                found.setdefault(split, []).append(name)
    return found


def _read(files: DatasetFiles, lists: Mapping[Split, str], names: set[str], problems: Problems) -> dict[str, Split]:
    """Image -> split of its list; what names no image of a class, or an image of another split, is a problem."""
    split_of: dict[str, Split] = {}
    for split, name in lists.items():
        for number, line in enumerate(_lines(files.root / name), start=1):
            found = _find(files, line, PurePosixPath(name))
            where = f"{files.root / name}:{number}"
            if len(found) != 1 or found[0] not in names:
                problems.add(f"{where}: expected an image of a class folder, received {printable(line[:200])!r}")
            elif split_of.setdefault(found[0], split) != split:
                problems.add(f"{where}: {found[0]} is in the list of {split_of[found[0]]} too")
    return split_of


def _find(files: DatasetFiles, line: str, path: PurePosixPath) -> tuple[str, ...]:
    return files.index.find(line, Search(tuple(dict.fromkeys(("", IMAGES, "Images", str(path.parent))))))


def _numbered(files: DatasetFiles, names: set[str]) -> tuple[dict[str, Split], list[str]]:
    """Splits in the form of CUB-200: the images with their numbers, and for each number 1 for train and 0 for test."""
    for name in files.others:
        path = PurePosixPath(name)
        images = path.with_name(_NUMBERED_IMAGES).as_posix()
        if path.name != _NUMBERED_SPLITS or images not in files.others:
            continue
        image_of = dict(_pairs(files.root / images))
        flag_of = dict(_pairs(files.root / name))
        found = {number: _find(files, image, path) for number, image in image_of.items()}
        if image_of and flag_of.keys() == image_of.keys() and set(flag_of.values()) == {"0", "1"}:
            split_of: dict[str, Split] = {
                images[0]: "train" if flag_of[number] == "1" else "test"
                for number, images in found.items()
                if len(images) == 1 and images[0] in names
            }
            return split_of, [name]
    return {}, []


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        first, _, second = line.partition(" ")
        yield first, second.strip()


def _lines(path: Path) -> Iterator[str]:
    """Lines of a text file that are not blank; none if it is no text."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_TEXT_BYTES:
            return
    except OSError:
        return
    problems = Problems()
    for line in read_lines(path, problems, lambda _: None):
        if line.strip():
            yield line.strip()


def _unread(folders: Listing, lists: Sequence[str], reason: str) -> Listing:
    sentence = f"the lists {name_some(lists, _SHOWN)} were not used to divide the images: {reason}"
    return dataclasses.replace(folders, warnings=(*folders.warnings, sentence))


def _divided(folders: Listing, lists: Sequence[str], split_of: Mapping[str, Split]) -> Listing:
    samples: dict[Split, list[Sample]] = {split: [] for split in SPLITS}
    unlisted = []
    for sample in folders.splits["train"]:
        if sample.name in split_of:
            samples[split_of[sample.name]].append(sample)
        else:
            unlisted.append(sample.name)
    warning = f"images in none of the lists were not used, {len(unlisted):,} of them: {name_some(unlisted, _SHOWN)}"
    return dataclasses.replace(
        folders,
        layout=f"{folders.layout}, divided by {name_some(lists, _SHOWN)}",
        splits={split: tuple(of_split) for split, of_split in samples.items()},
        has_splits=True,
        ignored=tuple(name for name in folders.ignored if name not in lists),
        warnings=(*folders.warnings, *([warning] if unlisted else [])),
    )
