"""Use and drift in a real server with two workers: the metadata, a killed worker, the command."""

import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.bundle import open_bundle
from model.provenance import utc_today
from model.usage.store import UsageStore, model_version
from model.workspace import Workspace
from tests.support.deepaas_server import Server, environment, running_server
from tests.support.processes import program
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

REQUESTS = 80
# Until a count is on disk, and until a first verdict, on a busy machine.
SECONDS = 60


def colours(seed: int, count: int, darkest: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(darkest, 256, (count, 3))


def plain_photo(colour: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (24, 24), tuple(map(int, colour))).save(stream, "PNG")
    return stream.getvalue()


def zip_of(contents: list[bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.png", content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    write_small_model(home / "models" / "small", learned_colours=colours(0, 400))
    with running_server(home, TOPGRAFT_MONITOR="1") as running:
        yield running


def model_usage(server: Server) -> dict[str, Any]:
    """Usage of the model in the metadata."""
    return next(iter(server.metadata()["usage"]["models"]), {"photos": 0, "drift": None})


def monitor(server: Server, *arguments: str) -> str:
    ran = subprocess.run(
        [program("topgraft"), "monitor", *arguments],
        env=environment(server.home),
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return ran.stdout


def test_two_workers_count_together_and_detect_drift(server: Server) -> None:
    photos = [plain_photo(colour) for colour in colours(1, REQUESTS)]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(server.predict, photos))
    assert {answer.status_code for answer in answers} == {200}
    assert server.predict(b"no image").status_code == 415
    assert server.predict(photos[0], model="nosuch").status_code == 404
    assert server.predict(photos[0], "image/png").status_code == 200

    wait_until(lambda: model_usage(server)["photos"] == REQUESTS + 1, SECONDS)
    seen = wait_until(lambda: _judged(server, "no drift seen"), 3 * SECONDS)
    assert seen["answers"] == {"json": REQUESTS, "png": 1} and seen["errors"] == {"415": 1}
    assert seen["different_photos"] == REQUESTS
    assert 0 < seen["latency_ms"]["json"]["p50"] <= seen["latency_ms"]["json"]["p99"]
    assert server.metadata()["usage"]["errors_without_model"] == {"404": 1}

    # The library with the test takes memory: only the process that checks for drift has loaded it.
    for process in (server.process, *server.workers()):
        assert not [mapped.path for mapped in process.memory_maps() if "/scipy/" in mapped.path]

    assert server.predict(zip_of([plain_photo(colour) for colour in colours(2, 200, darkest=128)])).status_code == 200
    wait_until(lambda: model_usage(server)["photos"] == REQUESTS + 201, SECONDS)
    table = monitor(server, "small")
    assert "Drift: drift: " in table and "red" in table and utc_today() in table
    [row] = json.loads(monitor(server, "small", "--json"))["by_day"]
    assert (row["photos"], row["drift"]["verdict"]) == (REQUESTS + 201, "drift")


def _judged(server: Server, verdict: str) -> dict[str, Any] | None:
    model = model_usage(server)
    return model if model["drift"] is not None and model["drift"]["verdict"] == verdict else None


def test_killed_workers_lose_at_most_a_few_seconds_of_counts(server: Server) -> None:
    before = model_usage(server)["photos"]
    for colour in colours(3, 10):
        assert server.predict(plain_photo(colour)).status_code == 200
    wait_until(lambda: model_usage(server)["photos"] == before + 10, SECONDS)
    for worker in server.workers():
        worker.kill()
    bundle = open_bundle(server.home / "models" / "small")
    store = UsageStore(Workspace(server.home))
    version = model_version("small", bundle.manifest)
    assert store.days(version)[utc_today()].photos == before + 10
    assert {path.name for path in store.folder(version).iterdir()} == {f"{utc_today()}.json", "drift.json"}
    assert {path.name for path in Path(server.home / "models" / ".monitor").iterdir()} == {"lock", "small", ".requests"}
    # Their replacements count on.
    for colour in colours(4, 4):
        assert server.predict(plain_photo(colour)).status_code == 200
    wait_until(lambda: model_usage(server)["photos"] == before + 14, SECONDS)


def test_a_stopped_service_writes_all_its_counts(server: Server) -> None:
    before = model_usage(server)["photos"]
    for colour in colours(5, 6):
        assert server.predict(plain_photo(colour)).status_code == 200
    server.process.terminate()
    server.process.wait(10)
    version = model_version("small", open_bundle(server.home / "models" / "small").manifest)
    assert UsageStore(Workspace(server.home)).days(version)[utc_today()].photos == before + 6
