"""Atomic writing of files: a reader sees the old content or the new one, never a part."""

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from model.locks import is_unused, mark_used
from model.shown import escape, printable_json
from model.tables import csv_text

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")
_BYTES = re.compile("[\ud800-\udfff]")


def replace_file(
    path: Path, write: Callable[[IO[bytes]], object], before_rename: Callable[[Path], object] | None = None
) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`.

    The content is on disk (fsync) before the rename. If `write` raises, or the disk is full,
    `path` keeps its content and the temporary file is removed.

    Args:
        before_rename: called with the complete temporary file.
    """
    temporary, stream = _create_temporary(path)
    try:
        with stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
            if before_rename is not None:
                before_rename(temporary)
            # While the file is open it is locked: no other process takes it for a leftover.
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def replace_files(paths: Sequence[Path], write: Callable[[Sequence[IO[bytes]]], object]) -> None:
    """`replace_file` for several files that are written at the same time, as streams in the order of `paths`.

    If `write` raises, all files keep their content.
    """
    if not paths:
        write(())
        return
    replace_file(paths[0], lambda stream: replace_files(paths[1:], lambda others: write((stream, *others))))


def _create_temporary(path: Path) -> tuple[Path, IO[bytes]]:
    """A new temporary file in the folder of `path`, locked as long as it is open."""
    while True:
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        stream = open(temporary, "xb")  # noqa: SIM115
        mark_used(stream)
        # Another process may have found it unlocked, and removed it.
        if os.fstat(stream.fileno()).st_nlink:
            return temporary, stream
        stream.close()


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that killed processes left."""
    for other in leftovers(path):
        remove_unused(other)


def leftovers(path: Path) -> list[Path]:
    """Temporary files of `path`: of killed processes, or of one that is writing it."""
    left = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{32}")
    return [other for other in path.parent.glob(".*") if left.fullmatch(other.name)]


def remove_all_leftovers(folder: Path) -> None:
    """Remove the temporary files of all files in a folder that killed processes left."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".*"):
            if _TEMPORARY.fullmatch(path.name):
                remove_unused(path)


def remove_unused(path: Path) -> None:
    """Remove a temporary file, unless a process is writing it."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        if is_unused(stream.fileno(), os.fstat(stream.fileno()).st_mtime):
            path.unlink()


def remove_unused_folder(
    path: Path, before_removal: Callable[[Path], object] = lambda path: None, any_owner: bool = False
) -> None:
    """Remove a temporary folder whose process has ended; a link, and a folder that is not there, are left.

    Args:
        before_removal: called with the folder while no other process can remove it.
        any_owner: remove the folder of another user, too.

    Raises:
        OSError: raised by `before_removal`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        if (any_owner or status.st_uid == os.getuid()) and is_unused(descriptor, status.st_mtime):
            before_removal(path)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`."""
    replace_file(path, lambda stream: stream.write(content))


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content`, encoded as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON; see `to_json` for the accepted values."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Text written by `write_json`: control and invisible characters are escaped, and other letters are not.

    Bytes of file names that are not UTF-8 are written as their codes, such as `\\udcff`: JSON has no such characters.
    """
    document = json.dumps(to_json(content), indent=2, ensure_ascii=False)
    return printable_json(_BYTES.sub(lambda found: f"\\{escape(found[0])}", document)) + "\n"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Replace `path` by a table with one header line; `model.tables` reads it back."""
    write_text(path, csv_text(header, rows))


def to_json(value: Any) -> Any:
    """Convert NumPy values, paths, sets, tuples and dataclasses to plain JSON types; NaN and infinities to None.

    DEEPaaS answers 500 for all trainings if one result is not JSON.
    """
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(to_json(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # `dataclasses.asdict` copies each value first, which takes half of the time for the names of a dataset.
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def sync_tree(directory: Path) -> None:
    """Flush every file and folder below `directory` to disk (fsync)."""
    for path in directory.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        else:
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Flush a folder to disk, so that a rename inside it survives a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
