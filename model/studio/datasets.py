"""Datasets that pages show: found by name, watched for changes, and checked after each of them."""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from model.curation import journal
from model.curation.changes import undoable
from model.curation.places import Contents, read_contents, version_of
from model.curation.uploads import Progress, unfinished
from model.curation.verdict import read_verdict, start_check
from model.errors import DatasetError, TopgraftError
from model.received import quoted
from model.shown import printable
from model.studio.events import Events
from model.studio.keys import WORKSPACE
from model.studio.overview import dataset_folders
from model.workspace import Workspace

SECONDS_BETWEEN_CHECKS = 0.3
SECONDS_WITHOUT_CHANGE = 0.4
"""A dataset is checked when it has not changed for so long."""
SECONDS_UNTIL_UNUSED = 600.0
"""A dataset that no page asked for so long is not watched any more."""

COVERS = 3
"""Photos that stand for a class."""

log = logging.getLogger(__name__)


def find_dataset(workspace: Workspace, name: str) -> Path:
    """Folder of the dataset with this name.

    Raises:
        DatasetError: there is none; a name is never a path.
    """
    found = next((path for path in dataset_folders(workspace) if path.name == name), None)
    if found is None:
        raise DatasetError(
            f"expected the name of a dataset in {workspace.data}, received {quoted(name)}: there is no such dataset"
        ).coded("dataset_gone", name=printable(name))
    return found


@functools.lru_cache(maxsize=4)
def contents_at(dataset: Path, _version: str) -> Contents:
    """Content of a dataset at a version of it."""
    return read_contents(dataset)


def contents(dataset: Path) -> Contents:
    """Content of a dataset; from memory if nothing has changed on the disk."""
    return contents_at(dataset, version_of(dataset))


def description(dataset: Path) -> dict[str, Any]:
    """What a page shows of a dataset, besides its photos."""
    version = version_of(dataset)
    content = contents_at(dataset, version)
    entries = journal.entries(dataset)
    last = undoable(entries)
    return {
        "name": dataset.name,
        "version": version,
        "editable": content.is_editable,
        "problem": content.problem,
        "classes": [
            {"name": name, "photos": len(photos), "covers": photos[:COVERS]} for name, photos in content.classes.items()
        ],
        "unlabelled": len(content.unlabelled),
        "removed": len(content.removed),
        "undo": {"number": last[0].number, "kind": last[0].kind} if last else None,
        "changes": len(entries),
        "uploads": [_unfinished_row(upload) for upload in unfinished(dataset)],
    }


def _unfinished_row(upload: Progress) -> dict[str, Any]:
    row = {name: getattr(upload, name) for name in ("upload", "files", "arrived")}
    return row | {"refusals": len(upload.refused)}


class WatchedDatasets:
    """Reports changes of the datasets that pages show, by whatever program, and checks them after each.

    One dataset is checked at a time, in a process of its own.
    """

    def __init__(self, workspace: Workspace, events: Events) -> None:
        self._workspace, self._events = workspace, events
        self._used: dict[str, float] = {}
        self._versions: dict[str, str] = {}
        self._changed: dict[str, float] = {}
        self._checked: dict[str, dict[str, Any]] = {}
        self._wake = asyncio.Event()

    def use(self, name: str) -> None:
        """Watch a dataset, because a page shows it."""
        self._used[name] = time.monotonic()
        self._wake.set()

    def changed(self) -> None:
        """Look for changes now: one has been made."""
        self._wake.set()

    def verdict(self, name: str) -> dict[str, Any] | None:
        """Last verdict about a dataset; None before its first check."""
        return self._checked.get(name)

    async def watch(self) -> None:
        """Watch until it is cancelled."""
        checks: asyncio.Task[None] | None = None
        try:
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), SECONDS_BETWEEN_CHECKS if self._used else None)
                self._wake.clear()
                try:
                    await self._report_changes()
                except Exception:
                    log.exception("the datasets could not be watched")
                if (checks is None or checks.done()) and (name := self._next_unchecked()):
                    checks = asyncio.create_task(self._check(name))
        finally:
            if checks is not None:
                checks.cancel()

    async def _report_changes(self) -> None:
        now = time.monotonic()
        self._used = {name: used for name, used in self._used.items() if now - used < SECONDS_UNTIL_UNUSED}
        for name in list(self._used):
            version = await asyncio.to_thread(self._version, name)
            if version != self._versions.get(name):
                if name in self._versions:
                    self._events.send("dataset", {"name": name, "version": version})
                self._versions[name], self._changed[name] = version, time.monotonic()

    def _version(self, name: str) -> str:
        try:
            return version_of(find_dataset(self._workspace, name))
        except (DatasetError, OSError):
            return ""

    def _next_unchecked(self) -> str | None:
        for name in sorted(self._used, key=self._used.__getitem__, reverse=True):
            version = self._versions.get(name)
            is_new = version and self._checked.get(name, {}).get("version") != version
            if is_new and time.monotonic() - self._changed[name] > SECONDS_WITHOUT_CHANGE:
                return name
        return None

    async def _check(self, name: str) -> None:
        version = self._versions[name]
        self._events.send("check", {"name": name, "checking": True, "verdict": self.verdict(name)})
        try:
            verdict = await _verdict(find_dataset(self._workspace, name))
        except TopgraftError as error:
            verdict = {"version": version, "problem": error.message, "ready": False}
        except Exception:
            log.exception("%s could not be checked", name)
            verdict = {"version": version, "problem": "the check failed; the reason is in the log", "ready": False}
        # What changed during the check has another version, and is checked again.
        self._checked[name] = verdict | {"version": version}
        self._events.send("check", {"name": name, "checking": False, "verdict": verdict})
        self._wake.set()


async def _verdict(dataset: Path) -> dict[str, Any]:
    """Check a dataset in a process that ends when this task is cancelled: the server does not wait for it."""
    child = start_check(dataset)
    try:
        output, _ = await asyncio.to_thread(child.communicate)
    finally:
        child.kill()
    return read_verdict(dataset, output)


WATCHED = web.AppKey("watched", WatchedDatasets)


async def watch_datasets(app: web.Application) -> AsyncIterator[None]:
    """Watch the datasets that pages show while the application runs."""
    task = asyncio.create_task(app[WATCHED].watch())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def requested_dataset(request: web.Request) -> Path:
    """Dataset in the path of a request, which is watched from now on.

    Raises:
        DatasetError: there is none.
    """
    dataset = find_dataset(request.app[WORKSPACE], request.match_info["dataset"])
    request.app[WATCHED].use(dataset.name)
    return dataset
