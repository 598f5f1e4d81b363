"""Tables of `topgraft monitor` for a terminal."""

from collections.abc import Sequence
from typing import Any

from model.cli.output import format_percentage, table_console
from model.shown import counted
from model.usage.sample import MAX_ROWS

_MAX_CLASSES = 30
_BAR = 30
_NOTHING = "-"


def show_all(summary: dict[str, Any]) -> None:
    """Print one line per model."""
    console = table_console()
    table = _table(
        ("model",),
        ("photos", "unknown", "uncertain", "confidence", "unreadable", "errors", "ms p50", "ms p99"),
        ("drift",),
    )
    for model in summary["models"]:
        latency, latest = _fastest_form(model["latency_ms"]), _drift_of_the_latest_day(model)
        table.add_row(
            model["name"],
            f"{model['photos']:,}",
            _percentage(model["unknown_share"]),
            _percentage(model["uncertain_share"]),
            _number(model["mean_confidence"]),
            str(model["unreadable"]),
            str(sum(model["errors"].values())),
            _milliseconds(latency, "p50"),
            _milliseconds(latency, "p99"),
            _verdict(model["drift"]) + (f"; drift on {latest['day']}" if latest else ""),
        )
    console.print(f"The last {summary['days']} days")
    console.print(table)
    if summary["errors_without_model"]:
        _say(console, f"Refused before a model was selected: {_counts(summary['errors_without_model'])}")


def show_model(summary: dict[str, Any]) -> None:
    """Print all statistics of one model."""
    console = table_console()
    different = summary["different_photos"]
    distinct = f" ({'about ' if different >= MAX_ROWS else ''}{different:,} different)" if different else ""
    photos = f"{counted(summary['photos'], 'photo')}{distinct}"
    _say(console, f"{summary['name']}, the last {counted(summary['days'], 'day')}: {photos}")
    shares = [_percentage(summary[name]) for name in ("unknown_share", "uncertain_share")]
    _say(console, f"Unknown: {shares[0]} ({summary['unknown']:,})  Uncertain: {shares[1]} ({summary['uncertain']:,})")
    _say(console, f"Answers: {_counts(summary['answers']) or 'none'}")
    if summary["errors"] or summary["unreadable"]:
        _say(console, f"Errors: {_counts(summary['errors'])}; {summary['unreadable']} unreadable images in zips")
    drift = summary["drift"]
    _say(console, f"Drift: {drift['verdict']}: {drift['reason']}", bold=drift["verdict"] == "drift")
    if latest := _drift_of_the_latest_day(summary):
        _say(console, f"On {latest['day']} alone: drift: {latest['drift']['reason']}", bold=True)
    console.print()
    for table in (_classes(summary), _confidence(summary), _latency(summary), _comparisons(drift), _by_day(summary)):
        if table.row_count:
            console.print(table)
            console.print()


def _classes(summary: dict[str, Any]) -> Any:
    table = _table(("class",), ("photos", "fraction", "in training", "confidence"))
    rows = summary["classes"]
    for row in rows[:_MAX_CLASSES]:
        shares = (_percentage(row["share"]), _percentage(row["share_in_training"]))
        table.add_row(row["class"], f"{row['photos']:,}", *shares, _number(row["mean_confidence"]))
    if len(rows) > _MAX_CLASSES:
        table.add_row(f"... and {len(rows) - _MAX_CLASSES} more classes: --json", "", "", "", "")
    return table


def _confidence(summary: dict[str, Any]) -> Any:
    histogram: Sequence[int] = summary["confidence_histogram"]
    table = _table(("confidence",), ("photos",), ("",))
    highest = max(histogram)
    first = next((place for place, count in enumerate(histogram) if count), len(histogram))
    for place in range(first, len(histogram)):
        low, high = place / len(histogram), (place + 1) / len(histogram)
        bar = "█" * round(_BAR * histogram[place] / highest)
        table.add_row(f"{low:.2f} to {high:.2f}", f"{histogram[place]:,}", bar)
    return table


def _latency(summary: dict[str, Any]) -> Any:
    table = _table(("latency",), ("ms p50", "ms p95", "ms p99"))
    for form, values in summary["latency_ms"].items():
        table.add_row(form, *(_milliseconds(values, name) for name in ("p50", "p95", "p99")))
    return table


def _comparisons(drift: dict[str, Any]) -> Any:
    table = _table(("drift of",), ("effect", "p", "median", "held-out median"))
    for row in drift["comparisons"]:
        medians = (f"{row['median']:.3f}", f"{row['held_out_median']:.3f}")
        table.add_row(row["name"], f"{row['effect']:.2f}", f"{row['p_value']:.2g}", *medians)
    return table


def _by_day(summary: dict[str, Any]) -> Any:
    table = _table(("day",), ("photos", "unknown", "uncertain", "confidence", "errors", "ms p50"), ("drift",))
    for row in summary["by_day"]:
        table.add_row(
            row["day"],
            f"{row['photos']:,}",
            _percentage(row["unknown_share"]),
            _percentage(row["uncertain_share"]),
            _number(row["mean_confidence"]),
            str(sum(row["errors"].values())),
            _milliseconds(_fastest_form(row["latency_ms"]), "p50"),
            _verdict(row["drift"]),
        )
    return table


def _table(left: Sequence[str], right: Sequence[str], last: Sequence[str] = ()) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    for heading in last:
        table.add_column(heading)
    return table


def _say(console: Any, text: str, bold: bool = False) -> None:
    console.print(text, style="bold" if bold else None)


def _verdict(drift: dict[str, Any]) -> str:
    if drift["p_value"] is None:
        return str(drift["verdict"])
    return f"{drift['verdict']} (effect {drift['effect']:.2f}, p = {drift['p_value']:.2g})"


def _drift_of_the_latest_day(summary: dict[str, Any]) -> dict[str, Any] | None:
    """Latest day with a drift result, if that day has drifted and all days together have not; else None."""
    judged = [row for row in summary["by_day"] if row["drift"]["p_value"] is not None]
    hidden = summary["drift"]["verdict"] != "drift" and judged and judged[-1]["drift"]["verdict"] == "drift"
    return judged[-1] if hidden else None


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _percentage(value: float | None) -> str:
    return _NOTHING if value is None else format_percentage(value)


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _milliseconds(latency: dict[str, float], name: str) -> str:
    return f"{latency[name]:g}" if name in latency else _NOTHING


def _fastest_form(latency: dict[str, dict[str, float]]) -> dict[str, float]:
    """Latency of JSON answers if there were any, else of the first other format."""
    return latency.get("json") or next(iter(latency.values()), {})
