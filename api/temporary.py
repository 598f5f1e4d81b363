"""Uploads on their way to a worker: in memory or in the temporary folder, and the errors if that is full or missing."""

import contextlib
import dataclasses
import errno
import functools
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from api.errors import TryAgain
from model.reading import with_path
from model.scratch import ProcessFolder

log = logging.getLogger(__name__)

# Larger uploads are files: copying them through the pipe of a worker takes longer than opening a file.
_MAX_IN_MEMORY = 1 << 18
# Of all uploads in memory that wait for a worker or its answer; further ones are files.
_MAX_ALL_IN_MEMORY = 32 << 20

# A kill leaves its files, which the next start of a service removes.
_UPLOADS = ProcessFolder("uploads")

Function = Callable[..., Any]


@dataclasses.dataclass(frozen=True, eq=False)
class SentFile:
    """A small upload, which travels to the worker with the call.

    Attributes:
        original_filename: the name given by the client.
    """

    content: bytes
    original_filename: str


class UploadedFile(NamedTuple):
    """An upload in a temporary file: the fields of DEEPaaS's class of this name, which workers need not import."""

    name: str
    filename: str
    content_type: str
    original_filename: str


class _UploadMemory:
    """Bytes of the uploads in memory; they are free again when nothing refers to an upload any more."""

    def __init__(self) -> None:
        self._taken = 0

    def read(self, field: web.FileField) -> SentFile | None:
        """Read an upload into memory and close the field's own file; None if it is large, or memory is taken."""
        field.file.seek(0, os.SEEK_END)
        size = field.file.tell()
        field.file.seek(0)
        if size > _MAX_IN_MEMORY or self._taken + size > _MAX_ALL_IN_MEMORY:
            return None
        sent = SentFile(field.file.read(), field.filename)
        field.file.close()
        self._taken += size
        weakref.finalize(sent, self._free, size)
        return sent

    def _free(self, size: int) -> None:
        self._taken -= size


@contextlib.contextmanager
def explain_temporary_errors() -> Iterator[None]:
    """Raise TryAgain for an OSError inside, which must come from writing to the temporary folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise TryAgain(
                f"{error.strerror}: the server cannot open another file at the moment. Try again."
            ) from error
        log.error("the content of a request cannot be stored in the temporary folder: %s", with_path(error))
        folder = tempfile.tempdir or "the temporary folder of the server"
        raise TryAgain(
            f"the content of the request cannot be stored in {folder}: {error.strerror or error}. Send less, or try "
            "again later; the operator of this service can free some space there, or set TMPDIR to another folder."
        ) from error


def passing_files(predict: Function) -> Function:
    """Wrap DEEPaaS's `predict` so that it receives a `SentFile` for a small upload, an `UploadedFile` for a large one.

    DEEPaaS would write all to files itself: with the whole content in memory, and without deleting an incomplete file
    when the disk is full.
    """
    memory = _UploadMemory()

    @functools.wraps(predict)
    def predict_with_files(**options: Any) -> Any:
        with contextlib.ExitStack() as on_error:
            for name, value in options.items():
                if not isinstance(value, web.FileField):
                    continue
                if (sent := memory.read(value)) is not None:
                    options[name] = sent
                else:
                    path = _write_file(value)
                    on_error.callback(path.unlink, missing_ok=True)
                    options[name] = UploadedFile(value.name, str(path), value.content_type, value.filename)
            result = predict(**options)
            on_error.pop_all()
        return result

    return predict_with_files


def _write_file(field: web.FileField) -> Path:
    """Write the content of a form field to a new file; close the field's own file, which takes as much space."""
    with explain_temporary_errors():
        descriptor, name = tempfile.mkstemp(dir=_UPLOADS.path())
        try:
            with open(descriptor, "wb") as copy:
                shutil.copyfileobj(field.file, copy)
            field.file.close()
        except BaseException:
            Path(name).unlink()
            raise
    return Path(name)
