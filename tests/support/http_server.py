"""A small HTTP server on loopback that sends the configured answers and records its requests."""

import contextlib
import dataclasses
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path


@dataclasses.dataclass
class Answer:
    """A configured answer.

    Attributes:
        status: of the answer.
        content: bytes, or a file of them.
        location: where a redirect leads.
        headers: others of the answer.
        breaks_after: bytes after which the first transfer is cut; 0 for none.
    """

    status: int
    content: Path | bytes = b""
    location: str = ""
    breaks_after: int = 0
    kind: str = "application/octet-stream"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server, and what it was asked."""

    address: str
    seen: list[Seen]


@contextlib.contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[Server]:
    """Serve `answers`: path -> answer."""
    seen: list[Seen] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(Seen(self.command, self.path, dict(self.headers), ""))
            answer = answers.get(self.path, Answer(404))
            content = answer.content.read_bytes() if isinstance(answer.content, Path) else answer.content
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if start else answer.status)
            if answer.location:
                self.send_header("Location", answer.location)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if answer.breaks_after:
                end, answer.breaks_after = answer.breaks_after, 0
                self.wfile.write(content[start:end])
                self.close_connection = True
            else:
                self.wfile.write(content[start:])

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def http_server(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on a free port of this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def answer(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    """Send one answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
