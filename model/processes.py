"""Processes: children that end with their parent and answer in JSON, and the identity of a process over time.

This file is also the launcher that `start_child` runs as a script, without site packages and outside the package.
For it to start in milliseconds, everything that the launcher does not need is imported inside functions.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from typing import Any

    from model.errors import TopgraftError

_PR_SET_PDEATHSIG = 1
_SECONDS_BETWEEN_CHECKS = 0.1


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have Linux send this process a signal when its parent ends, however it ends.

    The kernel takes the end of the thread that started this process for the end of the parent. Exits at once where
    the parent has ended already.

    Args:
        parent: pid of the parent.
        number: the signal.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def _launch(parent: str, number: str, niceness: str, *command: str) -> None:
    """In the launcher: become `command`. Between fork and exec of a process with threads no Python code may run."""
    die_with_parent(int(parent), int(number))
    os.nice(int(niceness))
    os.execvp(command[0], command)  # nosec B606: no shell is wanted


def start_child(
    command: Sequence[str], niceness: int = 0, number: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that ends when the calling thread or this process does.

    Args:
        command: the program and its arguments.
        niceness: added to that of this process.
        number: the signal that ends the child.
        options: as of `subprocess.Popen`; the standard input is empty unless given.
    """
    import subprocess  # nosec B404

    launcher = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), str(niceness)]
    # No shell, our own arguments.
    child: subprocess.Popen[Any] = subprocess.Popen(  # nosec B603
        [*launcher, *command], **({"stdin": subprocess.DEVNULL} | options)
    )
    return child


def python_command(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package as a program; see `python_environment`."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def python_environment(**variables: str) -> dict[str, str]:
    """The environment variables of a Python child: those of this process, its module path, and `variables`."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | variables


def run_child(
    module: str,
    *arguments: object,
    task: str,
    failure: type[TopgraftError],
    niceness: int = 0,
    seconds: float | None = None,
) -> Any:
    """Run a module that ends with `answer_parent` in a child process, and return its answer.

    The child ends with this process, at the time limit, and when an exception interrupts the wait.

    Args:
        task: what the child does, such as "import of pets.tar.xz"; for messages.
        failure: the error for a child that ends without an answer.
        seconds: the time limit.

    Raises:
        TopgraftError: the error that the child reported, or `failure`.
    """
    import subprocess  # nosec B404

    command = python_command(module, *arguments)
    with start_child(command, niceness, stdout=subprocess.PIPE, env=python_environment()) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise failure(f"{task}: expected to take at most {seconds:g} s, and took longer.") from None
        except BaseException:
            child.kill()
            raise
    try:
        return read_answer(output)
    except ValueError:
        raise failure(
            f"{task}: its process {describe_exit(child.returncode)}, without a result. See the log above, or that of "
            "the service."
        ) from None


def answer_parent(work: Callable[[], Any], task: str) -> int:
    """In the child: call `work`, and write its result or its error to the standard output as one JSON object.

    What libraries print meanwhile goes to the standard error.

    Args:
        work: returns plain JSON types.
        task: as of `run_child`.

    Returns:
        0, the exit status of the child.
    """
    import contextlib
    import json
    import logging

    from model.errors import TopgraftError, TrainingError

    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        outcome = {"result": work()}
    except TopgraftError as error:
        outcome = {"error": type(error).__name__, "message": error.message}
    except Exception as error:
        logging.getLogger(__name__).exception("%s failed", task)
        outcome = {"error": TrainingError.__name__, "message": f"{task} failed: {error!r}"}
    # The parent that waited may have been killed.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(json.dumps(outcome))
    return 0


def read_answer(output: bytes) -> Any:
    """The result that a child wrote by `answer_parent`.

    Raises:
        TopgraftError: the error that it wrote, with its class.
        ValueError: it wrote no answer.
    """
    import json

    from model import errors

    outcome = json.loads(output)
    if "error" in outcome:
        raise getattr(errors, outcome["error"])(outcome["message"])
    return outcome["result"]


def describe_exit(status: int | None) -> str:
    """How a process ended, as the end of a sentence.

    Args:
        status: its exit status; -N for the signal N.
    """
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), as the system does when memory runs out"
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


class Process:
    """A process of this machine, distinct from a later one with the same pid.

    Attributes:
        pid: process ID.
        start: when it started, in clock ticks since the boot; 0 for a process that was not alive.
    """

    def __init__(self, pid: int, start: int) -> None:
        self.pid, self.start = pid, start

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now; if there is none, one that is not alive."""
        return cls(pid, _start_of(pid) or 0)

    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return _start_of(self.pid) == self.start

    def outlives(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; return whether it is still alive."""
        import time

        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return True
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        return False


def _start_of(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; the name before may hold anything but ends with the last parenthesis."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            state, *fields = stream.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(fields[18])


if __name__ == "__main__":
    _launch(*sys.argv[1:])
