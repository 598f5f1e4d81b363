"""Tasks of a project on a Label Studio server, kept so that only changed ones are requested again."""

import hashlib
import logging
from pathlib import Path
from typing import Any

from model import durable
from model.labels.label_studio import is_task
from model.labels.server import LabelStudio
from model.labels.task_photos import photo_keys
from model.reading import UnreadableError, read_json, without_number
from model.workspace import cache_directory

_MAX_BYTES = 1 << 27

log = logging.getLogger(__name__)


def current_tasks(server: LabelStudio, project: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The annotated tasks of a project, and its `photo_keys`; tasks of the last request are kept in the cache.

    Raises:
        DatasetError: the project has no labelling configuration for photos.
        StorageError: the server cannot be read; the cache is unchanged.
    """
    keys = photo_keys(server.project(project))
    path = _cached_path(server.url, project)
    tasks = server.tasks(project, _read(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_json(path, tasks)
    except OSError as error:
        log.warning("%s: the tasks could not be kept for the next import: %s", path, without_number(error))
    return tasks, keys


def _cached_path(url: str, project: int) -> Path:
    digest = hashlib.sha256(f"{url} {project}".encode()).hexdigest()[:16]
    return cache_directory() / "label-studio" / f"{digest}.json"


def _read(path: Path) -> dict[str, Any]:
    """Identifier -> task, of the last request; empty if there are none that can be read."""
    try:
        tasks = read_json(path, _MAX_BYTES)
    except (OSError, UnreadableError):
        return {}
    found = tasks if isinstance(tasks, list) else []
    return {str(task["id"]): task for task in found if is_task(task) and "id" in task}
