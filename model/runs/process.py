"""Training in a child process, for the service.

The worker of the service keeps no GPU memory and never loads TensorFlow. A child that is killed for lack of
memory becomes an error message. The child ends with the worker, so that deleting a training in DEEPaaS, which
kills the worker, stops it.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from model.config import TrainConfig
from model.errors import TopgraftError, TrainingError, TrainingStoppedError
from model.logs import protect_logs
from model.processes import Process, answer_parent, lower_priority, python_command, python_environment, read_answer
from model.resources import blas_threads
from model.results import State
from model.runs import LOG, Run, adopt, finished, start_or_resume
from model.runs.import_process import import_in_child
from model.runs.stopping import SECONDS_TO_STOP, resume_hint, watch
from model.training_result import TrainingResult
from model.workspace import Workspace

_NICENESS = 5
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_SECONDS_TO_END = SECONDS_TO_STOP + 1

log = logging.getLogger(__name__)


def run_training(config: TrainConfig, workspace: Workspace) -> TrainingResult:
    """Train in a child process and wait for it.

    Raises:
        TopgraftError: as `model.runs.trainer.train`; TrainingError if the child was killed.
    """
    result = finished(config, workspace)
    if result is not None:
        return result
    if config.import_from:
        return import_in_child(config, workspace)
    run, _ = start_or_resume(config, workspace, in_service=_is_worker())
    return train_in_child(run, worker=os.getpid())


def train_in_child(run: Run, worker: int | None) -> TrainingResult:
    """Carry out a training in a child process and wait for it; see `run_training`.

    Args:
        worker: pid of the process whose end cancels the training; None if only the end of the service ends it.
    """
    service = _service()
    # Held until the end of the training is recorded: if it were free, the training would count as interrupted.
    with run.lock as lock:
        child = _start(run, lock.fileno(), service, worker)
        try:
            with _exit_at_sigterm():
                answer, _ = child.communicate()
        except (KeyboardInterrupt, SystemExit):
            _stop(child, run)
            raise
        if child.returncode == -signal.SIGKILL and not service.is_alive():
            raise _interrupted(run)
        if child.returncode < 0:
            raise _killed(run, -child.returncode)
        return _result(run, answer)


def main(directory: str, lock_descriptor: str, service: str, service_start: str, worker: str) -> int:
    """Main function of the child process: train a model and send the result to the parent."""
    run, config = adopt(Path(directory), int(lock_descriptor))
    watch(run, Process(int(service), int(service_start)), int(worker) or None)
    _yield_to_the_service()
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    # The log of the service is for its operator; this one for the users of the training.
    own_log = logging.FileHandler(run.directory / LOG)
    own_log.setFormatter(logging.Formatter(_LOG_FORMAT))
    logging.getLogger().addHandler(own_log)
    protect_logs()

    def train() -> dict[str, Any]:
        from model.runs import trainer

        return trainer.carry_out(run, config, Workspace(run.destination.parent.parent)).to_json()

    return answer_parent(train, f"training {run.name}")


def _start(run: Run, lock_descriptor: int, service: Process, worker: int | None) -> "subprocess.Popen[bytes]":
    """Start the child in its own session, so that it can be ended with all its children."""
    numbers = (lock_descriptor, service.pid, service.start, worker or 0)
    return subprocess.Popen(
        python_command(__name__, run.directory, *numbers),
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
    """Main process of the service of this worker; this process itself outside a service."""
    main = multiprocessing.parent_process()
    return Process.from_pid(os.getpid() if main is None or main.pid is None else main.pid)


@contextlib.contextmanager
def _exit_at_sigterm() -> Iterator[None]:
    """Raise SystemExit on SIGTERM, in the main thread."""
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


def _stop(child: "subprocess.Popen[bytes]", run: Run) -> None:
    """End the child: stopping the command cancels the training, stopping the service interrupts it."""
    if not _is_worker():
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    _interrupted(run)


def _interrupted(run: Run) -> TopgraftError:
    """Error for a child that ended with the service."""
    _end(run, "interrupted", f"The service was stopped. {resume_hint(run.name)}")
    return TrainingStoppedError(f"training {run.name} was interrupted: the service was stopped.")


def _result(run: Run, answer: bytes) -> TrainingResult:
    try:
        answered = read_answer(answer)
    except ValueError:
        message = (
            f"training {run.name}: its process ended without a result. "
            f"See the log of the service; its files are in {run.directory}."
        )
        _end(run, "failed", message)
        raise TrainingError(message) from None
    return TrainingResult.from_json(answered)


def _killed(run: Run, number: int) -> TopgraftError:
    """Error for a child that was ended by a signal; also recorded, unless the child recorded its end."""
    name, status = run.name, run.status
    if status.state == "cancelled":
        return TrainingStoppedError(f"training {name} was cancelled. {status.message}")
    if number == signal.SIGKILL:
        message = (
            f"training {name}: its process was killed (SIGKILL), as the system does when memory runs out. Give the "
            "deployment more memory, or lower batch_size, image_size or the size of the backbone, and train again"
        )
        _end(run, "killed", f"{message}; or resume it unchanged: topgraft resume {name}")
        return TrainingError(f"{message}.")
    signal_name = signal.Signals(number).name
    if number in (signal.SIGTERM, signal.SIGINT):
        _end(run, "cancelled", f"It was stopped by {signal_name}. {resume_hint(name)}")
        return TrainingStoppedError(f"training {name}: its process was ended by {signal_name}.")
    message = f"training {name}: its process crashed ({signal_name}). See the log of the service."
    _end(run, "failed", message)
    return TrainingError(message)


def _end(run: Run, state: State, message: str) -> None:
    with contextlib.suppress(OSError):
        run.end(state, message)


def _yield_to_the_service() -> None:
    """Lower the priority of this process; with more than two processors, leave one of them free."""
    lower_priority(_NICENESS)
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 2:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors[1:])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
