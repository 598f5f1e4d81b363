"""Finding out what a source of labels is: a JSON export, the files of a target storage, or COCO files."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.dataset.folder_names import split_names
from model.dataset.formats import IMAGE_SUFFIXES
from model.errors import DatasetError
from model.files.browsing import describe_content, files_below, files_in, has_hidden_part, name_some
from model.labels.coco import is_coco, read_coco
from model.labels.label_studio import is_stored_annotation, is_task, read_tasks, tasks_of_files
from model.labels.photos import LocalPhotos, Photos
from model.labels.regions import Labels
from model.reading import UnreadableError, read_json
from model.received import quoted
from model.results import Progress, Split, no_progress
from model.storage.copies import local_paths

_MAX_BYTES = 1 << 27
_WHAT_TO_EXPORT = "Export JSON from Label Studio, or COCO from other tools"
_EXPECTED = "expected the JSON of Label Studio, the files of its target storage, or COCO"
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".zst", ".7z", ".rar")
# What other exports are known by: the end of a file name, and the name of the format.
_OTHER_FORMATS = {
    ".csv": "a CSV table",
    ".tsv": "a table",
    ".xml": "Pascal VOC or CVAT XML",
    ".txt": "YOLO or a text",
    ".yaml": "YOLO",
    ".yml": "YOLO",
    ".html": "a web page",
}


def read_labels(path: Path, control: str = "") -> Labels:
    """Read all labels of a source.

    Args:
        path: a JSON or COCO file, or a folder: of a target storage, or with COCO files in it or in its folders.
        control: see `model.labels.label_studio.read_tasks`.

    Raises:
        DatasetError: the source is no such thing, or damaged; the message says what it is and what to export.
    """
    if path.is_dir():
        return _read_folder(path, control)
    content = _read(path)
    if not (isinstance(content, list) or is_coco(content) or is_task(content) or is_stored_annotation(content)):
        raise DatasetError(f"{path}: {_EXPECTED}, received {_describe(content)}. {_WHAT_TO_EXPORT}")
    with _naming(path):
        return _read_content(content, control)


@contextlib.contextmanager
def labels_in_files(
    source: str, images: str = "", control: str = "", progress: Progress = no_progress
) -> Iterator[tuple[Labels, Photos]]:
    """The labels of a source and its photos; of remote ones local copies, which no other command changes in the block.

    Args:
        source: as in `read_labels`; also `remote:path`.
        images: folder of the photos, also `remote:path`; empty for the folder of the source.
        control: see `read_labels`.

    Raises:
        DatasetError: as `read_labels`.
        StorageError: the source or the photos cannot be copied.
    """
    with local_paths([source, *([images] if images else [])], "topgraft import-labels", progress) as local:
        path = local.paths[0]
        folder = local.paths[1] if images else path if path.is_dir() else path.parent
        yield read_labels(path, control), LocalPhotos(folder)


def _read_content(content: Any, control: str, split: Split | None = None) -> Labels:
    if is_coco(content):
        return read_coco(content, split)
    return read_tasks(content if isinstance(content, list) else tasks_of_files([content]), control)


def _read_folder(folder: Path, control: str) -> Labels:
    files = [path for path in files_in(folder) if _may_hold_labels(path)]
    if not files:
        files = [path for path in files_below(folder) if _may_hold_labels(path) and path.suffix.lower() == ".json"]
        files = [path for path in files if not has_hidden_part(path.relative_to(folder).as_posix())]
    contents = [(path, _read(path)) for path in files]
    stored = [(path, content) for path, content in contents if is_stored_annotation(content) or is_task(content)]
    if stored:
        return _read_storage(folder, stored, contents, control)
    exports = [(path, content) for path, content in contents if isinstance(content, list) or is_coco(content)]
    if not exports:
        raise DatasetError(f"{folder}: {_EXPECTED}, found {_describe_folder(folder)}. {_WHAT_TO_EXPORT}")
    return _read_exports(folder, exports, control)


def _read_storage(
    folder: Path, stored: Sequence[tuple[Path, Any]], contents: Sequence[tuple[Path, Any]], control: str
) -> Labels:
    """Tasks of a target storage, whose files all hold an annotation."""
    read = {path for path, _ in stored}
    others = [path.name for path, _ in contents if path not in read]
    if others:
        raise DatasetError(
            f"{folder}: expected annotations with their tasks, found other files too: {name_some(others)}"
        )
    with _naming(folder):
        return read_tasks(tasks_of_files(content for _, content in stored), control)


def _read_exports(folder: Path, exports: Sequence[tuple[Path, Any]], control: str) -> Labels:
    """One export, or a COCO file for each split: in a folder of its name, as Roboflow writes them, or named by it."""
    if len(exports) == 1:
        with _naming(exports[0][0]):
            return _read_content(exports[0][1], control)
    split_of = {path: _split_of(path.relative_to(folder)) for path, _ in exports}
    names = name_some([path.relative_to(folder).as_posix() for path, _ in exports])
    if None in split_of.values() or not all(is_coco(content) for _, content in exports):
        raise DatasetError(f"{folder}: expected one file of labels, found {names}. Name one of them")
    files_in_folder = Counter(path.parent for path, _ in exports)
    parts = []
    for path, content in exports:
        # Files in one folder may number their photos alike.
        own = path.parent if files_in_folder[path.parent] == 1 else path
        with _naming(path):
            labels = read_coco(content, split_of[path])
        parts.append(_named_by_file(labels, own.relative_to(folder), path.parent.relative_to(folder)))
    return _joined(parts)


def _joined(parts: Sequence[Labels]) -> Labels:
    """The labels of several files."""
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    return Labels(
        tuple(task for part in parts for task in part.tasks),
        dict(left_out),
        tuple(entry for part in parts for entry in part.unusable),
        tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )


def _named_by_file(labels: Labels, file: Path, folder: Path) -> Labels:
    """Labels whose tasks are named with the file or folder of their own, and photos with the folder they are in."""
    name = file.as_posix()
    tasks = [
        dataclasses.replace(task, name=f"{name}/{task.name}", address=f"{folder.as_posix()}/{task.address}")
        for task in labels.tasks
    ]
    unusable = [(f"{name}/{task}", region, reason) for task, region, reason in labels.unusable]
    return dataclasses.replace(labels, tasks=tuple(tasks), unusable=tuple(unusable))


def _split_of(path: Path) -> Split | None:
    named = split_names(path.parts[:-1]) or split_names([path.stem.removeprefix("instances_")])
    return next(iter(named), None)


def _may_hold_labels(path: Path) -> bool:
    """Whether a file may hold labels; those of a target storage have no ending."""
    return path.suffix.lower() in ("", ".json") and not path.name.startswith(".") and path.is_file()


def _read(path: Path) -> Any:
    if path.suffix.lower() in _OTHER_FORMATS or path.suffix.lower() in IMAGE_SUFFIXES:
        kind = _OTHER_FORMATS.get(path.suffix.lower(), "a photo")
        raise DatasetError(f"{path}: {_EXPECTED}, received {kind}, which lacks what the crops need. {_WHAT_TO_EXPORT}")
    try:
        return read_json(path, _MAX_BYTES)
    except UnreadableError as error:
        if path.name.lower().endswith(_ARCHIVES):
            raise DatasetError(f"{path}: {_EXPECTED}, received an archive. Unpack it, and name its folder") from error
        raise DatasetError(
            f"{path}: {_EXPECTED}, received no JSON that can be read: {error}. {_WHAT_TO_EXPORT}"
        ) from error


def _describe(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object with {name_some([quoted(key) for key in content]) or 'no content'}"
    return quoted(content)


def _describe_folder(folder: Path) -> str:
    names = {path.name.lower() for path in files_in(folder)}
    folders = {path.name.lower() for path in folder.iterdir() if path.is_dir()}
    if "labels" in folders or {"classes.txt", "data.yaml"} & names:
        return f"an export for YOLO ({describe_content(folder)})"
    if "annotations" in folders and any(path.suffix == ".xml" for path in (folder / "Annotations").glob("*")):
        return f"an export for Pascal VOC ({describe_content(folder)})"
    return describe_content(folder)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors in this block begin with the path of the file."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{path}: {error.message}") from error
