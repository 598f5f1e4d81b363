"""From a chunk of photos to its part: the code that every engine runs.

It needs NumPy, Pillow, ONNX Runtime and pyarrow only, and one processor.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from model.dataset.images import measure_image
from model.dataset.pipeline import BATCH_SIZE, decode_within_budget, in_threads
from model.errors import ImageError
from model.features.extractor import FeatureExtractor
from model.results import InputSpec
from model.scale.chunks import Photo, read_chunk
from model.scale.files import Folder, Photos
from model.scale.folders import LocalFolder
from model.scale.parts import Done, Row, part_content, part_name

# Photos of an object store are read ahead: most of the time of a request is waiting.
_READING_THREADS = 4
# Larger photos are read when they are decoded, so that few of them are in memory.
_MAX_BYTES_AHEAD = 8 << 20
_NOT_UTF8 = "its name is not UTF-8: rename the file"


class Task(Protocol):
    """Numbered work of a run, as it is sent to the processes that do it. It can be pickled.

    Attributes:
        folder: the folder that is written to.
    """

    @property
    def folder(self) -> Folder:
        """The folder of features."""

    def write(self, number: int, divided: bool = False) -> Done:
        """Do the work of one number.

        Args:
            divided: whether it has ended its process several times, and is to be done in child processes.

        Raises:
            StorageError: files cannot be read or written.
        """


@dataclasses.dataclass(frozen=True)
class Job:
    """The features of the photos of all chunks: a `Task`.

    Attributes:
        source: reads the photos.
        folder: the folder of features, with the listing of the chunks.
        plan_sha256: checksum of the plan.
        extractor: the network, with one thread.
    """

    source: Photos
    folder: Folder
    plan_sha256: str
    extractor: FeatureExtractor

    def content(self, rows: Sequence[Row], number: int) -> bytes:
        """Content of the part of a chunk, from the rows of its photos."""
        return part_content(rows, number, self.plan_sha256)

    def write(self, number: int, divided: bool = False) -> Done:
        """Write the part of a chunk; see `Task`."""
        if not divided:
            return write_chunk(self, number)
        # It starts child processes, which import this file.
        from model.scale.division import write_divided

        return write_divided(self, number)


def write_chunk(job: Job, number: int) -> Done:
    """Write the part of a chunk.

    Raises:
        StorageError: the listing cannot be read, or the part cannot be written.
    """
    return write_rows(job, number, list(extract_rows(job, read_chunk(job.folder, number))))


def write_rows(job: Job, number: int, rows: Sequence[Row]) -> Done:
    """Write the part of a chunk whose rows are known."""
    job.folder.write(part_name(number), job.content(rows, number))
    return Done(number, len(rows), sum(row.error is not None for row in rows))


def extract_rows(job: Job, photos: Sequence[Photo]) -> Iterator[Row]:
    """Rows of photos, in their order. A photo that cannot be read has a row with an error."""
    threads = 1 if isinstance(job.source, LocalFolder) else _READING_THREADS
    read = in_threads(lambda photo: (photo, _read_ahead(job, photo)), photos, threads)
    contents = ((photo, _read(job, photo) if content is None else content) for photo, content in read)
    yield from _rows(job.extractor, contents)


def rows_of_contents(
    extractor: FeatureExtractor, photos: Iterable[Photo], contents: Iterable[bytes | ImageError]
) -> Iterator[Row]:
    """Rows of photos whose content is in memory, or could not be read; see `extract_rows`."""
    yield from _rows(extractor, zip(photos, contents, strict=True))


def _rows(extractor: FeatureExtractor, photos: Iterable[tuple[Photo, bytes | ImageError]]) -> Iterator[Row]:
    decoded = (_decoded(photo, content, extractor.spec) for photo, content in photos)
    while batch := list(itertools.islice(decoded, BATCH_SIZE)):
        whole = [pixels for _, pixels in batch if pixels is not None]
        features = iter(extractor(np.stack(whole)) if whole else ())
        for row, pixels in batch:
            yield row if pixels is None else row._replace(features=next(features))


def _read_ahead(job: Job, photo: Photo) -> bytes | ImageError | None:
    """Content of a photo, or the error; None for a large photo, which is read later."""
    return _read(job, photo) if photo.file.size <= _MAX_BYTES_AHEAD else None


def _read(job: Job, photo: Photo) -> bytes | ImageError:
    try:
        photo.file.name.decode()
        return job.source.read_photo(photo.file)
    except UnicodeDecodeError:
        return ImageError(_NOT_UTF8)
    except ImageError as error:
        return error


def _decoded(photo: Photo, content: bytes | ImageError, spec: InputSpec) -> tuple[Row, np.ndarray | None]:
    """Row of a photo without features, and its pixels; no pixels if it has an error."""
    if isinstance(content, ImageError):
        return Row(photo, error=content.message), None
    digest = hashlib.sha256(content).hexdigest()
    try:
        pixels = decode_within_budget(content, spec).pixels
        height, width = measure_image(content)
    except ImageError as error:
        return Row(photo, sha256=digest, error=error.message), None
    return Row(photo, width=width, height=height, sha256=digest), pixels
