"""The temporary folder, where what is sent lies until a worker takes it: it may be full, or not be there."""

import contextlib
import errno
import functools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from api.errors import TryAgain

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a system that has no room for a file."""

Function = Callable[..., Any]


@contextlib.contextmanager
def temporary_folder_explained() -> Iterator[None]:
    """Raise TryAgain for an OSError inside, which must be one of the temporary folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise TryAgain(f"{error.strerror}: the server has no room for another file now. Try again.") from error
        log.error("what was sent cannot be kept in the temporary folder: %s", error)
        folder = tempfile.tempdir or "the temporary folder of the server"
        raise TryAgain(
            f"what was sent cannot be kept in {folder}: {error.strerror or error}. Send less, or try again later; the "
            "operator of this service can make room there, or name another folder by TMPDIR."
        ) from error


def handing_on(predict: Function, uploaded_file: Function) -> Function:
    """`predict` of DEEPaaS, given files in place of the fields of a form.

    It would make them itself: with the whole content in memory, and what is written of one stays when the disk is full.

    Args:
        uploaded_file: DEEPaaS's `UploadedFile`.
    """

    @functools.wraps(predict)
    def predict_with_files(**options: Any) -> Any:
        with contextlib.ExitStack() as on_error:
            for name, value in options.items():
                if isinstance(value, web.FileField):
                    path = _file_of(value)
                    on_error.callback(path.unlink, missing_ok=True)
                    options[name] = uploaded_file(value.name, str(path), value.content_type, value.filename)
            answer = predict(**options)
            on_error.pop_all()
        return answer

    return predict_with_files


def _file_of(field: web.FileField) -> Path:
    """A new file with the content of a field, whose own file is closed: each takes its room."""
    with temporary_folder_explained():
        descriptor, name = tempfile.mkstemp()
        try:
            with open(descriptor, "wb") as copy:
                shutil.copyfileobj(field.file, copy)
            field.file.close()
        except BaseException:
            Path(name).unlink()
            raise
    return Path(name)
