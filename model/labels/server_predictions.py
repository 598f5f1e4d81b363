"""Predictions in a project of a Label Studio server: sent, read back, and replaced.

The server answers 201 to predictions that it then neither stores nor shows, so what it has stored is read back. New
predictions are sent before former ones are removed: a kill leaves some of both, and the next call removes the rest.
"""

import contextlib
import dataclasses
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from model.errors import StorageError, StorageNotFoundError
from model.files.browsing import name_some
from model.labels.candidates import digest, is_ours, predictions_of
from model.labels.server import LabelStudio
from model.labels.suggestions import Suggestion
from model.received import quoted
from model.results import Progress

PHASE = "send_suggestions"
TASKS_PER_PAGE = 100
_PREDICTIONS_PER_REQUEST = 100


class StoredPrediction(NamedTuple):
    """A prediction on the server: its identifier, its model version, and its checksum."""

    number: int
    version: str
    checksum: str


Stored = dict[int, list[StoredPrediction]]
"""Task -> our predictions, the oldest first."""


@dataclasses.dataclass(frozen=True)
class Replaced:
    """Numbers of predictions that were sent, that were on the server already, and that were removed from it."""

    new: int
    unchanged: int
    removed: int


def stored_predictions(tasks: Iterable[Mapping[str, Any]]) -> Stored:
    """Our predictions of tasks."""
    stored: Stored = {}
    for task in tasks:
        ours = [one for one in reversed(predictions_of(task)) if is_ours(one)]
        if ours:
            stored[int(task["id"])] = [
                StoredPrediction(int(one["id"]), str(one["model_version"]), _digest(one)) for one in ours
            ]
    return stored


def replace_predictions(
    server: LabelStudio,
    project: int,
    suggestions: Mapping[str, Sequence[Suggestion]],
    shown_version: str,
    former: Stored,
    progress: Progress,
) -> Replaced:
    """Make suggestions our only predictions in a project, and the first model version the one that it shows.

    Predictions of others are left as they are, and our own ones that are the same.

    Args:
        suggestions: model version -> the suggestions that it names.
        shown_version: the model version that annotators see first.
        former: our predictions in the project.

    Raises:
        StorageError: the server does not answer, refuses them, or has stored something else.
    """
    expected = {
        (one.task, one.digest(version)): (version, one) for version, some in suggestions.items() for one in some
    }
    known = _keys(former)
    new = [entry for key, entry in expected.items() if key not in known]
    for start in range(0, len(new), _PREDICTIONS_PER_REQUEST):
        sent = new[start : start + _PREDICTIONS_PER_REQUEST]
        content = [_content(version, suggestion) for version, suggestion in sent]
        server.send("POST", f"/api/projects/{project}/import/predictions", content)
        progress(PHASE, start + len(sent), len(new))
    stored = _stored_in(server, project)
    _check_stored(server, expected, stored)
    if suggestions.get(shown_version):
        _show(server, project, shown_version)
    removed = _remove_others(server, project, expected, stored)
    return Replaced(len(new), len(expected) - len(new), removed)


def _stored_in(server: LabelStudio, project: int) -> Stored:
    stored: Stored = {}
    for page in server.pages(project, "all", TASKS_PER_PAGE):
        stored |= stored_predictions(page)
    return stored


def _content(version: str, suggestion: Suggestion) -> dict[str, Any]:
    return {
        "task": suggestion.task,
        "result": list(suggestion.result),
        "score": suggestion.score,
        "model_version": version,
    }


def _digest(prediction: Mapping[str, Any]) -> str:
    score = prediction.get("score")
    return digest(
        str(prediction["model_version"]), score if isinstance(score, (int, float)) else -1, prediction["result"]
    )


def _check_stored(
    server: LabelStudio, expected: Mapping[tuple[int, str], tuple[str, Suggestion]], stored: Stored
) -> None:
    """Check that the server has stored the suggestions as they were sent."""
    found = _keys(stored)
    lacking = [key[0] for key in expected if key not in found]
    if lacking:
        raise StorageError(
            f"{server.url}: expected {len(expected):,} predictions as they were sent, found {len(lacking):,} missing "
            f"or changed, those of the tasks {name_some(list(map(str, lacking)))}. The former ones are kept. Check "
            "that the user of the access token may change the project, and run the command again"
        )


def _show(server: LabelStudio, project: int, version: str) -> None:
    """Set the model version whose predictions annotators see."""
    path = f"/api/projects/{project}/"
    shown = server.get(path).get("model_version")
    if shown != version:
        shown = server.send("PATCH", path, {"model_version": version}).get("model_version")
    if shown != version:
        raise StorageError(
            f"{server.url}, project {project}: expected the model version {quoted(version)}, found {quoted(shown)}. "
            "Choose it in Settings > Annotation of the project"
        )


def _remove_others(server: LabelStudio, project: int, expected: Container[tuple[int, str]], stored: Stored) -> int:
    """Remove our predictions besides one for each suggestion; their number."""
    kept: set[tuple[int, str]] = set()
    kept_versions: set[str] = set()
    superfluous = []
    for task, some in stored.items():
        for one in some:
            key = task, one.checksum
            if key in expected and key not in kept:
                kept.add(key)
                kept_versions.add(one.version)
            else:
                superfluous.append(one)
    for version in sorted({one.version for one in superfluous} - kept_versions):
        server.send("DELETE", f"/api/projects/{project}/model-versions/", {"model_version": version})
    # One after another: with SQLite, the server fails at several changes at the same time.
    for one in superfluous:
        if one.version in kept_versions:
            _remove(server, one.number)
    return len(superfluous)


def _keys(stored: Stored) -> set[tuple[int, str]]:
    """Task and checksum of each prediction."""
    return {(task, one.checksum) for task, some in stored.items() for one in some}


def _remove(server: LabelStudio, number: int) -> None:
    # Removed by a former request that was not answered, or by another user.
    with contextlib.suppress(StorageNotFoundError):
        server.send("DELETE", f"/api/predictions/{number}/")
