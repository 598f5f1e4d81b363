"""The page before a real service: `topgraft page` and `deepaas-run`, with a line between them that can be cut."""

import contextlib
import dataclasses
import io
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from tests.api.live import free_port, wait_for
from tests.cli.conftest import COMMAND, environment_of_tests

# Class names are the user's, and can be any: each a folder's.
CLASSES = {
    "red": (150, 0, 0),
    "深蓝色": (0, 0, 150),
    "أزرق مخضر": (0, 140, 120),
    "🦠 emoji": (140, 130, 0),
    "a_very_long_name_" + "without_any_blank_" * 6: (60, 60, 60),
    "<img src=x onerror=\"document.title='owned'\">": (120, 0, 130),
}
PHOTOS_PER_CLASS = 8


def photo(colours: tuple[tuple[int, int, int], ...], seed: int) -> bytes:
    """A JPEG of 128 x 96 pixels, noise around the colours, which stand side by side."""
    rng = np.random.default_rng(seed)
    noise = np.kron(rng.integers(0, 100, (6, 8, 3)), np.ones((16, 16, 1)))
    columns = np.array(colours)[np.arange(128) * len(colours) // 128]
    stream = io.BytesIO()
    Image.fromarray((noise + columns).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_photos(folder: Path) -> Path:
    """A folder per class."""
    for label, (name, colour) in enumerate(CLASSES.items()):
        (folder / name).mkdir(parents=True)
        for index in range(PHOTOS_PER_CLASS):
            (folder / name / f"{index}.jpg").write_bytes(photo((colour,), seed=100 * label + index))
    return folder


@dataclasses.dataclass(frozen=True)
class Line:
    """Carries connections to a service, and can be cut as if the service had gone."""

    port: int
    target: tuple[str, int]
    _open: list[socket.socket] = dataclasses.field(default_factory=list)

    def join(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._open.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        while self._open:
            ending = self._open.pop()
            # Closing alone leaves a thread that waits for it, and the port, as they are.
            with contextlib.suppress(OSError):
                ending.shutdown(socket.SHUT_RDWR)
            ending.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                self._open.extend((near, far))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running_page(api: str, cwd: Path) -> Iterator[str]:
    """The address of the page of a `topgraft page` that runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    arguments = ("page", "--port", str(port), "--api", api)
    process = subprocess.Popen([*COMMAND, *arguments], cwd=cwd, env=environment_of_tests(cwd))
    try:
        wait_for(lambda: _answers(url), seconds=30)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).ok
    return False
