"""Promotions and rollbacks of models, kept as a history in `models/promoted.json`.

Promotions form a stack: a rollback removes the top one, and the promotion below applies again. `model.registry` decides
from it which model is `latest`.
"""

import dataclasses
from collections.abc import Sequence
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


@dataclasses.dataclass(frozen=True)
class ComparedMetric:
    """A metric of the promoted model and of the model before, on the same photos.

    Attributes:
        images: number of photos.
        base, new: the metric of the model before, and of the promoted model, in [0, 1].
        difference: `new` minus `base`.
        interval: its 95 % interval.
        p_value: probability of a difference as large by chance alone.
    """

    images: int
    base: float
    new: float
    difference: float
    interval: tuple[float, float]
    p_value: float


@dataclasses.dataclass(frozen=True)
class PromotionComparison:
    """The comparison that a model was promoted by.

    Attributes:
        model: the promoted model.
        base: the model that it was compared with.
        dataset: the dataset of the photos.
        metric: accuracy, balanced_accuracy or macro_f1.
        photos: by kind: `shared`, `new`, `base` and `all`, as far as there are such photos.
        time: of the promotion, as in its entry of the history.
    """

    model: str
    base: str
    dataset: str
    metric: str
    photos: dict[str, ComparedMetric]
    time: str = ""


def promoted_models(workspace: Workspace) -> list[str]:
    """The names of the promoted models, the last promotion first; a model may be deleted, or occur more than once.

    Raises:
        ConfigError: the history cannot be read.
    """
    return _promoted(read_history(workspace))[::-1]


def promote(
    workspace: Workspace,
    name: str,
    comparison: PromotionComparison | None = None,
    decided_on: Sequence[str] | None = None,
) -> None:
    """Make a model `latest`. The caller verifies its files before.

    Args:
        comparison: the comparison that the promotion is due to, to keep with it.
        decided_on: the `promoted_models` when the promotion was decided, which must not have changed since; None if it
            does not depend on them.

    Raises:
        ConfigError: the history cannot be read, or another process promoted or rolled back in the meantime.
    """
    with _locked(workspace):
        now = promoted_models(workspace)
        if decided_on is not None and now != list(decided_on):
            before, after = (models[0] if models else "no model" for models in (decided_on, now))
            raise ConfigError(
                f"{name} is not promoted: expected that {before} was promoted last, as when the comparison began, "
                f"found {after}: another process promoted or rolled back in the meantime. Run the command again."
            )
        _append(workspace, PROMOTE, name, comparison)


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
    return _read(workspace)[0]


def read_comparisons(workspace: Workspace) -> list[PromotionComparison]:
    """The comparisons that models were promoted by, oldest first.

    Raises:
        ConfigError: the file cannot be read.
    """
    return _read(workspace)[1]


def _read(workspace: Workspace) -> tuple[list[HistoryEntry], list[PromotionComparison]]:
    path = workspace.models / PROMOTED
    try:
        content = read_json(path)
        with unreadable():
            # Next to the history: versions that do not know the comparisons read the history all the same.
            comparisons = [record_from(PromotionComparison, row) for row in content.get("comparisons", [])]
            return [_entry(row) for row in content["history"]], comparisons
    except FileNotFoundError:
        return [], []
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


def _append(
    workspace: Workspace,
    action: Literal["promote", "rollback"],
    name: str,
    comparison: PromotionComparison | None = None,
) -> None:
    now = utc_now("seconds")
    history, comparisons = _read(workspace)
    content = {"history": [dataclasses.asdict(entry) for entry in (*history, HistoryEntry(now, action, name))]}
    if comparison is not None:
        comparisons = [*comparisons, dataclasses.replace(comparison, time=now)]
    if comparisons:
        content["comparisons"] = [dataclasses.asdict(one) for one in comparisons]
    durable.write_json(workspace.models / PROMOTED, content)


def _locked(workspace: Workspace) -> AbstractContextManager[None]:
    """Allow one writer at a time; the lock is on the folder, so that no lock file remains."""
    return exclusive(workspace.models, _UNGUARDED)
