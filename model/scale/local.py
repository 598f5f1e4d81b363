"""The local engine: chunks in worker processes of this machine, one for each processor."""

import collections
import contextlib
import logging
import pickle  # nosec B403: to the child processes
import selectors
from collections.abc import Iterator, Sequence

from model import durable
from model.errors import StorageError
from model.resources import available_processors, spare_memory
from model.scale.division import MAX_ENDS
from model.scale.parts import Done
from model.scale.work import Task
from model.scale.worker import Worker, WorkerEndedError
from model.scratch import scratch_folder

# A worker with a network, a photo of 24 megapixels and its copies.
_BYTES_PER_WORKER = 600 << 20

log = logging.getLogger(__name__)


def run_locally(task: Task, numbers: Sequence[int], workers: int | None = None) -> Iterator[Done]:
    """Do the work of some numbers, and yield each as it is complete, in any order.

    A worker that ends is replaced. A chunk that ends its worker `MAX_ENDS` times is divided.

    Args:
        numbers: numbers of the chunks.
        workers: number of processes; None for one per processor, fewer if memory is small.

    Raises:
        StorageError: a part cannot be written.
    """
    affordable = max(1, spare_memory() // _BYTES_PER_WORKER)
    count = min(workers or available_processors(), len(numbers), affordable)
    with scratch_folder("chunks") as folder, contextlib.closing(_Pool(numbers)) as pool:
        job_file = folder / "job"
        durable.write_bytes(job_file, pickle.dumps(task))
        for _ in range(count):
            pool.add(Worker(job_file))
        while pool.is_busy:
            for worker in pool.ready():
                try:
                    yield Done(**worker.receive())
                    pool.complete(worker)
                except WorkerEndedError as error:
                    pool.remove(worker, str(error))
                    pool.add(Worker(job_file))


class _Pool:
    """Workers, the chunk of each, and the chunks that are waiting."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._waiting = collections.deque(numbers)
        self._selector = selectors.DefaultSelector()
        self._chunk_of: dict[Worker, int] = {}
        self._ends: collections.Counter[int] = collections.Counter()
        self._ends_in_a_row = 0

    @property
    def is_busy(self) -> bool:
        """Whether a chunk is being worked on."""
        return bool(self._chunk_of)

    def add(self, worker: Worker) -> None:
        """Give a new worker its first chunk."""
        self._selector.register(worker, selectors.EVENT_READ)
        self._next(worker)

    def ready(self) -> list[Worker]:
        """Wait for workers that have answered or ended."""
        return [key.fileobj for key, _ in self._selector.select() if isinstance(key.fileobj, Worker)]

    def complete(self, worker: Worker) -> None:
        """Give a worker the next chunk."""
        self._ends_in_a_row = 0
        del self._chunk_of[worker]
        self._next(worker)

    def remove(self, worker: Worker, reason: str) -> None:
        """Remove a worker that has ended; its chunk is the next one.

        Raises:
            StorageError: worker after worker ends.
        """
        number = self._chunk_of.pop(worker)
        self._selector.unregister(worker)
        worker.close()
        self._ends[number] += 1
        self._ends_in_a_row += 1
        log.warning("chunk %d: its process %s", number, reason)
        # A divided chunk ends no worker.
        if self._ends[number] > MAX_ENDS or self._ends_in_a_row > MAX_ENDS * max(2, len(self._chunk_of) + 1):
            raise StorageError(
                f"chunk {number}: its process {reason}, again and again. Check the free memory of this machine."
            )
        self._waiting.appendleft(number)

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._selector.get_map().values()):
            if isinstance(worker.fileobj, Worker):
                worker.fileobj.close()
        self._selector.close()

    def _next(self, worker: Worker) -> None:
        if not self._waiting:
            return
        number = self._waiting.popleft()
        self._chunk_of[worker] = number
        worker.send(number=number, divided=self._ends[number] >= MAX_ENDS)
