"""Leaderboards: the models of each dataset, the most accurate first."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

FINGERPRINT_SHOWN = 12
"""Characters of a fingerprint that identify a dataset on a leaderboard."""


class Entry(NamedTuple):
    """A model on a leaderboard: its name, the place and the fingerprint of its dataset, and its accuracy if known."""

    name: str
    dataset: str
    fingerprint: str
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """The models of one dataset.

    Attributes:
        dataset: where the dataset was. Models of one dataset that was in several places name all of them.
        fingerprint: the beginning of its fingerprint; empty if it is not known.
        models: names of the models, the most accurate first.
    """

    dataset: str
    fingerprint: str
    models: tuple[str, ...]


def leaderboards(entries: Iterable[Entry]) -> list[Leaderboard]:
    """A leaderboard for each dataset, by its name. Datasets with the same photos are one, wherever they are."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.fingerprint, "" if entry.fingerprint else entry.dataset)
        groups.setdefault(key, []).append(entry)
    boards = []
    for (fingerprint, _), found in groups.items():
        found.sort(key=lambda entry: (entry.accuracy is None, -(entry.accuracy or 0.0), entry.name))
        dataset = ", ".join(dict.fromkeys(entry.dataset for entry in found if entry.dataset)) or "unknown dataset"
        boards.append(Leaderboard(dataset, fingerprint, tuple(entry.name for entry in found)))
    return sorted(boards, key=lambda board: (board.dataset, board.fingerprint))
