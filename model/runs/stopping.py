"""Stopping a training: by a signal, or because the service or the worker that waits for it has ended.

An exception stops it regularly, but not always in time: native code keeps Python from handling a signal,
and a library may swallow the exception. So a thread waits a little, records the state and ends the
process.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from model.errors import TrainingStoppedError
from model.processes import Process
from model.runs import Run

SECONDS_TO_STOP = 3.0
EXIT_INTERRUPTED = 130

_SECONDS_BETWEEN_CHECKS = 0.25
# How long the service may outlive a worker that it stops together with itself.
_SECONDS_FOR_SHUTDOWN = 2.0
_STOP = (signal.SIGTERM, signal.SIGINT)


def resume_hint(name: str) -> str:
    """Hint with the command that resumes a training."""
    return f"To resume it: topgraft resume {name}"


@contextlib.contextmanager
def stopped_by_signals(run: Run) -> Iterator[None]:
    """Convert SIGTERM to TrainingStoppedError and SIGINT to KeyboardInterrupt, in the main thread.

    If the training has not stopped `SECONDS_TO_STOP` seconds after the signal, it is recorded as cancelled and the
    process ends. After the end of the training is recorded, nothing is raised.

    Raises:
        TrainingStoppedError: also in place of any other error after a signal: a library that is interrupted, for
            example during its import, may raise another error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    stop_requested = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if run.ended.is_set():
            return
        stop_requested.set()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise TrainingStoppedError("the training was asked to stop (SIGTERM).")

    # Shells start background jobs with SIGINT ignored; that is kept.
    handled = [number for number in _STOP if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in handled}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    previous_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    enforcer = threading.Thread(target=_enforce, args=(reader, run), daemon=True)
    enforcer.start()
    try:
        yield
    except TrainingStoppedError:
        raise
    except Exception as error:
        if stop_requested.is_set():
            raise TrainingStoppedError("the training was asked to stop.") from error
        raise
    finally:
        signal.set_wakeup_fd(previous_writer)
        os.close(writer)
        enforcer.join()
        os.close(reader)
        for number, handler in previous.items():
            signal.signal(number, handler)


def watch(run: Run, service: Process, worker: int | None) -> None:
    """End this process and its children soon after the service, or the worker that waits for it, has ended.

    If only the worker ended, the training was deleted: it is recorded as cancelled. If the service ended, nothing is
    recorded, and the training counts as interrupted.

    Args:
        worker: pid of the parent; None for a training that outlives its parent.
    """
    threading.Thread(target=_watch, args=(run, service, worker), daemon=True).start()


def _enforce(reader: int, run: Run) -> None:
    """Read signal numbers, which the system writes even while Python is blocked, until the end of the training."""
    deadline = None
    while deadline is None or time.monotonic() < deadline:
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], patience)[0]:
            break
        number = os.read(reader, 1)
        if not number:
            return
        if number[0] in _STOP and deadline is None:
            deadline = time.monotonic() + SECONDS_TO_STOP
    _end(run, "It was stopped during an operation that could not be interrupted.")


def _watch(run: Run, service: Process, worker: int | None) -> None:
    while service.is_alive():
        if worker is not None and os.getppid() != worker:
            if service.outlives(_SECONDS_FOR_SHUTDOWN):
                _end(run, "It was deleted, or the worker of the service that waited for it was killed.")
            break
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    _end_processes()


def _end(run: Run, message: str) -> None:
    with contextlib.suppress(OSError):
        run.end("cancelled", f"{message} {resume_hint(run.name)}")
    _end_processes()


def _end_processes() -> None:
    """End this process, and all its children if it leads a session."""
    if os.getsid(0) == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(EXIT_INTERRUPTED)
