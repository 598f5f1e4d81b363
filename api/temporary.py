"""Uploads in the temporary folder of the server, and the errors if that is full or missing."""

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
from model.reading import with_path

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of the system if there is no space for a file."""

Function = Callable[..., Any]


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


def passing_files(predict: Function, uploaded_file: Function) -> Function:
    """Wrap DEEPaaS's `predict` so that it receives files instead of form fields.

    DEEPaaS would write the files itself: with the whole content in memory, and without deleting an incomplete file
    when the disk is full.

    Args:
        uploaded_file: the class `UploadedFile` of DEEPaaS.
    """

    @functools.wraps(predict)
    def predict_with_files(**options: Any) -> Any:
        with contextlib.ExitStack() as on_error:
            for name, value in options.items():
                if isinstance(value, web.FileField):
                    path = _write_file(value)
                    on_error.callback(path.unlink, missing_ok=True)
                    options[name] = uploaded_file(value.name, str(path), value.content_type, value.filename)
            result = predict(**options)
            on_error.pop_all()
        return result

    return predict_with_files


def _write_file(field: web.FileField) -> Path:
    """Write the content of a form field to a new file; close the field's own file, which takes as much space."""
    with explain_temporary_errors():
        descriptor, name = tempfile.mkstemp()
        try:
            with open(descriptor, "wb") as copy:
                shutil.copyfileobj(field.file, copy)
            field.file.close()
        except BaseException:
            Path(name).unlink()
            raise
    return Path(name)
