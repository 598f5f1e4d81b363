"""Chunks that end their process: they are divided down to the photo, which becomes a row with an error."""

import logging
import pickle  # nosec B403: to the child process
from collections.abc import Iterator
from pathlib import Path

from model import durable
from model.scale.chunks import Photo, read_chunk
from model.scale.parts import Done, Row, read_rows
from model.scale.work import Job, write_rows
from model.scale.worker import Worker, WorkerEndedError
from model.scratch import scratch_folder

MAX_ENDS = 3
"""Number of times that a chunk, or a photo, may end its process."""

log = logging.getLogger(__name__)


def write_divided(job: Job, number: int) -> Done:
    """Write the part of a chunk that has ended its process; its photos are decoded in child processes.

    A photo that ends its process `MAX_ENDS` times has a row with an error.

    Raises:
        StorageError: as `write_chunk`.
    """
    with scratch_folder("divided") as folder:
        job_file = folder / "job"
        durable.write_bytes(job_file, pickle.dumps(job))
        division = _Division(job, number, job_file)
        try:
            rows = list(division.rows(0, len(division.photos)))
        finally:
            division.close()
    return write_rows(job, number, rows)


class _Division:
    """The photos of a chunk, and the child process that extracts the rows of some of them."""

    def __init__(self, job: Job, number: int, job_file: Path) -> None:
        self.photos: list[Photo] = read_chunk(job.folder, number)
        self._number, self._job_file = number, job_file
        self._worker: Worker | None = None

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Rows of the photos from `start` to `stop`."""
        tries = MAX_ENDS if stop - start == 1 else 1
        for _ in range(tries):
            try:
                yield from self._extract(start, stop)
                return
            except WorkerEndedError as error:
                reason = str(error)
                self.close()
        if stop - start == 1:
            name = self.photos[start].name
            log.warning("%s: the process that decodes it %s, %d times", name, reason, MAX_ENDS)
            message = f"expected an image that can be decoded, the process that decodes it {reason}"
            yield Row(self.photos[start], error=message)
            return
        middle = (start + stop) // 2
        yield from self.rows(start, middle)
        yield from self.rows(middle, stop)

    def _extract(self, start: int, stop: int) -> list[Row]:
        self._worker = self._worker or Worker(self._job_file)
        file = self._job_file.with_name("rows")
        self._worker.send(number=self._number, start=start, stop=stop, rows=str(file))
        self._worker.receive()
        return read_rows(file, self.photos[start:stop])

    def close(self) -> None:
        """End the child process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
