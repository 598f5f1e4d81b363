"""A training in a child process, for the service.

The service's worker keeps no GPU memory and never loads TensorFlow; a child killed for its memory
becomes an error that says so; and the child does not outlive whom it trains for, so that deleting a
training in DEEPaaS, which kills the worker, stops it.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import subprocess  # nosec B404: starts this very module
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from model.config import TrainConfig
from model.errors import TopgraftError, TrainingError, TrainingStoppedError
from model.processes import Process, answer_parent, python_command, python_environment, read_answer
from model.resources import blas_threads
from model.results import State
from model.runs import Reservation, adopt, begin, finished
from model.runs.import_process import take_over_in_child
from model.runs.stopping import SECONDS_TO_STOP, how_to_go_on, watch
from model.training_result import TrainingResult
from model.workspace import Workspace

_NICENESS = 5
_SECONDS_TO_END = SECONDS_TO_STOP + 1

log = logging.getLogger(__name__)


def run_training(config: TrainConfig, workspace: Workspace) -> TrainingResult:
    """Train in a child process and wait for it.

    Raises:
        TopgraftError: as `model.runs.trainer.train`; also TrainingError when the child was
            killed, and says what to do about it.
    """
    result = finished(config, workspace)
    if result is not None:
        return result
    if config.import_from:
        return take_over_in_child(config, workspace)
    reservation, _ = begin(config, workspace, in_service=_is_worker())
    return train_in_child(reservation, worker=os.getpid())


def train_in_child(reservation: Reservation, worker: int | None) -> TrainingResult:
    """Carry out a reserved training in a child process and wait for it; see `run_training`.

    Args:
        worker: pid of the process whose end cancels the training; None where only that of the service ends it.
    """
    service = _service()
    # Held here until it is written down how the training ended: free, it would count as interrupted.
    with reservation.lock as lock:
        child = _start(reservation, lock.fileno(), service, worker)
        try:
            with _exit_at_sigterm():
                answer, _ = child.communicate()
        except (KeyboardInterrupt, SystemExit):
            _stop(child, reservation)
            raise
        if child.returncode == -signal.SIGKILL and not service.is_alive():
            raise _left_alone(reservation)
        if child.returncode < 0:
            raise _killed(reservation, -child.returncode)
        return _result(reservation, answer)


def main(directory: str, lock_descriptor: str, service: str, service_start: str, worker: str) -> int:
    """In the child: train, and answer the parent."""
    reservation, config = adopt(Path(directory), int(lock_descriptor))
    watch(reservation, Process(int(service), int(service_start)), int(worker) or None)
    _leave_room_for_the_service()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def train() -> dict[str, Any]:
        from model.runs import trainer

        return trainer.run(reservation, config, Workspace(reservation.destination.parent.parent)).to_json()

    return answer_parent(train, f"training {reservation.name}")


def _start(
    reservation: Reservation, lock_descriptor: int, service: Process, worker: int | None
) -> "subprocess.Popen[bytes]":
    """The child, with a session of its own, so that it can be ended with all that it starts."""
    numbers = (lock_descriptor, service.pid, service.start, worker or 0)
    return subprocess.Popen(  # nosec B603: no shell, our own arguments
        python_command(__name__, reservation.directory, *numbers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[lock_descriptor],
        env=python_environment(**blas_threads()),
        start_new_session=True,
    )


def _is_worker() -> bool:
    """Whether this process is a worker of the service."""
    return multiprocessing.parent_process() is not None


def _service() -> Process:
    """The main process of the service that this process works for; itself where there is none."""
    main = multiprocessing.parent_process()
    return Process.of(os.getpid() if main is None or main.pid is None else main.pid)


@contextlib.contextmanager
def _exit_at_sigterm() -> Iterator[None]:
    """Raise SystemExit at SIGTERM, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _stop(child: "subprocess.Popen[bytes]", reservation: Reservation) -> None:
    """End the child: a person who stops the command cancels the training, one who stops the service interrupts it."""
    if not _is_worker():
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    _left_alone(reservation)


def _left_alone(reservation: Reservation) -> TopgraftError:
    """The error for a child that ended with the service."""
    _end(reservation, "interrupted", f"The service was stopped. {how_to_go_on(reservation.name)}")
    return TrainingStoppedError(f"training {reservation.name} was interrupted: the service was stopped.")


def _result(reservation: Reservation, answer: bytes) -> TrainingResult:
    try:
        answered = read_answer(answer)
    except ValueError:
        message = (
            f"training {reservation.name}: its process ended without a result. "
            f"Its log is that of the service; what is left of it is in {reservation.directory}."
        )
        _end(reservation, "failed", message)
        raise TrainingError(message) from None
    return TrainingResult.from_json(answered)


def _killed(reservation: Reservation, number: int) -> TopgraftError:
    """The error for a child that a signal ended; also written down, unless the child has said why it ended."""
    name, status = reservation.name, reservation.status
    if status.state == "cancelled":
        return TrainingStoppedError(f"training {name} was cancelled. {status.message}")
    if number == signal.SIGKILL:
        message = (
            f"training {name}: its process was killed (SIGKILL), as the system does when memory runs out. Give the "
            "deployment more memory, or lower batch_size, image_size or the backbone's size, and train anew"
        )
        _end(reservation, "killed", f"{message}; or go on as it is: topgraft resume {name}")
        return TrainingError(f"{message}.")
    told = signal.Signals(number).name
    if number in (signal.SIGTERM, signal.SIGINT):
        _end(reservation, "cancelled", f"It was stopped by {told}. {how_to_go_on(name)}")
        return TrainingStoppedError(f"training {name}: its process was ended by {told}.")
    message = f"training {name}: its process crashed ({told}). Its log is that of the service."
    _end(reservation, "failed", message)
    return TrainingError(message)


def _end(reservation: Reservation, state: State, message: str) -> None:
    with contextlib.suppress(OSError):
        reservation.end(state, message)


def _leave_room_for_the_service() -> None:
    """Lower this process's priority; where there are more than two processors, keep off one of them."""
    os.nice(_NICENESS)
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 2:
        os.sched_setaffinity(0, processors[1:])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
