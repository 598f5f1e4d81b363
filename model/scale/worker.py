"""Worker processes of the local engine: each writes one part at a time, and ends with the process that started it."""

import contextlib
import json
import os
import pickle  # nosec B403: only from the parent process
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from model import durable, errors
from model.errors import TopgraftError
from model.processes import describe_exit, python_command, python_environment, start_child
from model.reading import parse_json
from model.scale.chunks import read_chunk
from model.scale.folders import disk_error
from model.scale.parts import part_content
from model.scale.work import Job, Task, extract_rows


class WorkerEndedError(Exception):
    """A worker ended without an answer; the message describes how."""


class Worker:
    """A worker process, seen from the process that started it.

    Args:
        job_file: file with the pickled `Task`.
    """

    def __init__(self, job_file: Path) -> None:
        self._process: subprocess.Popen[bytes] = start_child(
            python_command(__name__, job_file),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # One thread: the processes share the processors.
            env=python_environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
        )

    def fileno(self) -> int:
        """Descriptor that can be read when there is an answer, or the worker has ended."""
        assert self._process.stdout is not None  # nosec B101: it is a pipe
        return self._process.stdout.fileno()

    def send(self, **request: Any) -> None:
        """Send a request; the end of the worker is noticed by `receive`."""
        assert self._process.stdin is not None  # nosec B101: it is a pipe
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises:
            WorkerEndedError: the worker has ended.
            TopgraftError: the error of the request.
        """
        assert self._process.stdout is not None  # nosec B101: it is a pipe
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise WorkerEndedError(describe_exit(self._process.wait()))
        answer: dict[str, Any] = parse_json(line)
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return answer

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def main(job_file: str) -> int:
    """Main function of a worker: answer requests on standard input until it is closed."""
    # The parent handles an interruption; a part is complete or absent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task: Task = pickle.loads(Path(job_file).read_bytes())  # nosec B301: from our parent
    for line in sys.stdin:
        answers.write(json.dumps(_answer(task, parse_json(line))) + "\n")
        answers.flush()
    return 0


def _answer(task: Task, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if isinstance(task, Job) and "rows" in request:
            return _write_rows_of(task, **request)
        return task.write(**request)._asdict()
    except TopgraftError as error:
        return {"error": type(error).__name__, "message": error.message}
    except OSError as error:
        ours = disk_error(error)
        return {"error": type(ours).__name__, "message": ours.message}


def _write_rows_of(job: Job, number: int, start: int, stop: int, rows: str) -> dict[str, Any]:
    """Write the rows of some photos of a chunk to a file, in the form of a part."""
    photos = read_chunk(job.folder, number)[start:stop]
    durable.write_bytes(Path(rows), part_content(list(extract_rows(job, photos)), number, job.plan_sha256))
    return {"rows": rows}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
