"""What was sent to be classified: a file or a URL, a picture or a zip; its content decides, not its name."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from api import settings
from api.errors import BadRequest, TooLarge
from api.fetch import FetchLimits, fetch
from model.dataset.archives import ArchiveLimits, iter_zip_images
from model.errors import ArchiveError
from model.results import Prediction

# Bounds on a zip of pictures; one at a time is in memory.
ZIP_LIMITS = ArchiveLimits(entries=10_000, total_bytes=4 * 1024**3, entry_bytes=128 * 1024**2)

_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclasses.dataclass(frozen=True)
class Photos:
    """The images of one request.

    Attributes:
        images: name and content of each, read as it is asked for; can be walked once.
        single: the content of the only picture; None for a zip.
        unreadable: files of the zip that could not be taken out of it; complete after the walk.
    """

    images: Iterable[tuple[str, bytes]]
    single: bytes | None = None
    unreadable: list[Prediction] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def open_photos(image: Any, url: str | None) -> Iterator[Photos]:
    """Open the images of a request; temporary files, DEEPaaS's among them, are gone afterwards.

    Args:
        image: DEEPaaS's `UploadedFile`, or whatever else came in the file field.
        url: an http, https or data URI.

    Raises:
        BadRequest: not exactly one of the two, or it is empty.
        TooLarge: it is larger than allowed.
        FetchError, ArchiveError: see `api.fetch.fetch` and `iter_zip_images`.
    """
    with contextlib.ExitStack() as leftovers:
        if isinstance(getattr(image, "filename", None), str):
            # DEEPaaS leaves it to us to delete its temporary file.
            leftovers.callback(Path(image.filename).unlink, missing_ok=True)
        elif image:
            raise BadRequest("image: expected an uploaded file, received a text. Send a multipart form.")
        if bool(image) == bool(url):
            received = "both" if image else "neither"
            raise BadRequest(f"expected exactly one of image (a file) and url, received {received}.")
        if url:
            fetched = leftovers.enter_context(tempfile.NamedTemporaryFile(prefix="topgraft-"))
            name = _fetch(url, fetched)
            yield _photos(Path(fetched.name), name)
        else:
            yield _photos(Path(image.filename), Path(image.original_filename or "image").name)


def _fetch(url: str, stream: Any) -> str:
    name = fetch(url, stream, FetchLimits(settings.max_upload_bytes(), private=settings.private_urls_allowed()))
    stream.flush()
    return name


def _photos(path: Path, name: str) -> Photos:
    size = path.stat().st_size
    if size == 0:
        raise BadRequest(f"expected a picture or a zip of pictures, received an empty file ({name}).")
    if size > settings.max_upload_bytes():
        raise TooLarge(
            f"expected at most {settings.max_upload_bytes()} bytes, received {size} ({name}). Send less at a time; "
            "the operator of this service can change the limit with TOPGRAFT_MAX_UPLOAD_MB."
        )
    with open(path, "rb") as stream:
        is_zip = stream.read(4) in _ZIP_MAGICS
    if not is_zip and size > ZIP_LIMITS.entry_bytes:
        raise TooLarge(f"expected a picture of at most {ZIP_LIMITS.entry_bytes} bytes, received {size} ({name}).")
    if is_zip:
        unreadable: list[Prediction] = []
        return Photos(_unzipped(path, name, unreadable), unreadable=unreadable)
    content = path.read_bytes()
    return Photos([(name, content)], single=content)


def _unzipped(path: Path, name: str, unreadable: list[Prediction]) -> Iterator[tuple[str, bytes]]:
    """The files of the zip; messages name it as the client does, not our temporary file."""

    def named(message: str) -> str:
        return message.replace(str(path), name)

    try:
        yield from iter_zip_images(
            path, ZIP_LIMITS, on_error=lambda entry, why: unreadable.append(Prediction(entry, error=named(why)))
        )
    except ArchiveError as error:
        raise type(error)(named(error.message)) from error
