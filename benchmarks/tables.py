"""Measured numbers as Markdown."""

import statistics
from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def times(value: float, digits: int = 1) -> str:
    """A ratio, such as `2.5x`."""
    return f"{value:.{digits}f}x"


def verdict(goal: str, met: bool | None) -> str:
    """A goal and whether it was met; None where the measurement does not decide it."""
    word = {True: "met", False: "**missed**", None: "not decided"}[None if met is None else bool(met)]
    return f"{goal}: {word}"


def median_and_range(values: Sequence[float], digits: int = 2, unit: str = "s") -> str:
    """Median and range, such as `0.31 s (0.30 to 0.35)`."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"
