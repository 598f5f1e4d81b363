"""`topgraft models promote --if-better`: promote a model if a comparison with the latest model allows it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.bundle import Bundle
from model.cli.comparison import comparison_lines, write_comparison
from model.cli.output import EXIT_LIMIT, print_json, print_line, print_lines
from model.errors import ModelDamagedError
from model.promotion import PromotionComparison, promote, promoted_models
from model.registry import Registry, find_bundle, model_names
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.evaluation.comparison import Comparison


def promote_if_better(
    workspace: Workspace,
    models: Sequence[Bundle],
    dataset: str,
    as_json: bool,
    metric: str,
    max_regression: float | None,
    confident: bool,
    output: Path | None,
    **options: Any,
) -> None:
    """Promote the best of `models` if it is better than the latest model, else exit with status 6.

    Args:
        models: one model or several, whose files are verified.
        dataset: the photos to compare the models on.
        as_json: print the decision and the comparison as JSON.
        metric, max_regression, confident: see `model.evaluation.comparison.Gate`.
        output: folder for the files of the comparison; None for the default folder.
        options: `model.dataset.DATASET_OPTIONS`, as the user typed them.
    """
    names = [one.name for one in models]
    decided_on = promoted_models(workspace)
    base = _base(workspace, names)
    if base is None and len(models) == 1:
        reason = "there is no other model to compare it with"
        _finish(workspace, names[0], decided_on, as_json, f"{names[0]} is promoted: {reason}.")
        return
    if base is not None and base.name in names:
        print_line(f"{base.name} is promoted already.", err=True)
        if len(models) == 1:
            _report(base.name, True, "", None, as_json)
            return
    from model.evaluation.comparison import Gate
    from model.evaluation.comparison.promoting import decide_promotion, promotion_comparison

    first = base or models[0]
    new = [one for one in models if one.name != first.name]
    # The limit needs a value for --confident to apply to.
    gate = Gate(metric, "all", 0.0 if confident and max_regression is None else max_regression, confident)
    folder = output or workspace.comparison_folder(first.name, [bundle.name for bundle in new])
    compared = write_comparison(
        first, new, dataset, workspace, gate, options, folder, lambda comparison: decide_promotion(comparison).sentence
    )
    if not compared.pairs:
        decision, promoted = compared.sentences[0], ""
    else:
        decision, promoted = compared.decision, decide_promotion(compared).promoted
    if promoted:
        numbers = promotion_comparison(compared, promoted)
        _finish(workspace, promoted, decided_on, as_json, decision, numbers, compared)
        return
    if base is None:
        _finish(workspace, first.name, decided_on, as_json, f"{first.name} is promoted. {decision}", None, compared)
        return
    print_line(f"{decision} {_kept(workspace, base, names, decided_on)}", err=True)
    _report(Registry().latest(workspace).name or "", False, decision, compared, as_json)
    click.get_current_context().exit(EXIT_LIMIT)


def _base(workspace: Workspace, names: Sequence[str]) -> Bundle | None:
    """The model to compare with: latest, or the newest other model if a new one is latest only because it is newest."""
    latest = Registry().latest(workspace)
    if latest.promoted or latest.name not in names:
        return latest.get()
    for name in reversed(model_names(workspace)):
        if name not in names:
            try:
                return find_bundle(workspace, name)
            except ModelDamagedError as error:
                print_line(f"Skipping a damaged model: {error.message}", err=True)
    return None


def _kept(workspace: Workspace, base: Bundle, refused: Sequence[str], decided_on: Sequence[str]) -> str:
    """Promote the base model if a refused model is latest now, because it is the newest; return what latest is."""
    latest = Registry().latest(workspace)
    if latest.promoted or latest.name not in refused:
        return f"latest is {'still ' if latest.name == base.name else ''}{latest.name}."
    base.verify()
    promote(workspace, base.name, decided_on=decided_on)
    return (
        f"latest is now {base.name}, which is promoted: without a promotion, latest would be the newest model, "
        f"{latest.name}. Undo with: topgraft models rollback"
    )


def _finish(
    workspace: Workspace,
    name: str,
    decided_on: Sequence[str],
    as_json: bool,
    decision: str,
    numbers: PromotionComparison | None = None,
    compared: "Comparison | None" = None,
) -> None:
    promote(workspace, name, numbers, decided_on)
    print_line(f"{decision} latest is now {name}. Undo with: topgraft models rollback", err=True)
    _report(name, True, decision, compared, as_json)


def _report(latest: str, is_promoted: bool, decision: str, compared: "Comparison | None", as_json: bool) -> None:
    if as_json:
        content: dict[str, Any] = {"latest": latest, "promoted": is_promoted, "decision": decision}
        print_json(content | {"comparison": None if compared is None else compared.to_json()})
    elif compared is not None:
        print_lines(comparison_lines(compared))
