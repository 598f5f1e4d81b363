"""Origin of the images of a dataset: tables `origin.csv`, which state the photo of each image, or that it is synthetic.

`topgraft import-labels` and `topgraft synthesize` write them. They are read in the folder of the dataset and in two
levels of folders below it, so that a part copied into another dataset keeps its own.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from model.dataset.listing import IMAGES, Listing, describe_problems
from model.errors import DatasetError
from model.files.browsing import folders_in, name_some
from model.reading import UnreadableError, unreadable, without_number
from model.results import Dataset, Sample, Split
from model.tables import read_csv

ORIGIN = "origin.csv"
IMAGE, SYNTHETIC, PHOTO, GROUP = "image", "synthetic", "photo", "group"
"""Columns of `origin.csv`: the path of the image, whether it is synthetic, the photo it was cut out of, its group."""

YES, NO = "true", "false"

_LEVELS = 2
_YES = frozenset({YES, "1", "yes"})

Origin = Mapping[str, str]
"""A row of `origin.csv`: column -> text."""


def read_origins(folder: Path, root: Path, names: Collection[str]) -> dict[str, Origin]:
    """Read the origin of the images of a dataset.

    Args:
        folder: folder of the dataset.
        root: folder that the names are relative to.
        names: names of the images.

    Returns:
        name of an image -> its row. Images without a row have none.

    Raises:
        DatasetError: a table is damaged.
    """
    names = frozenset(names)
    ends: dict[str, list[str]] | None = None
    found: dict[str, Origin] = {}
    for table in _tables(folder, _LEVELS):
        beginnings = _beginnings(table.parent, root)
        for row in _rows(table):
            image = row[IMAGE]
            named = [name for start in beginnings if (name := start + image) in names]
            if not named:
                ends = _by_end(names) if ends is None else ends
                named = [name for name in ends.get(_end(image), ()) if f"/{name}".endswith(f"/{image}")]
            for name in named:
                found.setdefault(name, row)
    return found


def is_synthetic(origin: Origin) -> bool:
    """Whether a row says that its image is synthetic."""
    return origin.get(SYNTHETIC, "").strip().lower() in _YES


def synthetic_images(origins: Mapping[str, Origin]) -> tuple[str, ...]:
    """Names of the synthetic images, sorted."""
    return tuple(sorted(name for name, origin in origins.items() if is_synthetic(origin)))


def groups_by_origin(origins: Mapping[str, Origin]) -> list[dict[str, str]]:
    """Groups of images that stay in one split: those of one photo, and those that a table groups itself."""
    return [{name: row[column] for name, row in origins.items() if row.get(column)} for column in (PHOTO, GROUP)]


def refuse_synthetic(listing: Listing) -> None:
    """Refuse a dataset that is measured on synthetic images: its own val or test has some.

    Raises:
        DatasetError: the message names the images.
    """
    synthetic = frozenset(synthetic_images(listing.origins))
    if not listing.has_splits or not synthetic:
        return
    measuring: tuple[Split, ...] = ("val", "test")
    problems = []
    for split in measuring:
        names = [sample.name for sample in listing.splits[split] if sample.name in synthetic]
        if names:
            problems.append(
                f"{split}: expected real photos only, found {len(names):,} that {ORIGIN} states as synthetic: "
                f"{name_some(names)}. Move them to train, or remove them"
            )
    if problems:
        raise DatasetError(f"{listing.root}: {describe_problems(problems)}")


def synthetic_warnings(samples: Iterable[Sample], dataset: Dataset, synthetic: Collection[str]) -> list[str]:
    """Warning about synthetic images that are in no split, because their real photo is not in train.

    Args:
        samples: all images.
        dataset: their splits.
        synthetic: names of synthetic images.
    """
    used = {sample.name for sample in dataset.samples}
    left_out = [sample.name for sample in samples if sample.name in synthetic and sample.name not in used]
    if not left_out:
        return []
    return [
        f"{len(left_out):,} synthetic images were left out, because their objects come from photos of val or test: "
        f"{name_some(left_out, 3)}"
    ]


def read_table(path: Path) -> list[Origin]:
    """Read a table of origins.

    Raises:
        DatasetError: it is damaged.
    """
    return list(_rows(path))


def _tables(folder: Path, levels: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        if (folder / ORIGIN).is_file():
            yield folder / ORIGIN
        for below in folders_in(folder) if levels else ():
            yield from _tables(below, levels - 1)


def _rows(path: Path) -> Iterator[Origin]:
    """Rows that name an image; tables of other programs have none."""
    try:
        with unreadable():
            yield from (row for row in read_csv(path) if row.get(IMAGE))
    except (OSError, UnreadableError) as error:
        raise DatasetError(
            f"{path}: expected a table of the origin of images, received one that cannot be read: "
            f"{without_number(error)}. Write it again, or remove it if the dataset has no synthetic photos"
        ) from error


def _beginnings(folder: Path, root: Path) -> Sequence[str]:
    """What the names of the images begin with that a table in `folder` lists."""
    found = []
    for start in (folder / IMAGES, folder):
        if start == root:
            found.append("")
        elif start.is_relative_to(root):
            found.append(f"{start.relative_to(root).as_posix()}/")
    return found


def _by_end(names: Iterable[str]) -> dict[str, list[str]]:
    ends: dict[str, list[str]] = {}
    for name in names:
        ends.setdefault(_end(name), []).append(name)
    return ends


def _end(name: str) -> str:
    return name.rpartition("/")[2]
