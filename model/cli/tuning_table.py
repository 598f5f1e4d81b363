"""The table of a tuning, for a terminal."""

from typing import Any

from model.cli.output import format_share
from model.training_result import Tuning

_MOST_COLUMNS = 200


def show_tuning(tuning: Tuning) -> None:
    """Write the table of a search, and the reason for its choice, to standard output."""
    from rich.console import Console

    terminal = Console()
    # Not on a terminal: rows stay in one piece, whatever the width that is assumed.
    console = terminal if terminal.is_terminal else Console(width=_MOST_COLUMNS)
    console.print(_table(tuning))
    for backbone, reason in tuning.left_out.items():
        console.print(f"Not tried: {backbone}: {reason}", markup=False, highlight=False)
    console.print(
        f"{tuning.trials} candidates on {tuning.images} images in {tuning.seconds:.0f} s. {tuning.reason}",
        markup=False,
        highlight=False,
    )


def _table(tuning: Tuning) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "backbone", "options"):
        table.add_column(heading)
    for heading in ("accuracy (95 % interval)", "macro-F1 (95 % interval)", "loss", "ms", "MB", "trials"):
        table.add_column(heading, justify="right")
    for row in tuning.rows:
        table.add_row(
            "*" if row.chosen else "",
            row.backbone,
            ", ".join(f"{name}={value}" for name, value in row.options.items()) or "as they are",
            _with_interval(row.accuracy, row.accuracy_interval),
            _with_interval(row.macro_f1, row.macro_f1_interval),
            f"{row.loss:.3f}",
            f"{row.latency_ms:.1f}",
            f"{row.size_mb:.1f}",
            str(row.trials),
            style="bold" if row.chosen else None,
        )
    return table


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{format_share(value)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
