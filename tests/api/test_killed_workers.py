"""Killed workers of a real server: pending requests are answered within seconds, and so are the next ones."""

import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from tests.support.deepaas_server import Server, make_workspace, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PHOTO = photo(size=(64, 48))
WORKERS = 2
# Far below the time that a hanging request takes.
SECONDS = 10.0
# Until workers have begun, on a busy machine.
SECONDS_TO_BEGIN = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = make_workspace(tmp_path_factory.mktemp("home"))
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running


@pytest.fixture(scope="module")
def long_work() -> bytes:
    """A zip that keeps a worker busy for longer than a test lasts."""
    stream = io.BytesIO()
    large = photo(size=(3000, 2000))
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(2000):
            archive.writestr(f"{index}.jpg", large)
    return stream.getvalue()


def _answers(server: Server, count: int) -> list[int]:
    """The statuses of so many requests at once; one that hangs is an error."""
    address = f"{server.url}/predict/"
    with ThreadPoolExecutor(count) as clients:
        sent = [
            clients.submit(requests.post, address, files={"image": ("a.jpg", PHOTO)}, timeout=SECONDS)
            for _ in range(count)
        ]
        return [answer.result().status_code for answer in sent]


def _seconds_used(server: Server) -> dict[psutil.Process, float]:
    """The processor time of each worker so far, once all have started."""
    wait_until(lambda: len(server.workers()) == WORKERS, SECONDS_TO_BEGIN)
    return {worker: worker.cpu_times().user for worker in server.workers()}


def _busy(before: dict[psutil.Process, float]) -> list[psutil.Process]:
    """The workers that have been given something to do since `before`."""
    return [worker for worker, used in before.items() if worker.cpu_times().user > used + 0.3]


def test_killed_idle_workers_are_replaced(server: Server) -> None:
    killed = server.workers()
    assert len(killed) == WORKERS
    for worker in killed:
        worker.kill()
    assert _answers(server, 2 * WORKERS) == [200] * 2 * WORKERS
    wait_until(lambda: len(server.workers()) == WORKERS, seconds=SECONDS)
    assert not set(killed) & set(server.workers())


def test_a_request_whose_worker_is_killed_gets_an_error(server: Server, long_work: bytes) -> None:
    before = _seconds_used(server)
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(server.predict, long_work)
        [busy] = wait_until(lambda: _busy(before), SECONDS_TO_BEGIN)
        busy.kill()
        killed_at = time.monotonic()
        answer = waiting.result()
    assert time.monotonic() - killed_at < SECONDS
    assert answer.status_code == 503
    assert "memory" in answer.json()["message"] and "please retry" in answer.json()["message"]
    assert _answers(server, 2 * WORKERS) == [200] * 2 * WORKERS


def test_queued_requests_are_answered_after_all_workers_are_killed(server: Server, long_work: bytes) -> None:
    before = _seconds_used(server)
    with ThreadPoolExecutor(WORKERS) as clients:
        waiting = [clients.submit(server.predict, long_work) for _ in range(WORKERS)]
        wait_until(lambda: len(_busy(before)) == WORKERS, SECONDS_TO_BEGIN)
        with ThreadPoolExecutor(1) as other:
            others = other.submit(_answers, server, 3)
            time.sleep(0.5)
            for worker in server.workers():
                worker.kill()
            assert others.result() == [200] * 3
        # One that its worker had not begun with is done by another.
        statuses = {answer.result().status_code for answer in waiting}
        assert 503 in statuses and statuses <= {200, 503}


def test_a_training_whose_worker_is_killed_is_cancelled(server: Server) -> None:
    uuid = server.start_training(dataset="photos", name="lost")
    running = wait_until(lambda: server.metadata()["trainings"], seconds=SECONDS)
    assert [one["name"] for one in running] == ["lost"]
    [worker] = [one for one in server.workers() if one.children()]
    [training] = worker.children()
    worker.kill()
    over = wait_until(lambda: server.training(uuid) if server.training(uuid)["status"] != "running" else None, SECONDS)
    assert over["status"] == "error" and "memory" in over["message"]
    wait_until(lambda: not training.is_running() or training.status() == psutil.STATUS_ZOMBIE, seconds=SECONDS)
    [left] = server.metadata()["trainings"]
    assert left["state"] == "cancelled" and "topgraft resume lost" in left["message"]
    assert _answers(server, 2 * WORKERS) == [200] * 2 * WORKERS
    deleted = requests.delete(f"{server.url}/train/{uuid}", timeout=SECONDS)
    assert (deleted.status_code, deleted.json()["status"]) == (200, "error")


def test_a_deleted_training_has_ended_when_its_deletion_is_answered(server: Server) -> None:
    uuid = server.start_training(dataset="photos", name="deleted")
    wait_until(lambda: [one for one in server.metadata()["trainings"] if one["name"] == "deleted"], seconds=SECONDS)
    [worker] = [one for one in server.workers() if one.children()]
    trainings = worker.children()
    answer = requests.delete(f"{server.url}/train/{uuid}", timeout=SECONDS)
    assert answer.status_code == 200
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in trainings)
    [left] = [one for one in server.metadata()["trainings"] if one["name"] == "deleted"]
    assert left["state"] == "cancelled"
