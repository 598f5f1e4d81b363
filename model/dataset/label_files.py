"""Files of labels in forms that are not read as tables, named with what to do: JSON of annotation tools, MATLAB ..."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from model.dataset.tables.files import TEXT_TABLES

# Long enough for the keys of an annotation file, and far shorter than the file.
_HEAD_BYTES = 1 << 16

_TABLE = "a table with a column of file names and one of labels, as .csv, .tsv or .xlsx"
_WRITE_TABLE = f"Write the labels to {_TABLE}"
_SAVE_TABLE = f"expected {_TABLE}. Save it as CSV"
# Kinds that `model.labels` reads.
_COCO, _LABEL_STUDIO = "annotations in the form of COCO", "an export of Label Studio"

# Suffix -> kind, for files that are known by it.
_KINDS = {
    ".mat": "labels of MATLAB",
    **dict.fromkeys((".npy", ".npz", ".pkl", ".pickle"), "arrays or objects of Python"),
    **dict.fromkeys((".tfrecord", ".tfrecords"), "TFRecords"),
}
_PACKED = tuple(f"{suffix}{packing}" for suffix in TEXT_TABLES for packing in (".gz", ".bz2", ".xz", ".zst"))
_OTHER_TABLES = (*_PACKED, ".ods", ".xls", ".parquet", ".feather", ".arrow", ".sqlite", ".db")
_TEXTS = (".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml")

# Suffix, kind, and texts that the beginning of the file has, all of them.
_MARKS: Sequence[tuple[str, str, tuple[str, ...]]] = (
    (".json", _COCO, ('"images"', '"file_name"')),
    (".json", _COCO, ('"annotations"', '"image_id"')),
    (".json", "annotations of VGG Image Annotator", ('"region_attributes"',)),
    (".json", "annotations of VGG Image Annotator", ('"file_attributes"',)),
    (".json", _LABEL_STUDIO, ('"annotations"', '"result"')),
    (".json", "annotations of LabelMe", ('"shapes"', '"imagePath"')),
    (".json", "annotations of CreateML", ('"image"', '"annotations"')),
    (".xml", "annotations of Pascal VOC", ("<annotation", "<object>")),
    (".xml", "annotations of CVAT", ("<annotations", "<image ")),
    (".yaml", "settings of a YOLO dataset", ("names:",)),
)


def describe_unread(path: Path) -> str:
    """Sentence about a file in which labels are also kept but not read; empty for other files."""
    suffix = path.suffix.lower()
    if path.name.lower().endswith(_OTHER_TABLES):
        return f"{path}: not read: {_SAVE_TABLE}"
    if suffix in _KINDS:
        return f"{path}: not read: {_KINDS[suffix]}. {_WRITE_TABLE}"
    if suffix not in _TEXTS:
        return ""
    kind = _kind_of_text(path, suffix.replace(".yml", ".yaml"))
    if not kind and suffix in (".xml", ".yaml", ".yml"):
        return ""
    if kind in (_COCO, _LABEL_STUDIO):
        return f"{path}: not read: {kind}. Make a dataset of it: topgraft import-labels {shlex.quote(str(path))} DIR"
    return f"{path}: not read: {kind}. {_WRITE_TABLE}" if kind else f"{path}: not read: {_SAVE_TABLE}"


def is_json(cell: str) -> bool:
    """Whether a cell of a table has an object or a list of JSON, as tables of VGG Image Annotator do."""
    return bool(re.fullmatch(r'\{\s*(".*)?\}|\[\s*[\[{"].*\]', cell, re.DOTALL))


def _kind_of_text(path: Path, suffix: str) -> str:
    try:
        # Opening a named pipe would wait for its writer.
        if not path.is_file():
            return ""
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return next(
        (kind for ending, kind, marks in _MARKS if ending == suffix and all(mark in head for mark in marks)), ""
    )
