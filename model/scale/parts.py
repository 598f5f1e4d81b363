"""Parts: the Parquet files of a folder of features, one for each chunk of photos.

Columns: path, label, split, features (list of float32), width, height (pixels, upright), sha256 of the content, and
error. A photo that cannot be read has an error, and no features. The metadata of the schema holds the checksum of the
plan.
"""

import dataclasses
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.errors import ConfigError, DatasetError
from model.reading import without_number
from model.received import quoted
from model.scale.chunks import PLAN, Photo, Plan, read_plan
from model.scale.files import Folder
from model.scale.folders import open_folder

SUCCESS = "_SUCCESS"
_PLAN_KEY, _CHUNK_KEY = b"topgraft.plan", b"topgraft.chunk"
# Columns with few values; others would be written twice, as a dictionary and its indices.
_REPEATED = ["label", "split", "error"]
_NAME = re.compile(r"part-(\d{5,})\.parquet")
# Requests at the same time to an object store.
_THREADS = 16

log = logging.getLogger(__name__)


class Done(NamedTuple):
    """A complete part: its number, and its photos, in total and with an error."""

    number: int
    photos: int
    errors: int


class Row(NamedTuple):
    """Result of a photo: features float32 (features,), size in pixels and checksum; or an error."""

    photo: Photo
    features: np.ndarray | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of a complete run.

    Attributes:
        folder: the folder of features.
        plan: what the parts were made of.
    """

    folder: Folder
    plan: Plan

    def __len__(self) -> int:
        return self.plan.chunks

    def read(self, number: int, columns: Sequence[str] | None = None) -> Any:
        """A part as a `pyarrow.Table`, checked by the checksums of its pages.

        Args:
            columns: names of the columns to read; None for all.

        Raises:
            DatasetError: the part is missing, damaged or of another plan.
        """
        return read_part(self.folder, number, self.plan.sha256, columns)


def open_parts(address: str) -> Parts:
    """The parts in a folder of features.

    Raises:
        DatasetError: the folder holds no features, or predictions, or its run is not complete.
    """
    folder = open_folder(address)
    names = folder.names()
    if PLAN not in names:
        raise DatasetError(f"{quoted(address)}: expected a folder written by topgraft featurize, found no plan.json.")
    plan = read_plan(folder)
    if plan.prediction:
        raise DatasetError(
            f"{quoted(address)}: expected features, found predictions of {plan.network}. Choose a folder written by "
            "topgraft featurize."
        )
    if SUCCESS not in names:
        raise DatasetError(
            f"{quoted(address)}: expected all parts, found an interrupted run. Run the same topgraft featurize again "
            "to resume it."
        )
    return Parts(folder, plan)


def features_matrix(table: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (n, features) of the photos of a part that could be read, and their rows in the table."""
    column = table.column("features").combine_chunks()
    rows = np.flatnonzero(np.asarray(column.is_valid()))
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(rows), -1) if len(rows) else np.empty((0, 0), np.float32), rows


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:05d}.parquet"


def part_content(rows: Sequence[Row], number: int, plan_sha256: str) -> bytes:
    """Content of a part; the same rows give the same bytes."""
    return table_content(rows_table(rows), number, plan_sha256)


def table_content(table: Any, number: int, plan_sha256: str) -> bytes:
    """Content of a part with any columns: a `pyarrow.Table` as Parquet."""
    import pyarrow
    import pyarrow.parquet

    table = table.replace_schema_metadata({_PLAN_KEY: plan_sha256.encode(), _CHUNK_KEY: str(number).encode()})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd", use_dictionary=_REPEATED, write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def rows_table(rows: Sequence[Row]) -> Any:
    """Rows as a `pyarrow.Table` with the columns of a part."""
    import pyarrow

    values: dict[str, Any] = {
        "path": [row.photo.name for row in rows],
        "label": [row.photo.label for row in rows],
        "split": [row.photo.split for row in rows],
        "features": vectors_column([row.features for row in rows]),
        "width": [row.width for row in rows],
        "height": [row.height for row in rows],
        "sha256": [row.sha256 for row in rows],
        "error": [row.error for row in rows],
    }
    schema = part_schema()
    return pyarrow.Table.from_arrays(
        [
            column if name == "features" else pyarrow.array(column, schema.field(name).type)
            for name, column in values.items()
        ],
        schema=schema,
    )


def vectors_column(vectors: Sequence[np.ndarray | None]) -> Any:
    """A column of lists of float32, as a `pyarrow.ListArray`; None is null."""
    import pyarrow

    whole = [vector for vector in vectors if vector is not None]
    lengths = [0 if vector is None else len(vector) for vector in vectors]
    return pyarrow.ListArray.from_arrays(
        pyarrow.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)),
        pyarrow.array(np.concatenate(whole) if whole else np.empty(0, np.float32), pyarrow.float32()),
        mask=pyarrow.array([vector is None for vector in vectors], pyarrow.bool_()),
    )


def part_schema() -> Any:
    """Schema of a part, without its metadata."""
    import pyarrow

    text, number = pyarrow.string(), pyarrow.int32()
    columns = {"path": text, "label": text, "split": text, "features": pyarrow.list_(pyarrow.float32())}
    columns |= {"width": number, "height": number, "sha256": text, "error": text}
    return pyarrow.schema(columns.items())


def read_part(folder: Folder, number: int, plan_sha256: str, columns: Sequence[str] | None = None) -> Any:
    """A part as a `pyarrow.Table`; see `Parts.read`."""
    import pyarrow
    import pyarrow.parquet

    name = part_name(number)
    try:
        with folder.open(name) as stream, pyarrow.parquet.ParquetFile(stream, page_checksum_verification=True) as part:
            _check_plan(folder, name, part, plan_sha256)
            return part.read(columns=columns)
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(
            f"{folder.address}/{name}: expected a part of topgraft featurize, received: {without_number(error)}. "
            "Remove it, and run topgraft featurize again."
        ) from error


def read_rows(path: Path, photos: Sequence[Photo]) -> list[Row]:
    """Rows of photos, from a file with the content of a part."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    columns = [table.column(name).to_pylist() for name in ("width", "height", "sha256", "error")]
    matrix, whole = features_matrix(table)
    features = dict(zip(whole.tolist(), matrix, strict=True))
    values = zip(photos, *columns, strict=True)
    return [Row(photo, features.get(number), *row) for number, (photo, *row) in enumerate(values)]


def _check_plan(folder: Folder, name: str, part: Any, plan_sha256: str) -> None:
    found = (part.schema_arrow.metadata or {}).get(_PLAN_KEY, b"").decode()
    if found != plan_sha256:
        raise ConfigError(
            f"{folder.address}/{name}: expected a part of this run, found one of another plan: of other photos, "
            "another network or other options. Remove it, or begin again with --overwrite."
        )


def is_part(name: str) -> bool:
    """Whether a file name is that of a part."""
    return _NAME.fullmatch(name) is not None


def present_parts(folder: Folder, chunks: int, plan_sha256: str) -> dict[int, Done]:
    """The parts that are complete, by their numbers; others are missing or damaged.

    Raises:
        ConfigError: a part is of another plan.
    """
    present = sorted(int(found[1]) for name in folder.names() if (found := _NAME.fullmatch(name)))
    for number in present:
        if number >= chunks:
            raise ConfigError(
                f"{folder.address}/{part_name(number)}: expected {chunks:,} parts. It is of another plan: "
                "remove it, or begin again with --overwrite."
            )
    with ThreadPoolExecutor(_THREADS) as pool:
        described = pool.map(lambda number: _described(folder, number, plan_sha256), present)
        return {done.number: done for done in described if done is not None}


def _described(folder: Folder, number: int, plan_sha256: str) -> Done | None:
    """The photos of a part, and their errors; None for a damaged part."""
    import pyarrow
    import pyarrow.parquet

    name = part_name(number)
    try:
        with folder.open(name) as stream, pyarrow.parquet.ParquetFile(stream) as part:
            _check_plan(folder, name, part, plan_sha256)
            groups = [part.metadata.row_group(group) for group in range(part.num_row_groups)]
            rows, column = part.metadata.num_rows, part.schema_arrow.get_field_index("error")
            # The columns before it are of one leaf each, also the list of features.
            without = sum(group.column(column).statistics.null_count for group in groups) if column >= 0 else rows
            return Done(number, rows, rows - without)
    except (OSError, pyarrow.ArrowException) as error:
        log.warning("%s/%s is damaged, and is written again: %s", folder.address, name, without_number(error))
        return None
