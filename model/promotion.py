"""Which trained model `latest` means when people have chosen one: `models/promoted.json`.

The file is the history of these choices. The promotions that were not rolled back stand on each other: a rollback
takes the uppermost away, and the one below counts again.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from model import durable
from model.config import is_model_name
from model.errors import ConfigError
from model.workspace import Workspace

PROMOTED = "promoted.json"
PROMOTE: Final = "promote"
ROLLBACK: Final = "rollback"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One line of the history.

    Attributes:
        time: ISO 8601 in UTC.
        model: that was promoted, or whose promotion was taken back.
    """

    time: str
    action: Literal["promote", "rollback"]
    model: str


class Order(NamedTuple):
    """What `latest` means.

    Attributes:
        names: the models to try, in this order: those promoted, uppermost first, then the newest.
        promoted: whether the first of them is there because it was promoted.
        warnings: why a promotion does not count.
    """

    names: list[str]
    promoted: bool
    warnings: list[str]


def order_for_latest(workspace: Workspace, newest_first: Sequence[str]) -> Order:
    """In which order `latest` tries the models that there are.

    Args:
        newest_first: the names of all models, by age.
    """
    try:
        standing = list(reversed(_standing(read_history(workspace))))
    except ConfigError as error:
        return Order(list(newest_first), False, [f"latest: promotions are ignored: {error.message}"])
    there = set(newest_first)
    gone = list(itertools.takewhile(lambda name: name not in there, standing))
    warnings = [
        f"latest: the promoted model {name} is not there any more. Promote another, or roll back."
        for name in dict.fromkeys(gone)
    ]
    promoted = [name for name in standing if name in there]
    return Order(list(dict.fromkeys([*promoted, *newest_first])), bool(promoted), warnings)


def promote(workspace: Workspace, name: str) -> None:
    """Let `latest` mean this model from now on. Whether it is whole is for the caller to see to.

    Raises:
        ConfigError: the history cannot be read.
    """
    with _locked(workspace):
        _append(workspace, PROMOTE, name)


def roll_back(workspace: Workspace) -> str | None:
    """Take the uppermost promotion back; return the model that is promoted now, None where there is none.

    Raises:
        ConfigError: no model is promoted, or the history cannot be read.
    """
    with _locked(workspace):
        standing = _standing(read_history(workspace))
        if not standing:
            raise ConfigError("expected a promoted model to roll back from, found none: latest is the newest model.")
        _append(workspace, ROLLBACK, standing[-1])
        return standing[-2] if len(standing) > 1 else None


def read_history(workspace: Workspace) -> list[Choice]:
    """Every choice so far, oldest first.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = workspace.models / PROMOTED
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["history"]
        return [_choice(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: expected the history of promoted models, received: {error!r}. "
            "Remove this file, then promote a model again."
        ) from error


def _choice(row: dict[str, Any]) -> Choice:
    choice = Choice(**row)
    if choice.action not in (PROMOTE, ROLLBACK) or not is_model_name(choice.model):
        raise ValueError(row)
    return choice


def _standing(history: list[Choice]) -> list[str]:
    standing: list[str] = []
    for choice in history:
        if choice.action == PROMOTE:
            standing.append(choice.model)
        elif standing:
            standing.pop()
    return standing


def _append(workspace: Workspace, action: Literal["promote", "rollback"], name: str) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    history = [*read_history(workspace), Choice(now, action, name)]
    durable.write_json(workspace.models / PROMOTED, {"history": [dataclasses.asdict(choice) for choice in history]})


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """One writer at a time; the lock is on the folder, so that no file is left behind."""
    descriptor = os.open(workspace.models, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
