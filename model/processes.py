"""Child processes that end with their parent and return a result as JSON, and the identity of processes.

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
    """Make Linux send this process a signal when its parent ends, for any reason.

    The kernel sends the signal when the thread that started this process ends. If the parent has already ended, this
    function exits the process.

    Args:
        parent: process ID of the parent.
        number: signal number.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def lower_priority(niceness: int) -> None:
    """Increase the niceness of this process, where the system permits it: some containers forbid the call."""
    try:  # noqa: SIM105 - the launcher imports no more than it needs
        os.nice(niceness)
    except OSError:
        pass


def _launch(parent: str, number: str, niceness: str, *command: str) -> None:
    """Main function of the launcher, which executes `command`; a process with threads must not fork Python code."""
    die_with_parent(int(parent), int(number))
    lower_priority(int(niceness))
    os.execvp(command[0], command)  # nosec B606: runs without a shell


def start_child(
    command: Sequence[str], niceness: int = 0, number: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that is ended with the calling thread or this process.

    Args:
        command: the program and its arguments.
        niceness: increment of the niceness of this process.
        number: the signal that ends the child.
        options: arguments of `subprocess.Popen`; standard input is empty by default.
    """
    import subprocess

    launcher = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), str(niceness)]
    # No shell, our own arguments.
    child: subprocess.Popen[Any] = subprocess.Popen([*launcher, *command], **({"stdin": subprocess.DEVNULL} | options))
    return child


def python_command(module: str, *arguments: object) -> list[str]:
    """Command line that runs a module of this package as a program; see `python_environment`."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def python_environment(**variables: str) -> dict[str, str]:
    """Environment variables for a Python child: those of this process, its module path, and `variables`."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | variables


def run_child(
    module: str,
    *arguments: object,
    task: str,
    failure: type[TopgraftError],
    niceness: int = 0,
    seconds: float | None = None,
) -> Any:
    """Run a module in a child process and return the result that it sends by `answer_parent`.

    The child ends with this process, at the time limit, and when an exception interrupts the wait.

    Args:
        task: description of the work, such as "import of pets.tar.xz"; for messages.
        failure: the error for a child that ends without an answer.
        seconds: the time limit.

    Raises:
        TopgraftError: the error that the child reported, or `failure`.
    """
    import subprocess

    command = python_command(module, *arguments)
    with start_child(command, niceness, stdout=subprocess.PIPE, env=python_environment()) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise failure(
                f"{task}: expected to end within {seconds:g} s, and was killed after that. Try again later."
            ) from None
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


def limit_memory(max_bytes: int) -> None:
    """Limit the memory for data of this process, a child; the system ends it first when memory runs out.

    An allocation beyond the limit fails: MemoryError in Python, or the end of the process in a library.

    Args:
        max_bytes: the limit; a lower one of the system is kept.
    """
    import contextlib
    import resource

    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
        stream.write("1000")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def answer_parent(work: Callable[[], Any], task: str) -> int:
    """Call `work` in a child process, and write its result or error to standard output as one JSON object.

    Output of libraries is redirected to standard error.

    Args:
        work: function that returns plain JSON types.
        task: as in `run_child`.

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
    """Result that a child wrote by `answer_parent`.

    Raises:
        TopgraftError: the error that the child wrote, of the same class.
        ValueError: the child wrote no result.
    """
    from model import errors
    from model.reading import parse_json, unreadable

    with unreadable():
        outcome = parse_json(output, not_finite=True, file_names=True)
        if "error" not in outcome:
            return outcome["result"]
        error = getattr(errors, outcome["error"])(outcome["message"])
    raise error


def describe_exit(status: int | None) -> str:
    """Describe how a process ended, as a verb phrase such as "ended with status 1".

    Args:
        status: exit status; -N for the signal N.
    """
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), as the system does when memory runs out"
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


class Process:
    """A process of this machine, distinguished from later processes with the same ID by its start time.

    Attributes:
        pid: process ID.
        start: start time in clock ticks since the boot; 0 for a process that does not exist.
    """

    def __init__(self, pid: int, start: int) -> None:
        self.pid, self.start = pid, start

    @classmethod
    def from_pid(cls, pid: int) -> Process:
        """Process that has this ID now; if there is none, a `Process` that is not alive."""
        return cls(pid, _start_of(pid) or 0)

    def is_alive(self) -> bool:
        """Whether the process is running; a zombie is not."""
        return _start_of(self.pid) == self.start

    def outlives(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of the process; return whether it is still alive."""
        import time

        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return True
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        return False


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken so far, in seconds; 0 for a process that does not exist."""
    fields = _status(pid)
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal, such as SIGSTOP; not by a debugger."""
    return _status(pid)[:1] == ["T"]


def _start_of(pid: int) -> int | None:
    """Start time of a process in clock ticks since the boot; None for a zombie."""
    fields = _status(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _status(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third, the state; none for a process that does not exist."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The process name before them ends with the last parenthesis.
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    _launch(*sys.argv[1:])
