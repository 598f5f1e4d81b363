"""The images of a request: an uploaded file or a URL, a single image or a zip archive, as its content shows."""

import contextlib
import dataclasses
import io
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from api.errors import BadRequest, TooLarge, TryAgain
from api.fetch import FetchLimits, fetch
from api.temporary import SentFile, explain_temporary_errors
from model import environment
from model.files.archive_limits import ArchiveLimits
from model.files.archives import count_zip_files, iter_zip_images
from model.results import Prediction
from model.shown import printable

# Limits of a zip archive; one image at a time is in memory.
ZIP_LIMITS = ArchiveLimits(entries=10_000, total_bytes=4 * 1024**3, entry_bytes=128 * 1024**2)

MAX_FETCHES = 4
"""Downloads at the same time in a worker, which executes other requests meanwhile."""

_FETCHES = threading.BoundedSemaphore(MAX_FETCHES)
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclasses.dataclass(frozen=True)
class Photos:
    """The images of one request.

    Attributes:
        images: name and content of each image, read lazily; can be iterated once.
        single: the content of the only image; None for a zip archive.
        unreadable: files that could not be extracted from the archive; complete after the iteration.
        name: the name of the image or archive given by the client, printable.
        total: the number of images, for a zip archive as its central directory states it.
    """

    images: Iterable[tuple[str, bytes]]
    single: bytes | None = None
    unreadable: list[Prediction] = dataclasses.field(default_factory=list)
    name: str = ""
    total: int = 1


@contextlib.contextmanager
def open_photos(image: Any, url: str | None) -> Iterator[Photos]:
    """Open the images of a request; the temporary file of a large upload is unlinked at once.

    Args:
        image: a `SentFile`, an `UploadedFile`, also of DEEPaaS, or any other value of the file field.
        url: an http, https or data URI.

    Raises:
        BadRequest: not exactly one of the two was given, or it is empty.
        TooLarge: it is larger than allowed.
        Unavailable: there is no space for the content of the URL, or too many others are being fetched.
        FetchError, ArchiveError: see `api.fetch.fetch` and `iter_zip_images`.
    """
    with contextlib.ExitStack() as streams:
        upload: IO[bytes] | None = None
        if isinstance(image, SentFile):
            upload = io.BytesIO(image.content)
        elif isinstance(getattr(image, "filename", None), str):
            upload = streams.enter_context(_open_and_unlink(Path(image.filename)))
        elif image:
            raise BadRequest("image: expected an uploaded file, received text. Send a multipart form.")
        if (upload is None) == (not url):
            received = "neither" if upload is None else "both"
            raise BadRequest(f"expected exactly one of image (a file) and url, received {received}.")
        if upload is not None:
            yield _photos(upload, _plain_name(image.original_filename))
        else:
            fetched, name = _fetched(str(url))
            yield _photos(streams.enter_context(fetched), name)


def _fetched(url: str) -> tuple[IO[bytes], str]:
    """Fetch a URL into an unnamed temporary file; return the file and a printable name."""
    # Closing an incompletely written file raises again: that must be inside as well.
    with explain_temporary_errors(), contextlib.ExitStack() as on_error:
        stream = on_error.enter_context(tempfile.TemporaryFile(prefix="topgraft-"))
        with _place_for_fetch(url):
            name = fetch(url, stream, _fetch_limits())
        stream.flush()
        on_error.pop_all()
    return stream, name


@contextlib.contextmanager
def _place_for_fetch(url: str) -> Iterator[None]:
    """Refuse a URL while this worker waits for too many others: it must have room for photos that are sent."""
    if url[:5].lower() == "data:":
        yield
        return
    if not _FETCHES.acquire(blocking=False):
        raise TryAgain(
            f"expected at most {MAX_FETCHES} downloads at the same time, more were requested. Retry, or send the photo "
            "itself as a file."
        )
    try:
        yield
    finally:
        _FETCHES.release()


def _fetch_limits() -> FetchLimits:
    return FetchLimits(
        environment.MAX_UPLOAD.read(),
        private=environment.ALLOW_PRIVATE_URLS.read(),
        ports=environment.URL_PORTS.read(),
    )


def _open_and_unlink(path: Path) -> IO[bytes]:
    """Open a file and delete its name: nothing is left even if this process is killed."""
    try:
        return open(path, "rb")
    finally:
        path.unlink(missing_ok=True)  # DEEPaaS does not delete it


def _plain_name(sent: str | None) -> str:
    """The file name without folders, printable: a header may contain bytes that are not UTF-8."""
    return printable(Path(sent or "").name) or "image"


def _photos(stream: IO[bytes], name: str) -> Photos:
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        raise BadRequest(f"expected an image or a zip of images, received an empty file ({name}).")
    largest = environment.MAX_UPLOAD.read()
    if size > largest:
        raise TooLarge(
            f"expected at most {largest} bytes, received {size} ({name}). Send less at a time; "
            "the operator of this service can change the limit with TOPGRAFT_MAX_UPLOAD_MB."
        )
    stream.seek(0)
    if stream.read(4) in _ZIP_MAGICS:
        unreadable: list[Prediction] = []

        def add_unreadable(entry: str, reason: str) -> None:
            unreadable.append(Prediction(entry, error=reason))

        total = count_zip_files(stream, ZIP_LIMITS)
        images = iter_zip_images(stream, ZIP_LIMITS, add_unreadable, label=name)
        return Photos(images, unreadable=unreadable, name=name, total=total)
    if size > ZIP_LIMITS.entry_bytes:
        raise TooLarge(f"expected an image of at most {ZIP_LIMITS.entry_bytes} bytes, received {size} ({name}).")
    stream.seek(0)
    content = stream.read()
    return Photos([(name, content)], single=content, name=name)
