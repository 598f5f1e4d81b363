"""Mixed load on a running service: requests of many kinds from several clients, with or without trainings."""

import contextlib
import dataclasses
import http.client
import io
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.photos import write_photos
from benchmarks.server import Server, photo_upload
from model.runs import running_trainings
from model.workspace import Workspace
from tests.support.processes import program

CLIENTS = 4
PATIENCE = 60.0
BROKEN_OFF = 0
LOST = -1
MODEL = "signs"
_PHOTOS_IN_ZIP = 8
# Trainings run one at a time: seconds from start to cancellation, or None to let it end.
SOME_CANCELLED = (2.0, None, 10.0, 0.2, 20.0)
ALL_COMPLETE = (None,)
_TRAINING = {
    "dataset": "signs",
    "name": "beside",
    "backbone": "MobileNetV3Small",
    "weights": "none",
    "image_size": 32,
    "epochs": 10,
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of request, sent repeatedly.

    Attributes:
        status: expected status; BROKEN_OFF if the client disconnects.
        query: options of predict.
        sent: fraction of the body sent before the client disconnects; 1: it waits for the response.
    """

    name: str
    status: int
    body: bytes = b""
    query: str = ""
    accept: str = "application/json"
    sent: float = 1.0


@dataclasses.dataclass
class Outcome:
    """Results of the load, or of a part of it."""

    seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    unexpected: Counter[tuple[str, int]] = dataclasses.field(default_factory=Counter)
    trainings: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, kind: Kind, status: int, seconds: float) -> None:
        """Count a response, or a missing one."""
        self.seconds.setdefault(kind.name, []).append(seconds)
        if status != kind.status:
            self.unexpected[kind.name, status] += 1

    @property
    def requests(self) -> int:
        """Number of requests sent."""
        return sum(map(len, self.seconds.values()))

    @property
    def lost(self) -> int:
        """Number of requests without an answer."""
        return sum(count for (_, status), count in self.unexpected.items() if status == LOST)

    @property
    def server_errors(self) -> int:
        """Number of answers with a status of 500 or more."""
        return sum(count for (_, status), count in self.unexpected.items() if status >= 500)


def make_workspace(home: Path) -> Workspace:
    """Create a workspace with the dataset `signs` and a model trained on it, `MODEL`."""
    (home / "models").mkdir()
    write_photos(home / "data" / "signs", range(6))
    command = [program("topgraft"), "train", "--dataset", "signs", "--name", MODEL, "--workspace", str(home)]
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)
    return Workspace(home)


def kinds(photo: bytes) -> tuple[Kind, ...]:
    """Kinds of requests, all equally frequent."""
    archive = _zip(photo)
    only = f"model={MODEL}"
    return (
        Kind("a photo, JSON", 200, photo, only),
        Kind("a photo, CSV", 200, photo, only, accept="text/csv"),
        Kind("a photo, PNG", 200, photo, only, accept="image/png"),
        Kind("the newest model", 200, photo),
        Kind("a zip of photos, JSON", 200, archive, only),
        Kind("a zip of photos, CSV", 200, archive, only, accept="text/csv"),
        Kind("not an image", 415, b"no photo" * 1000, only),
        Kind("half a photo", 415, photo[: len(photo) // 2], only),
        Kind("half a zip", 400, archive[: len(archive) // 2], only),
        Kind("an unknown model", 404, photo, "model=nosuch"),
        Kind("an invalid option", 422, photo, "top_k=0"),
        Kind("a URL of this machine", 400, b"", "url=http%3A%2F%2F127.0.0.1%2F"),
        Kind("client disconnects during the upload", BROKEN_OFF, photo, only, sent=0.5),
        Kind("client disconnects before the response", BROKEN_OFF, archive, only, sent=0.999999),
    )


def put_under_load(
    server: Server,
    every: tuple[Kind, ...],
    minutes: float,
    trainings: Workspace | None,
    clients: int = CLIENTS,
    cancelled_after: tuple[float | None, ...] = SOME_CANCELLED,
) -> Outcome:
    """Send requests of all kinds for a time; run trainings meanwhile if a workspace is given.

    Args:
        cancelled_after: seconds after which a training is cancelled, or None; the values are repeated.
    """
    outcome, lock = Outcome(), threading.Lock()
    end = time.monotonic() + 60 * minutes

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end:
            kind = draw.choice(every)
            started = time.perf_counter()
            status = answer(server, kind)
            with lock:
                outcome.add(kind, status, time.perf_counter() - started)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(clients)]
    if trainings is not None:
        threads.append(
            threading.Thread(target=_train, args=(server, trainings, end, outcome.trainings, cancelled_after))
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def answer(server: Server, kind: Kind) -> int:
    """Send a request; return the status, LOST if no response came in time, BROKEN_OFF if the client left."""
    upload = photo_upload("topgraft", kind.body)
    body = upload.body if kind.body else b""
    headers = {"Accept": kind.accept, "Connection": "close", "Content-Length": str(len(body))}
    if body:
        headers["Content-Type"] = upload.content_type
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        with contextlib.closing(connection):
            connection.request("POST", f"{upload.path}?{kind.query}", body[: int(len(body) * kind.sent)], headers)
            if kind.sent < 1:
                return BROKEN_OFF
            response = connection.getresponse()
            response.read()
            return response.status
    except (OSError, http.client.HTTPException):
        return LOST


def _zip(photo: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(_PHOTOS_IN_ZIP):
            archive.writestr(f"{index}.jpg", photo)
    return stream.getvalue()


def _train(
    server: Server,
    workspace: Workspace,
    end: float,
    counts: Counter[str],
    cancelled_after: tuple[float | None, ...],
) -> None:
    """Run one training after the other and cancel some of them; each is removed afterwards."""
    for patience in _again(cancelled_after):
        if time.monotonic() > end:
            return
        uuid = server.request("POST", f"/train/?{_query(_TRAINING)}")["uuid"]
        # One that is running at the end is cancelled.
        seen = _wait(server, uuid, max(0.0, end - time.monotonic()) if patience is None else patience)
        deleted = server.request("DELETE", f"/train/{uuid}")
        ended = deleted if seen["status"] == "running" else seen
        counts[ended["status"]] += 1
        if ended["status"] not in ("done", "cancelled"):
            print(f"a training: {ended}", file=sys.stderr, flush=True)
        _remove(workspace)


def _wait(server: Server, uuid: str, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (seen := server.request("GET", f"/train/{uuid}"))["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    return dict(seen)


def _remove(workspace: Workspace) -> None:
    """Remove the model, or the interrupted training once its process has ended."""
    time.sleep(1)
    while running_trainings(workspace):
        time.sleep(0.1)
    for folder in (workspace.models / str(_TRAINING["name"]), workspace.running / str(_TRAINING["name"])):
        shutil.rmtree(folder, ignore_errors=True)


def _query(options: Mapping[str, object]) -> str:
    return urllib.parse.urlencode(options)


def _again(values: tuple[float | None, ...]) -> Iterator[float | None]:
    while True:
        yield from values
