"""A server that answers as Label Studio 1.23.2 does, with the tasks it is given."""

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_server import http_server

LEGACY_TOKEN = "0123456789abcdef"
PERSONAL_TOKEN = "header.payload.signature"
CONFIGURATION = {
    "label": {"type": "RectangleLabels", "to_name": ["image"], "inputs": [{"type": "Image", "value": "image"}]}
}


@dataclasses.dataclass
class Project:
    """What the server knows.

    Attributes:
        tasks: as exported; `updated_at` of a task changes with it.
        photos: path on the server -> content.
        configuration: as the API has it, parsed.
        statuses: path -> status to answer instead.
        pages: path -> web page to answer instead, with status 200.
        presigned: where `/tasks/N/resolve/` redirects to.
    """

    tasks: list[dict[str, Any]]
    photos: dict[str, bytes] = dataclasses.field(default_factory=dict)
    configuration: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(CONFIGURATION))
    statuses: dict[str, int] = dataclasses.field(default_factory=dict)
    pages: dict[str, str] = dataclasses.field(default_factory=dict)
    presigned: str = ""
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    exchanged: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def asked(self, path: str) -> list[str]:
        """Addresses that were requested and begin with a path."""
        return [address for address, _ in self.requests if address.startswith(path)]


@contextlib.contextmanager
def label_studio(project: Project) -> Iterator[str]:
    """Run the server; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with project.lock:
                project.requests.append((self.path, self.headers.get("Authorization", "")))
            parts = urlsplit(self.path)
            if (status := project.statuses.get(parts.path)) is not None:
                self.reply(status, b"")
            elif (page := project.pages.get(parts.path)) is not None:
                self.reply(200, page.encode(), "text/html; charset=utf-8")
            elif self.headers.get("Authorization") not in (
                f"Token {LEGACY_TOKEN}",
                f"Bearer short-{project.exchanged}",
            ):
                self.reply(401, b'{"detail": "Authentication credentials were not provided."}')
            else:
                self.answer(parts.path, parse_qs(parts.query))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/token/refresh" and body == {"refresh": PERSONAL_TOKEN}:
                project.exchanged += 1
                self.reply(200, json.dumps({"access": f"short-{project.exchanged}"}).encode())
            else:
                self.reply(401, b'{"detail": "Token is invalid"}')

        def answer(self, path: str, query: dict[str, list[str]]) -> None:
            if path == "/api/projects/1/":
                content = {"id": 1, "parsed_label_config": project.configuration, "task_number": len(project.tasks)}
                self.reply(200, json.dumps(content).encode())
            elif path == "/api/tasks":
                self.reply(200, json.dumps(self.page(query)).encode())
            elif path == "/api/projects/1/export":
                requested = set(query["ids[]"])
                found = [task for task in project.tasks if str(task["id"]) in requested]
                self.reply(200, json.dumps(found).encode())
            elif path.endswith("/resolve/") and project.presigned:
                self.send_response(303)
                self.send_header("Location", project.presigned)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif unquote(path) in project.photos:
                self.reply(200, project.photos[unquote(path)], "image/png")
            else:
                self.reply(404, b"<!doctype html>", "text/html; charset=utf-8")

        def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
            size, number = int(query["page_size"][0]), int(query["page"][0])
            shown = project.tasks[size * (number - 1) : size * number]
            rows = [
                {
                    "id": task["id"],
                    "updated_at": task["updated_at"],
                    "total_annotations": sum(not one["was_cancelled"] for one in task["annotations"]),
                    "cancelled_annotations": sum(one["was_cancelled"] for one in task["annotations"]),
                }
                for task in shown
            ]
            return {"total": len(project.tasks), "tasks": rows}

        def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    with http_server(Handler) as address:
        yield address


def served(tasks: list[dict[str, Any]], folder: Path) -> Project:
    """A project whose tasks have the photos of `boxed_tasks` in a folder."""
    photos = {}
    for task in tasks:
        task.setdefault("updated_at", "2026-01-01T00:00:00Z")
        photos[task["data"]["image"]] = (folder / f"photo {task['id']}.png").read_bytes()
    return Project(tasks, photos)
