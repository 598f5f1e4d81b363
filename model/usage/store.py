"""Usage records on disk: one file per model, version and day, shared by all workers, kept for `KEPT_DAYS`."""

import contextlib
import datetime
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from model import durable
from model.bundle import Manifest, version_of
from model.creation import parse_time
from model.locks import exclusive
from model.reading import UnreadableError, describe, read_json, unreadable
from model.records import record_from
from model.usage.drift import Drift
from model.usage.record import Record
from model.workspace import Workspace

KEPT_DAYS = 90
DRIFT = "drift.json"

_LOCK = "lock"
_SECONDS_FOR_THE_LOCK = 2.0
_UNGUARDED = (
    "Counts that two workers write at the same moment can be lost: for exact counts, run the service with one worker."
)
_OF_A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.(json|damaged)")

log = logging.getLogger(__name__)


class ModelVersion(NamedTuple):
    """A version of a model; usage is recorded separately for each version."""

    model: str
    version: str


NO_MODEL = ModelVersion(".requests", "")
"""Key of the records of requests for which no model was found."""


def model_version(name: str, manifest: Manifest) -> ModelVersion:
    """Version of a model."""
    return ModelVersion(
        name, version_of(manifest.created, {path: record.sha256 for path, record in manifest.files.items()})
    )


def days_before(day: str, count: int) -> str:
    """The day `count` days before another."""
    return (datetime.date.fromisoformat(day) - datetime.timedelta(days=count)).isoformat()


class UsageStore:
    """The records of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = workspace.monitor

    def folder(self, version: ModelVersion) -> Path:
        """The folder of the records of a version of a model."""
        return self._root / version.model / version.version

    def add(self, version: ModelVersion, day: str, record: Record) -> Record:
        """Add a record to the record of a day; return the total.

        Raises:
            OSError: the record cannot be written, or another process holds the lock; nothing was added.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with self._lock():
            folder = self.folder(version)
            path = folder / f"{day}.json"
            if not path.exists():
                self._remove_old(days_before(day, KEPT_DAYS))
                folder.mkdir(parents=True, exist_ok=True)
            total = _read_or_put_aside(path)
            total.merge(record)
            durable.write_text(path, json.dumps(total.to_json(), ensure_ascii=False) + "\n")
        return total

    def day_files(self, version: ModelVersion) -> dict[str, Path]:
        """Day -> its file, oldest first."""
        found = (path for path in sorted(self.folder(version).glob("*.json")) if _OF_A_DAY.fullmatch(path.name))
        return {path.stem: path for path in found}

    def days(self, version: ModelVersion) -> dict[str, Record]:
        """The record of each day, oldest first; a damaged one is left out, with a warning."""
        read = {day: read_day(path) for day, path in self.day_files(version).items()}
        return {day: record for day, record in read.items() if record is not None}

    def models(self) -> list[str]:
        """Names of the models with records of any version."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._root.iterdir() if path.is_dir() and path.name != NO_MODEL.model)
        return []

    def drift(self, version: ModelVersion) -> dict[str, Any] | None:
        """Result of the last drift check of a model (`model.usage.drift.Drift` as JSON); None without one."""
        try:
            with unreadable():
                content: dict[str, Any] = read_json(self.folder(version) / DRIFT)
                record_from(Drift, content)
                parse_time(content["looked"])
                if (latest := content.get("latest_day")) is not None:
                    record_from(Drift, latest)
                    parse_time(latest["day"])
                return content
        except (OSError, UnreadableError):
            return None

    def reset(self, model: str | None = None) -> None:
        """Delete the records of all versions of a model, or of all models.

        Counts that workers have not yet written are kept.
        """
        if not self._root.is_dir():
            return
        with self._lock():
            for folder in [self._root / model] if model else [path for path in self._root.iterdir() if path.is_dir()]:
                shutil.rmtree(folder, ignore_errors=True)

    def _remove_old(self, before: str) -> None:
        """Remove the files of days before `before`, and folders that contain no later ones."""
        for folder in [*filter(Path.is_dir, self._root.glob("*/*")), self.folder(NO_MODEL)]:
            days = [path for path in folder.glob("*") if _OF_A_DAY.fullmatch(path.name)]
            for path in days:
                if path.stem < before:
                    path.unlink(missing_ok=True)
            if days and all(path.stem < before for path in days):
                shutil.rmtree(folder, ignore_errors=True)

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        return exclusive(self._root / _LOCK, _UNGUARDED, wait=_SECONDS_FOR_THE_LOCK)


def read_day(path: Path) -> Record | None:
    """Read the record of a day; None if the file does not exist or, with a warning, is damaged."""
    try:
        with unreadable():
            return Record.from_json(read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, UnreadableError) as error:
        log.warning(
            "%s: expected the counts of a day, received: %s. The file is skipped; you may delete it.",
            path,
            describe(error),
        )
        return None


def _read_or_put_aside(path: Path) -> Record:
    found = read_day(path)
    if found is None and path.exists():
        path.replace(path.with_suffix(".damaged"))
    return Record() if found is None else found
