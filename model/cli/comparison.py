"""`topgraft compare`: compare models on the same photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.bundle import Bundle
from model.cli.options import (
    FiniteRange,
    PathOrRemote,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import EXIT_LIMIT, print_json, print_line, print_lines, progress_display
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.measurements import COMPARED_METRICS, COMPARED_PHOTOS
from model.registry import find_bundle
from model.shown import counted
from model.storage.copies import output_folder
from model.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.evaluation.comparison import Comparison, Gate

metric_option = click.option(
    "--metric",
    type=click.Choice(COMPARED_METRICS),
    default="accuracy",
    show_default=True,
    help="Metric that is compared.",
)
photos_option = click.option(
    "--on",
    type=click.Choice(COMPARED_PHOTOS),
    default="shared",
    show_default=True,
    help="Photos of classes that both models know, or all photos.",
)
max_regression_option = click.option(
    "--max-regression",
    metavar="NUMBER",
    type=FiniteRange(0, 1),
    help=f"Exit with status {EXIT_LIMIT} if a NEW model loses more, such as 0.02 for 2 points.  [0 to 1]",
)
confident_option = click.option(
    "--confident",
    is_flag=True,
    help="Apply --max-regression to the lower end of the 95 % interval of the difference.",
)


@click.command(short_help="Compare models on the same photos.")
@click.argument("named", metavar="BASE NEW... DATASET", nargs=-1, required=True)
@metric_option
@photos_option
@max_regression_option
@confident_option
@config_options(TrainConfig, only=DATASET_OPTIONS)
@click.option(
    "--output",
    metavar="DIR",
    type=PathOrRemote(),
    help="Folder for the files, which may be remote:path.  [default: comparisons/NEW-BASE/ in the workspace]",
)
@json_option
@workspace_option
def compare(
    named: tuple[str, ...],
    metric: str,
    on: str,
    max_regression: float | None,
    confident: bool,
    output: Path | None,
    as_json: bool,
    **typed: Any,
) -> None:
    """Compare one or several NEW models with BASE on the same photos.

    Models are names, or latest. DATASET is any dataset that train accepts. Its test split is used, or
    all its photos if it has none, without those that one of the models learned from. Classes are
    matched by name. Writes comparison.html, comparison.json and changed.csv.
    """
    if len(named) < 3:
        raise click.UsageError(f"expected BASE, one or several NEW models and DATASET, received {len(named)} of them.")
    workspace = current_workspace()
    base, *new = (find_bundle(workspace, name) for name in named[:-1])
    from model.evaluation.comparison import Gate

    gate = Gate(metric, on, max_regression, confident)  # type: ignore[arg-type]
    folder = output or workspace.comparison_folder(base.name, [bundle.name for bundle in new])
    comparison = write_comparison(base, new, named[-1], workspace, gate, typed, folder)
    if as_json:
        print_json(comparison.to_json())
    else:
        print_lines(comparison_lines(comparison))
    if not comparison.is_kept:
        reason = (
            "A new model loses more than --max-regression."
            if comparison.is_decidable
            else "Whether --max-regression is kept cannot be decided on photos that a model was trained or tuned on."
        )
        print_line(reason, err=True)
        click.get_current_context().exit(EXIT_LIMIT)


def write_comparison(
    base: Bundle,
    new: Sequence[Bundle],
    dataset: str,
    workspace: Workspace,
    gate: "Gate",
    options: dict[str, Any],
    folder: Path,
    decide: "Callable[[Comparison], str]" = lambda comparison: "",
) -> "Comparison":
    """Compare models and write the files of the comparison; see `model.evaluation.comparison.compare_models`."""
    from model.evaluation.comparison import compare_models

    with progress_display() as progress, output_folder(folder, progress) as local:
        comparison = compare_models(base, new, dataset, workspace, gate, options, progress, local, decide)
    print_line(f"Wrote the comparison to {folder}", err=True)
    return comparison


def comparison_lines(comparison: "Comparison") -> list[str]:
    """A comparison as lines for a terminal."""
    lines = list(comparison.sentences)
    for pair in comparison.pairs:
        lines += [f"{pair.new}: {pair.limit_sentence}"] if pair.limit_sentence else []
        lines += _pair_lines(comparison, pair.new)
    if photos := comparison.photos:
        if photos.left_out:
            learned = ", ".join(f"{name} {count}" for name, count in photos.learned.items())
            lines.append(f"Left out: {counted(photos.left_out, 'photo')} that a model learned from ({learned}).")
        if photos.unknown_classes:
            classes = ", ".join(f"{name} ({count})" for name, count in photos.unknown_classes.items())
            lines.append(f"Left out: photos of classes that no model knows: {classes}.")
    lines += [f"Not read: {item.name}: {item.reason}" for item in comparison.unreadable]
    return lines + [f"Warning: {warning}." for warning in comparison.warnings]


def _pair_lines(comparison: "Comparison", name: str) -> list[str]:
    [pair] = [pair for pair in comparison.pairs if pair.new == name]
    lines = []
    for kind, row in pair.rows.items():
        found = row.difference
        low, high = found.interval
        marked = {pair.base: row.base_unknown, pair.new: row.new_unknown}
        counts = ", ".join(f"{model} {count}" for model, count in marked.items() if count is not None)
        unknown = f", marked unknown by {counts}" if counts else ""
        lines.append(
            f"  {kind:<6}  {found.images:>6,} photos  {100 * found.base:5.1f} -> {100 * found.new:5.1f} %  "
            f"{100 * found.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})  "
            f"fixed {found.fixed}, broken {found.broken}{unknown}"
        )
    changed = [row for row in pair.per_class if row.is_significant]
    lines += [
        f"  {row.name}: recall {100 * (row.base_recall or 0):.0f} -> {100 * (row.new_recall or 0):.0f} % "
        f"of {counted(row.images, 'photo')}, p {row.p_value:.2g}"
        for row in changed
    ]
    cost = [comparison.models[model] for model in (pair.base, pair.new)]
    milliseconds = " -> ".join(f"{model.milliseconds:.1f}" for model in cost)
    megabytes = " -> ".join(f"{model.megabytes:.1f}" for model in cost)
    pixels = " -> ".join(f"{model.image_size} by {model.image_size}" for model in cost)
    return [*lines, f"  {milliseconds} ms for a photo, {megabytes} MB, input of {pixels} pixels"]
