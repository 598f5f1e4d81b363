"""Long work of the studio, such as an export: each task in a child process that reports its progress.

A task ends with the server. Its result is a file of the workspace, so that a task can be repeated and nothing is lost.
"""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from model.errors import ConfigError, TopgraftError, TrainingError
from model.processes import answer_parent, describe_exit, python_command, python_environment, read_answer, start_child
from model.reading import parse_json
from model.received import quoted
from model.results import Progress
from model.studio import work
from model.workspace import Workspace

_NICENESS = 5
_SECONDS_BETWEEN_REPORTS = 0.2
_MAX_ENDED = 100

log = logging.getLogger(__name__)

Notify = Callable[[dict[str, Any]], None]


@dataclasses.dataclass
class Task:
    """A task that runs or has ended.

    Attributes:
        key: identifies its work, such as `download/pets/onnx`; the same work is not started twice at a time.
        state: `failed` with a `message`, `done` with a `result`; `cancelled` if nothing of it remains.
        phase, done, total: progress, as `model.results.Progress` reports it.
        result: plain JSON types.
        can_cancel: whether `Tasks.end` may end it while it runs.
    """

    key: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    phase: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    result: Any = None
    can_cancel: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return dataclasses.asdict(self)


class Tasks:
    """The tasks of a server, of which those that ended are kept until the same work is started again."""

    def __init__(self, workspace: Workspace, notify: Notify = lambda task: None) -> None:
        """Tasks for a workspace; `notify` is called with `Task.to_json` at each change, in a thread of the task."""
        self._workspace = workspace
        self._notify = notify
        self._tasks: dict[str, Task] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._cancelled: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, key: str, name: str, arguments: Mapping[str, Any]) -> Task:
        """Start a task, unless the same work is running.

        Args:
            key: see `Task.key`.
            name: a key of `model.studio.work.WORK`.
            arguments: those of its function, as plain JSON types.
        """
        with self._lock:
            running = self._tasks.get(key)
            if running is not None and running.state == "running":
                return running
            self._tasks.pop(key, None)
            self._forget_ended()
            task = self._tasks[key] = Task(key, can_cancel=name in work.ENDS)
        threading.Thread(target=self._carry_out, args=(task, name, dict(arguments)), daemon=True).start()
        return task

    def end(self, key: str) -> None:
        """Cancel a running task, or forget one that has ended.

        Raises:
            ConfigError: there is none with this key, or it cannot be cancelled.
        """
        with self._lock:
            task = self._tasks.get(key)
            if task is None or (task.state == "running" and not task.can_cancel):
                raise ConfigError(f"expected a task that can be cancelled, received {quoted(key)}")
            if task.state != "running":
                del self._tasks[key]
                return
            self._cancelled.add(key)
            child = self._children.get(key)
        if child is not None:
            child.kill()

    def find(self, key: str) -> Task | None:
        """The task with this key that was started last."""
        return self._tasks.get(key)

    def all(self) -> list[Task]:
        """The tasks in the order of their start."""
        with self._lock:
            return list(self._tasks.values())

    def close(self) -> None:
        """End the running tasks."""
        with self._lock:
            self._closed = True
            children = list(self._children.values())
        for child in children:
            child.kill()

    def _forget_ended(self) -> None:
        ended = [key for key, task in self._tasks.items() if task.state != "running"]
        for key in ended[:-_MAX_ENDED]:
            del self._tasks[key]

    def _carry_out(self, task: Task, name: str, arguments: dict[str, Any]) -> None:
        try:
            task.result = self._run_or_end(task, name, arguments)
            task.state = "cancelled" if task.result is None and task.key in self._cancelled else "done"
        except TopgraftError as error:
            task.message, task.state = error.message, "failed"
        except OSError as error:
            task.message, task.state = f"the task could not be started: {error.strerror or error}.", "failed"
        except Exception:
            # The same work could not be started again while it seems to run.
            log.exception("the task %s failed", task.key)
            task.message, task.state = "the task failed; the reason is in the log of the studio.", "failed"
        self._cancelled.discard(task.key)
        self._notify(task.to_json())

    def _run_or_end(self, task: Task, name: str, arguments: dict[str, Any]) -> Any:
        """Result of a task; after a cancellation that of the end of its work."""
        try:
            return self._run(task, name, arguments)
        except TopgraftError:
            if task.key not in self._cancelled:
                raise
            return work.ENDS[name](self._workspace, **arguments)

    def _run(self, task: Task, name: str, arguments: dict[str, Any]) -> Any:
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8") as reports, open(writing, "wb") as ours:
            command = python_command(__name__, writing, self._workspace.root, name)
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "pass_fds": [writing]}
            with self._lock:
                if self._closed or task.key in self._cancelled:
                    raise TrainingError("the server is stopping. Try again after its next start.")
                child = start_child(command, _NICENESS, env=python_environment(), **pipes)
                self._children[task.key] = child
            ours.close()
            with child:
                _send(child.stdin, arguments)
                # The answer fits into the pipe, or is read by the thread while reports arrive.
                answer: list[bytes] = []
                reader = threading.Thread(target=lambda: answer.append(_read(child.stdout)), daemon=True)
                reader.start()
                for line in reports:
                    task.phase, task.done, task.total = parse_json(line)
                    self._notify(task.to_json())
                reader.join()
            self._children.pop(task.key, None)
        try:
            return read_answer(b"".join(answer))
        except ValueError:
            raise TrainingError(
                f"the task {task.key} {describe_exit(child.returncode)}, without a result. See the log of the server."
            ) from None


def _send(stream: IO[bytes] | None, arguments: Mapping[str, Any]) -> None:
    """Write the arguments; the system limits those of a command line, and they may name many photos."""
    # A child that was killed does not read them.
    with contextlib.suppress(BrokenPipeError):
        if stream is not None:
            stream.write(json.dumps(arguments).encode())
            stream.close()


def _read(stream: IO[bytes] | None) -> bytes:
    return b"" if stream is None else stream.read()


def reporter(stream: IO[str]) -> Progress:
    """A `Progress` that writes a line for the last step of each phase, and for at most five others a second."""
    written_at = 0.0
    last_phase = ""

    def report(phase: str, done: int, total: int, /, **metrics: float) -> None:
        nonlocal written_at, last_phase
        now = time.monotonic()
        if phase == last_phase and done != total and now - written_at < _SECONDS_BETWEEN_REPORTS:
            return
        written_at, last_phase = now, phase
        # The server may have ended.
        with contextlib.suppress(OSError):
            stream.write(json.dumps([phase, done, total]) + "\n")
            stream.flush()

    return report


def main(descriptor: str, root: str, name: str) -> int:
    """Main function of the child process: carry out a task and send its result to the parent."""
    import logging

    from model.logs import protect_logs

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    protect_logs()
    with open(int(descriptor), "w", encoding="utf-8") as stream:
        progress = reporter(stream)
        function, arguments = work.WORK[name], parse_json(sys.stdin.buffer.read(), file_names=True)
        return answer_parent(lambda: function(Workspace(Path(root)), progress, **arguments), f"the task {name}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
