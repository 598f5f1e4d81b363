"""Faults of transfers to and from a remote storage, each with the outcome that is expected of it."""

import contextlib
import dataclasses
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from model.errors import TopgraftError
from model.files.packing import pack_folder
from model.storage import failures, open_storage
from model.storage.pulling import pull
from tests.support.command import ROOT
from tests.support.kills import Outcome, kill_at_random, wait_for_beginning
from tests.support.storage_servers import NEXTCLOUD_ROOT, Fault, FaultyProxy, webdav_server

FOLDER, NAME = "models", "pets.tar.xz"
SIZE = 3_000_000
FILES, FILE_BYTES = 40, 20_000
PAUSES = (0.05, 0.05, 0.05)
FULL_DISK_BYTES = 300_000

# Under which rclone writes a file, until it has its name.
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial$")
# All is imported, and the transfer begins.
_BEGINS = "print('begins', flush=True); "
_PUSH = f"import sys; from pathlib import Path; from model.storage import open_storage; {_BEGINS}"
_PUSH += "open_storage(sys.argv[1]).push(Path(sys.argv[2]), sys.argv[3])"
_PULL = f"import sys; from pathlib import Path; from model.storage.pulling import pull; {_BEGINS}"
_PULL += "pull(sys.argv[1], Path(sys.argv[2]))"


class Scene:
    """A server with an archive and a folder of files, a proxy before it, and new content to send."""

    def __init__(self, root: Path, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self.remote = proxy.upstream.folder
        self.local = root / "here"
        rng = random.Random(0)
        self.old, self.new = rng.randbytes(SIZE), rng.randbytes(SIZE)
        self.source = root / "new.tar.xz"
        self.source.write_bytes(self.new)
        photos = root / "photos"
        for index in range(FILES):
            path = photos / str(index % 4) / f"{index}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(FILE_BYTES))
        self.photos = _content(photos)
        pack_folder(photos, self.remote / "photos.tar")
        photos.rename(self.remote / "photos")
        self.archive.parent.mkdir()
        self.reset()

    @property
    def archive(self) -> Path:
        """The archive, where the server keeps it."""
        return self.remote / FOLDER / NAME

    def reset(self) -> None:
        """No fault: the old archive in the remote, no local files."""
        self.proxy.faults.clear()
        self.proxy.seen.clear()
        for left in self.archive.parent.iterdir():
            left.unlink()
        self.archive.write_bytes(self.old)
        if self.local.exists():
            self.local.rename(self.local.with_name(f"before-{time.monotonic_ns()}"))

    def act(self, what: str) -> None:
        """Send the new archive, or fetch the photos, as they are or packed."""
        if what == "push":
            open_storage(f"rshare:{FOLDER}").push(self.source, NAME)
        else:
            pull("rshare:photos.tar" if what == "pull packed" else "rshare:photos", self.local)

    def is_whole(self) -> bool:
        """Whether the archive is the old one or the new one, and every local file one of the photos."""
        found = _content(self.local) if self.local.exists() else {}
        here_is_whole = all(self.photos.get(name) == content for name, content in found.items())
        return here_is_whole and self.archive.read_bytes() in (self.old, self.new)

    def recovers(self, what: str) -> bool:
        """Whether the same act succeeds completely once the faults are gone."""
        self.proxy.faults.clear()
        self.act(what)
        return self.archive.read_bytes() == self.new if what == "push" else _content(self.local) == self.photos


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault, and what is expected of it.

    Attributes:
        name: in the table.
        act: what is done while it happens: push, pull (a folder) or pull packed.
        faults: what the proxy does.
        expected: the class of the error, or `done` where the transfer gets over it.
        holds: what must be true of the requests, besides.
    """

    name: str
    act: str
    faults: tuple[Fault, ...]
    expected: str
    holds: Callable[[FaultyProxy], bool] = lambda proxy: True


ROWS = (
    Row(
        "push: the server fails midway, permanently",
        "push",
        (Fault("", "hang up", where=FOLDER),),
        "StorageUnreachableError",
    ),
    Row("push: the server fails midway and recovers", "push", (Fault("PUT", "cut upload", 2),), "done"),
    Row(
        "push: the storage is full (507)",
        "push",
        (Fault("PUT", "status", status=507),),
        "StorageFullError",
        lambda proxy: proxy.count("PUT") == 1,
    ),
    Row(
        "push: the quota is too small",
        "push",
        (Fault("PROPFIND", "quota"),),
        "StorageFullError",
        lambda proxy: proxy.count("PUT") == 0,
    ),
    Row(
        "push: wrong password (401)",
        "push",
        (Fault("", "status", status=401),),
        "StorageRefusedError",
        lambda proxy: proxy.count("PROPFIND", 401) == 1 and len(proxy.seen) == 1,
    ),
    Row(
        "push: forbidden (403)",
        "push",
        (Fault("PUT", "status", status=403),),
        "StorageRefusedError",
        lambda proxy: proxy.count("PUT") == 1,
    ),
    Row("push: locked (423), then free", "push", (Fault("MOVE", "status", 2, status=423),), "done"),
    Row("push: locked (423), permanently", "push", (Fault("MOVE", "status", status=423),), "StorageBusyError"),
    Row("push: overloaded (503), then not overloaded", "push", (Fault("PUT", "status", 2, status=503),), "done"),
    Row("push: read-back differs", "push", (Fault("GET", "corrupt"),), "StorageDamagedError"),
    Row("pull: the server fails midway and recovers", "pull packed", (Fault("GET", "cut download", 2),), "done"),
    Row(
        "pull: the server fails midway, permanently",
        "pull packed",
        (Fault("GET", "cut download"),),
        "StorageUnreachableError",
    ),
    Row("pull: wrong checksum in an archive", "pull packed", (Fault("GET", "corrupt"),), "ArchiveError"),
    Row("pull: not found (404)", "pull", (Fault("", "status", status=404),), "StorageNotFoundError"),
    Row(
        "pull: wrong password (401)",
        "pull",
        (Fault("", "status", status=401),),
        "StorageRefusedError",
        lambda proxy: len(proxy.seen) == 1,
    ),
    Row("pull: overloaded (503), then not overloaded", "pull", (Fault("GET", "status", 3, status=503),), "done"),
    Row("pull: single files are cut off", "pull", (Fault("GET", "cut download", 3),), "done"),
)


@contextlib.contextmanager
def scene_in(root: Path) -> Iterator[Scene]:
    """A scene in an empty folder; its remote storage is `rshare:` in this process; retries pause briefly."""
    folder = root / "there"
    folder.mkdir()
    with webdav_server(folder, NEXTCLOUD_ROOT) as server, FaultyProxy(server) as proxy:
        environment = proxy.environment() | {"TOPGRAFT_CACHE": str(root / "cache")}
        with mock.patch.dict(os.environ, environment), mock.patch.object(failures, "SECONDS_BETWEEN_TRIES", PAUSES):
            yield Scene(root, proxy)


def play(scene: Scene, row: Row) -> Outcome:
    """Let one fault happen, check what is left, and do the same again with all well."""
    scene.reset()
    scene.proxy.faults = [dataclasses.replace(fault) for fault in row.faults]
    answer = _answer_to(lambda: scene.act(row.act))
    whole = scene.is_whole() and row.holds(scene.proxy)
    return Outcome(1, answer, int(not (whole and scene.recovers(row.act))))


def push_twice_at_once(scene: Scene) -> Outcome:
    """Two processes send different content to one name, three times."""
    outcome = Outcome(3)
    other = scene.source.with_name("other.tar.xz")
    other.write_bytes(scene.old[::-1])
    for _ in range(outcome.trials):
        scene.reset()
        pushes = [_start(_PUSH, f"rshare:{FOLDER}", str(path), NAME) for path in (scene.source, other)]
        ended_well = [push.wait() == 0 for push in pushes]
        is_one = scene.archive.read_bytes() in (scene.new, other.read_bytes())
        outcome.harmed += not (all(ended_well) and is_one and _left_over(scene) == [])
    return outcome


def kill_pushes(scene: Scene, times: int) -> Outcome:
    """kill -9 of the process that pushes, as in `kill_at_random`."""
    return _kill(scene, "push", times, _PUSH, f"rshare:{FOLDER}", str(scene.source), NAME)


def kill_pulls(scene: Scene, times: int) -> Outcome:
    """The same of the process that pulls the folder of photos."""
    return _kill(scene, "pull", times, _PULL, "rshare:photos", str(scene.local))


def fill_disk(scene: Scene) -> Outcome:
    """No local file may grow beyond some bytes: writing the archive fails as on a full disk."""
    scene.reset()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, resource.RLIM_INFINITY))

    code = f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {_PULL}"
    child = _start(code, "rshare:photos.tar", str(scene.local), preexec_fn=limit, stderr=subprocess.PIPE)
    _, said = child.communicate()
    answer = "StorageFullError" if b"StorageFullError" in said else said.decode(errors="replace")[-200:]
    return Outcome(1, answer, int(not (scene.is_whole() and scene.recovers("pull packed"))))


def _kill(scene: Scene, act: str, times: int, *command: str) -> Outcome:
    def survives() -> bool:
        return scene.is_whole() and scene.recovers(act)

    return kill_at_random(lambda: _begun(*command), scene.reset, survives, times)


def _start(code: str, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, **options)


def _begun(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start such a process and wait until its transfer has begun."""
    child = _start(code, *arguments)
    wait_for_beginning(child)
    return child


def _answer_to(act: Callable[[], None]) -> str:
    try:
        act()
    except TopgraftError as error:
        return type(error).__name__
    return "done"


def _left_over(scene: Scene) -> list[str]:
    return [path.name for path in scene.archive.parent.iterdir() if path.name != NAME]


def _content(folder: Path) -> dict[str, bytes]:
    """The files that a person sees in a folder."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not _PARTIAL.search(name)}
