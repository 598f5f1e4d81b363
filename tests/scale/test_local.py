"""The local engine: worker processes, which are replaced when they end, and chunks that end them."""

import functools
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from model.errors import StorageError
from model.scale import division, local, worker
from model.scale.chunks import read_chunk
from model.scale.featurize import FeaturizeResult
from model.scale.local import run_locally
from model.scale.worker import WorkerEndedError
from tests.scale.test_featurize import bytes_of, rows_of

Run = Callable[..., FeaturizeResult]
ROOT = Path(__file__).resolve().parents[2]
ENDING = b"ends its process"


class WorkerInThisProcess:
    """A worker without a process, which ends at photos with a mark, and counts the requests for each chunk."""

    requests: ClassVar[Counter[int]] = Counter()

    def __init__(self, job_file: Path) -> None:
        self._job = pickle.loads(job_file.read_bytes())
        self._readable, self._writable = os.pipe()

    def fileno(self) -> int:
        return self._readable

    def send(self, **request) -> None:
        self._request = request
        os.write(self._writable, b"\n")

    def receive(self) -> dict:
        os.read(self._readable, 1)
        number = self._request["number"]
        self.requests[number] += 1
        photos = read_chunk(self._job.folder, number)[self._request.get("start", 0) : self._request.get("stop")]
        folder = Path(self._job.source.address)
        if not self._request.get("divided") and any(
            ENDING in (folder / item.name).read_bytes() for item in photos if (folder / item.name).exists()
        ):
            raise WorkerEndedError("was killed (SIGKILL)")
        answer = worker._answer(self._job, self._request)
        if "error" in answer:
            raise StorageError(answer["message"])
        return answer

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)


@pytest.fixture
def without_processes(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Workers without processes; the number of requests for each chunk."""
    requests: Counter[int] = Counter()
    monkeypatch.setattr(WorkerInThisProcess, "requests", requests)
    monkeypatch.setattr(local, "Worker", WorkerInThisProcess)
    monkeypatch.setattr(division, "Worker", WorkerInThisProcess)
    return requests


def end_process_at(photo: Path) -> None:
    """Mark a photo, which stays one: what follows the end of a JPEG is not read."""
    photo.write_bytes(photo.read_bytes() + ENDING)


def test_worker_processes_write_the_same_bytes(run: Run, tmp_path: Path) -> None:
    run(out=tmp_path / "expected")
    assert run(engine=functools.partial(run_locally, workers=1)).written == 4
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "expected")


def test_a_chunk_that_ends_its_process_is_divided_down_to_the_photo(
    run: Run, photos: Path, tmp_path: Path, without_processes: Counter[int]
) -> None:
    end_process_at(photos / "blue" / "6.jpg")
    end_process_at(photos / "red" / "7.jpg")
    run(out=tmp_path / "expected")
    result = run(engine=functools.partial(run_locally, workers=2))
    assert result.errors == 2
    for row, expected in zip(rows_of(tmp_path / "out"), rows_of(tmp_path / "expected"), strict=True):
        if row["path"] in ("blue/6.jpg", "red/7.jpg"):
            assert row["error"].endswith("the process that decodes it was killed (SIGKILL)") and not row["features"]
        else:
            assert row == expected
    # Three times whole, once to divide it, and its parts; undisturbed chunks once.
    assert without_processes[0] == without_processes[2] == 1 and without_processes[1] > 4


def test_workers_that_always_end_are_not_started_for_ever(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch, without_processes: Counter[int]
) -> None:
    def receive(self: WorkerInThisProcess) -> dict:
        os.read(self._readable, 1)
        self.requests[0] += 1
        raise WorkerEndedError("was killed (SIGKILL)")

    monkeypatch.setattr(WorkerInThisProcess, "receive", receive)
    with pytest.raises(StorageError, match="again and again"):
        run(engine=functools.partial(run_locally, workers=2))
    assert without_processes.total() < 20


@pytest.mark.slow
def test_a_photo_that_kills_real_processes_is_a_row(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_process_at(photos / "red" / "7.jpg")
    # Runs at the start of each Python child.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import hashlib, os\n"
        "sha256 = hashlib.sha256\n"
        "def ending(content=b'', **options):\n"
        f"    if {ENDING!r} in bytes(content):\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return sha256(content, **options)\n"
        "hashlib.sha256 = ending\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert run(engine=run_locally).errors == 1
    [row] = [row for row in rows_of(tmp_path / "out") if row["error"]]
    assert row["path"] == "red/7.jpg" and "was killed (SIGKILL)" in row["error"]


def test_the_code_of_a_chunk_imports_few_libraries() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import model.scale.work, model.scale.scoring_work, model.scale.worker, model.scale.division\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"model", "numpy", "PIL", "onnxruntime"}
