"""Stopping a training for good: by a signal, or because whoever it trains for is gone.

An exception stops it in good order, but not always in time: native code keeps Python from handling a
signal, and a library may swallow what the handler raises. Hence a thread that waits a little, writes
the state itself and ends the process.
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
from model.runs import Reservation

SECONDS_TO_STOP = 3.0
EXIT_INTERRUPTED = 130

_SECONDS_BETWEEN_LOOKS = 0.25
# How long the service may outlive a worker that it stops with itself.
_SECONDS_OF_DOUBT = 2.0
_STOP = (signal.SIGTERM, signal.SIGINT)


def how_to_go_on(name: str) -> str:
    """What to type."""
    return f"To go on: topgraft resume {name}"


@contextlib.contextmanager
def stopped_by_signals(reservation: Reservation) -> Iterator[None]:
    """Turn SIGTERM into TrainingStoppedError and SIGINT into KeyboardInterrupt, where this is the main thread.

    If the training has not stopped `SECONDS_TO_STOP` after either, it is written down as cancelled and the process
    ends. Once it is settled how the training ended, nothing is raised any more.

    Raises:
        TrainingStoppedError: for any other error, too, that comes after a signal: a library that is interrupted, say
            while it is being imported, makes another of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if reservation.ended.is_set():
            return
        asked.set()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise TrainingStoppedError("the training was asked to stop (SIGTERM).")

    # A shell lets what it runs in the background ignore Ctrl-C: that stays so.
    heeded = [number for number in _STOP if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in heeded}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    previous_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    enforcer = threading.Thread(target=_enforce, args=(reader, reservation), daemon=True)
    enforcer.start()
    try:
        yield
    except TrainingStoppedError:
        raise
    except Exception as error:
        if asked.is_set():
            raise TrainingStoppedError("the training was asked to stop.") from error
        raise
    finally:
        signal.set_wakeup_fd(previous_writer)
        os.close(writer)
        enforcer.join()
        os.close(reader)
        for number, handler in previous.items():
            signal.signal(number, handler)


def watch(reservation: Reservation, service: Process, worker: int | None) -> None:
    """End this process, and those it started, soon after the service is gone, or the worker that waits for it.

    With the worker alone somebody has deleted the training: it is cancelled. With the service nobody wants anything:
    what is left says that it was running, and it counts as interrupted.

    Args:
        worker: pid of the parent; None for a training that stays when its parent goes.
    """
    threading.Thread(target=_watch, args=(reservation, service, worker), daemon=True).start()


def _enforce(reader: int, reservation: Reservation) -> None:
    """Read the numbers of signals, which the system writes whatever Python does, up to the end of the training."""
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
    _end(reservation, "It was stopped in the middle of something that could not be interrupted.")


def _watch(reservation: Reservation, service: Process, worker: int | None) -> None:
    while service.is_alive():
        if worker is not None and os.getppid() != worker:
            if service.outlives(_SECONDS_OF_DOUBT):
                _end(reservation, "It was deleted, or the worker of the service that waited for it was killed.")
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    _end_processes()


def _end(reservation: Reservation, message: str) -> None:
    with contextlib.suppress(OSError):
        reservation.end("cancelled", f"{message} {how_to_go_on(reservation.name)}")
    _end_processes()


def _end_processes() -> None:
    """End this process; with all it started, where it has a session of its own."""
    if os.getsid(0) == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(EXIT_INTERRUPTED)
