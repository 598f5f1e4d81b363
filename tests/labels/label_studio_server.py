"""A server that answers as Label Studio 1.23.2 does, with the tasks it is given."""

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
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
        shown: other fields of the project, as the API has them; `model_version` is one.
        changes: requests that change something, and their content, in the order they came.
        stored: function from a prediction that came to the one that is stored; None if none is.
        before_change: called with the number of a change, from 1, before it is carried out; a status that it returns
            is answered instead.
        after_change: the same, after it was carried out.
    """

    tasks: list[dict[str, Any]]
    photos: dict[str, bytes] = dataclasses.field(default_factory=dict)
    configuration: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(CONFIGURATION))
    statuses: dict[str, int] = dataclasses.field(default_factory=dict)
    pages: dict[str, str] = dataclasses.field(default_factory=dict)
    presigned: str = ""
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    shown: dict[str, Any] = dataclasses.field(default_factory=dict)
    changes: list[tuple[str, str, Any]] = dataclasses.field(default_factory=list)
    stored: Callable[[dict[str, Any]], dict[str, Any] | None] = dict
    before_change: Callable[[int], int | None] = lambda number: None
    after_change: Callable[[int], int | None] = lambda number: None
    exchanged: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def predictions(self, number: int) -> list[dict[str, Any]]:
        """The predictions of a task."""
        [task] = [task for task in self.tasks if task["id"] == number]
        predictions: list[dict[str, Any]] = task["predictions"]
        return predictions

    def add_prediction(self, number: int, **content: Any) -> None:
        """Store a prediction of a task."""
        highest = max((one["id"] for task in self.tasks for one in task["predictions"]), default=0)
        self.predictions(number).append({"id": highest + 1, "task": number} | content)

    def change(self, method: str, path: str, content: Any) -> Any:
        """Carry out a request that changes something; its answer, None if there is no such address."""
        if (method, path) == ("POST", "/api/projects/1/import/predictions"):
            kept = [stored for one in content if (stored := self.stored(one)) is not None]
            for one in kept:
                self.add_prediction(one["task"], **one)
            return {"created": len(kept)}
        if (method, path) == ("PATCH", "/api/projects/1/"):
            self.shown |= content
            return {"id": 1} | self.shown
        if (method, path) == ("DELETE", "/api/projects/1/model-versions/"):
            return self._remove(lambda one: one["model_version"] == content["model_version"])
        if method == "DELETE" and path.startswith("/api/predictions/"):
            return self._remove(lambda one: one["id"] == int(path.split("/")[3]))
        return None

    def _remove(self, is_removed: Callable[[dict[str, Any]], bool]) -> dict[str, int]:
        before = sum(len(task["predictions"]) for task in self.tasks)
        for task in self.tasks:
            task["predictions"] = [one for one in task["predictions"] if not is_removed(one)]
        return {"deleted_predictions": before - sum(len(task["predictions"]) for task in self.tasks)}

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
            elif not self.is_authorized():
                self.reply(401, b'{"detail": "Authentication credentials were not provided."}')
            else:
                self.answer(parts.path, parse_qs(parts.query))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
            if self.path == "/api/token/refresh" and body == {"refresh": PERSONAL_TOKEN}:
                project.exchanged += 1
                self.reply(200, json.dumps({"access": f"short-{project.exchanged}"}).encode())
            elif not self.is_authorized():
                self.reply(401, b'{"detail": "Token is invalid"}')
            else:
                self.carry_out(body)

        do_PATCH = do_DELETE = do_POST

        def is_authorized(self) -> bool:
            allowed = f"Token {LEGACY_TOKEN}", f"Bearer short-{project.exchanged}"
            return self.headers.get("Authorization") in allowed

        def carry_out(self, body: Any) -> None:
            with project.lock:
                project.changes.append((self.command, self.path, body))
                number = len(project.changes)
            answer: Any = {}
            if (status := project.before_change(number)) is None:
                with project.lock:
                    answer = project.change(self.command, self.path, body)
                status = project.after_change(number)
            success = 404 if answer is None else 201 if self.command == "POST" else 200
            self.reply(status or success, json.dumps(answer).encode())

        def answer(self, path: str, query: dict[str, list[str]]) -> None:
            if path == "/api/projects/1/":
                content = {"id": 1, "parsed_label_config": project.configuration, "task_number": len(project.tasks)}
                self.reply(200, json.dumps(content | project.shown).encode())
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
                    **(task if query["fields"] == ["all"] else {}),
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
