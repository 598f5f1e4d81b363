"""The page before a real service: `topgraft page` and `deepaas-run`, with a line between them that can be cut."""

import contextlib
import dataclasses
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.command import COMMAND, environment_of_tests
from tests.support.ports import free_port
from tests.support.waiting import answers, wait_until


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
        wait_until(lambda: answers(url), seconds=30)
        yield url
    finally:
        process.terminate()
        process.wait(10)
