"""Results of trainings and searches as text for a terminal."""

from collections.abc import Mapping
from typing import Any

from model.cli.output import accuracy_line, format_percentage, print_lines, table_console
from model.marks import marks_line
from model.measurements import PHOTOS_OF, Measurement, leading_measurement, measured_accuracies
from model.shown import counted
from model.training_result import ImportResult, TrainingResult, Tuning


def show_training(result: TrainingResult) -> None:
    """Print the result of a training, with the table of its search if there was one."""
    if result.tuning is not None:
        show_tuning(result.tuning)
    print_lines(training_lines(result))


def training_lines(result: TrainingResult) -> list[str]:
    """Lines that describe the result of a training."""
    lines = [f"Warning: {warning}" for warning in result.warnings]
    lines += [f"{remark[0].upper()}{remark[1:]}" for remark in result.remarks]
    verb = "Imported" if isinstance(result, ImportResult) else "Trained"
    lines.append(f"{verb} {result.model} in {result.seconds:.0f} s: {result.path}")
    for measurement, metrics in _leading_first(result.metrics):
        lines.append(f"  {accuracy_line(metrics, PHOTOS_OF[measurement])}")
    lines += [f"  {sentence}" for sentence in result.marks]
    independent = [(name, metrics) for name, metrics in _leading_first(result.metrics) if name != "val"]
    for measurement, metrics in independent or _leading_first(result.metrics):
        if line := marks_line(metrics, measurement):
            lines.append(f"  {line}")
    if result.upload is not None:
        lines.append(f"  uploaded to {result.upload.place}, sha256 {result.upload.sha256}")
    if result.mlflow is not None:
        lines.append(f"  MLflow: {result.mlflow.url}")
    return lines


def _leading_first(metrics: Mapping[str, dict[str, Any]]) -> list[tuple[Measurement, dict[str, Any]]]:
    """The evaluations, the one that says most about new photos first; those without accuracy are left out."""
    leading = leading_measurement(metrics)
    return [(name, metrics[name]) for name in sorted(measured_accuracies(metrics), key=lambda name: name != leading)]


def show_tuning(tuning: Tuning) -> None:
    """Print the table of a search and the reason for its choice."""
    console = table_console()
    console.print(_table(tuning))
    for backbone, reason in tuning.left_out.items():
        console.print(f"Not tried: {backbone}: {reason}")
    tried = f"{counted(tuning.trials, 'candidate')} on {counted(tuning.images, 'image')}"
    console.print(f"{tried} in {tuning.seconds:.0f} s. {tuning.reason}")


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
            ", ".join(f"{name}={value}" for name, value in row.options.items()) or "unchanged",
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
    return f"{format_percentage(value)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
