"""Metrics of the epochs of a training: written while it runs, and read by other processes.

models/.running/<name>/curves.jsonl   a line per epoch
models/<name>/results.csv             a row per epoch of the finished model
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.bundle_files import RESULTS
from model.reading import UnreadableError, parse_json, read_regular
from model.tables import read_csv
from model.workspace import Workspace

CURVES = "curves.jsonl"
METRICS = ("loss", "val_loss", "val_accuracy", "val_macro_f1")
"""Metrics of a curve; an epoch without `val_loss` is not complete."""

_MAX_BYTES = 16 << 20


class CurveWriter:
    """Appends the epochs of a training to its file. A lost line is no harm: nothing is made durable."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / CURVES
        self._pending: list[str] = []

    def add(self, phase: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add an epoch, to be written by `flush`; reports within an epoch are ignored."""
        if "val_loss" in metrics and "step" not in metrics:
            row = {"phase": phase, "epoch": epoch} | {name: metrics[name] for name in METRICS if name in metrics}
            self._pending.append(json.dumps(row) + "\n")

    def flush(self) -> None:
        """Write the epochs that were added; a full disk is reported by what the training itself writes."""
        if self._pending:
            with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8") as stream:
                stream.write("".join(self._pending))
            self._pending.clear()


def read_curves(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """Epochs of a training or of a model, in order: phase, epoch and `METRICS`; empty if there are none.

    A resumed training repeats epochs; the last one of each number counts.
    """
    rows = _of_training(workspace.running / name / CURVES) or _of_model(workspace.models / name / RESULTS)
    latest = {(row["phase"], row["epoch"]): row for row in rows}
    return list(latest.values())


def _of_training(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = read_regular(path, _MAX_BYTES).splitlines()
    except (OSError, UnreadableError):
        return []
    for line in lines:
        # The last line may be incomplete.
        with contextlib.suppress(UnreadableError, KeyError, TypeError, ValueError):
            rows.append(_row(parse_json(line, not_finite=True)))
    return rows


def _of_model(path: Path) -> list[dict[str, Any]]:
    with contextlib.suppress(OSError, UnreadableError, KeyError, TypeError, ValueError):
        return [_row(values) for values in read_csv(path)]
    return []


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name: float(values[name]) for name in METRICS if name in values}
    return {"phase": str(values["phase"]), "epoch": int(values["epoch"]), **metrics}
