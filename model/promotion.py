"""Promotions and rollbacks of models, kept as a history in `models/promoted.json`.

Promotions form a stack: a rollback removes the top one, and the promotion below applies again. `model.registry` decides
from it which model is `latest`.
"""

import dataclasses
from contextlib import AbstractContextManager
from typing import Final, Literal

from model import durable
from model.config import is_model_name
from model.errors import ConfigError
from model.locks import exclusive
from model.provenance import utc_now
from model.reading import UnreadableError, describe, read_json, unreadable
from model.received import quoted
from model.records import record_from
from model.workspace import Workspace

PROMOTED = "promoted.json"
PROMOTE: Final = "promote"
ROLLBACK: Final = "rollback"

_UNGUARDED = "Do not promote or roll back from two processes at the same time: one of the two could be lost."


@dataclasses.dataclass(frozen=True)
class HistoryEntry:
    """One entry of the history.

    Attributes:
        time: ISO 8601 in UTC.
        model: name of the model that was promoted, or whose promotion was rolled back.
    """

    time: str
    action: Literal["promote", "rollback"]
    model: str


def promoted_models(workspace: Workspace) -> list[str]:
    """The names of the promoted models, the last promotion first; a model may be deleted, or occur more than once.

    Raises:
        ConfigError: the history cannot be read.
    """
    return _promoted(read_history(workspace))[::-1]


def promote(workspace: Workspace, name: str) -> None:
    """Make a model `latest`. The caller verifies its files before.

    Raises:
        ConfigError: the history cannot be read.
    """
    with _locked(workspace):
        _append(workspace, PROMOTE, name)


def roll_back(workspace: Workspace) -> str | None:
    """Undo the last promotion; return the name of the model that is promoted now, None if there is none.

    Raises:
        ConfigError: no model is promoted, or the history cannot be read.
    """
    with _locked(workspace):
        promoted = _promoted(read_history(workspace))
        if not promoted:
            raise ConfigError("expected a promoted model to roll back from, found none: latest is the newest model.")
        _append(workspace, ROLLBACK, promoted[-1])
        return promoted[-2] if len(promoted) > 1 else None


def read_history(workspace: Workspace) -> list[HistoryEntry]:
    """All promotions and rollbacks, oldest first.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = workspace.models / PROMOTED
    try:
        content = read_json(path)
        with unreadable():
            return [_entry(row) for row in content["history"]]
    except FileNotFoundError:
        return []
    except (OSError, UnreadableError) as error:
        raise ConfigError(
            f"{path}: expected the history of promoted models, received: {describe(error)}. "
            "Remove this file, then promote a model again."
        ) from error


def _entry(row: object) -> HistoryEntry:
    entry = record_from(HistoryEntry, row)
    if not is_model_name(entry.model):
        raise UnreadableError(f"expected the name of a model, received {quoted(entry.model)}")
    return entry


def _promoted(history: list[HistoryEntry]) -> list[str]:
    promoted: list[str] = []
    for entry in history:
        if entry.action == PROMOTE:
            promoted.append(entry.model)
        elif promoted:
            promoted.pop()
    return promoted


def _append(workspace: Workspace, action: Literal["promote", "rollback"], name: str) -> None:
    now = utc_now("seconds")
    history = [*read_history(workspace), HistoryEntry(now, action, name)]
    durable.write_json(workspace.models / PROMOTED, {"history": [dataclasses.asdict(entry) for entry in history]})


def _locked(workspace: Workspace) -> AbstractContextManager[None]:
    """Allow one writer at a time; the lock is on the folder, so that no lock file remains."""
    return exclusive(workspace.models, _UNGUARDED)
