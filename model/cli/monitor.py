"""`topgraft monitor`: usage of the service and drift of its photos."""

import logging
import sys
from typing import Any

import click

from model.bundle import Bundle
from model.cli.monitor_table import show_all, show_model
from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import confirm, print_json, print_line
from model.errors import ModelDamagedError
from model.registry import find_bundle, model_names
from model.usage.drift_check import DAYS, sum_of_last_days
from model.usage.store import KEPT_DAYS, NO_MODEL, UsageStore, model_version
from model.workspace import Workspace

log = logging.getLogger(__name__)


@click.command(short_help="Show usage and drift of the service.")
@click.argument("name", metavar="[MODEL]", required=False)
@click.option(
    "--days",
    type=click.IntRange(1, KEPT_DAYS),
    default=DAYS,
    show_default=True,
    help="Number of days to show, including today.",
)
@click.option("--reset", is_flag=True, help="Delete the counts of MODEL, or of all models.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@workspace_option
def monitor(name: str | None, days: int, reset: bool, yes: bool, as_json: bool) -> None:
    """Show usage of the service: classes, confidence, unknown photos, drift, errors and latency.

    The service counts predictions if the environment variable TOPGRAFT_MONITOR is 1. MODEL is a name,
    or latest. Without MODEL, one line per model is shown.
    """
    workspace = current_workspace()
    if reset:
        _reset(workspace, name, yes, as_json)
    elif name is None:
        _show_all(workspace, days, as_json)
    else:
        bundle = find_bundle(workspace, name)
        summary = {"days": days, **_summary(workspace, bundle, days)}
        print_json(summary) if as_json else show_model(summary)


def _show_all(workspace: Workspace, days: int, as_json: bool) -> None:
    counted = set(UsageStore(workspace).models())
    bundles = [bundle for name in model_names(workspace) if name in counted for bundle in _whole(workspace, name)]
    models = [_summary(workspace, bundle, days) for bundle in bundles]
    without_model = sum_of_last_days(UsageStore(workspace).days(NO_MODEL), days)
    summary = {
        "days": days,
        "models": [one for one in models if one["by_day"]],
        "errors_without_model": dict(without_model.errors),
    }
    if as_json:
        print_json(summary)
    elif not summary["models"] and not without_model.errors:
        print_line(f"Nothing was counted in {workspace.monitor}. Start the service with TOPGRAFT_MONITOR=1.")
    else:
        show_all(summary)


def _whole(workspace: Workspace, name: str) -> list[Bundle]:
    try:
        return [find_bundle(workspace, name)]
    except ModelDamagedError as error:
        log.warning("%s", error.message)
        return []


def _summary(workspace: Workspace, bundle: Bundle, days: int) -> dict[str, Any]:
    from model.serving.held_out_features import read_held_out
    from model.usage.drift import judge_drift
    from model.usage.summary import full_summary

    by_day = UsageStore(workspace).days(model_version(bundle.name, bundle.manifest))
    record = sum_of_last_days(by_day, days)
    counts = bundle.manifest.dataset.get("counts", {}).get("train", {})
    train_counts = {label: counts.get(label, 0) for label in bundle.manifest.classes}
    held_out = read_held_out(bundle)
    drift = judge_drift(held_out, record.sample.rows)
    drift_by_day = {day: judge_drift(held_out, one.sample.rows) for day, one in by_day.items()}
    return full_summary(bundle.name, record, drift, by_day, drift_by_day, train_counts)


def _reset(workspace: Workspace, name: str | None, yes: bool, as_json: bool) -> None:
    store = UsageStore(workspace)
    if name is not None and name not in store.models():
        name = find_bundle(workspace, name).name
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("cannot ask for confirmation without a terminal: add --yes.")
    what = "all models" if name is None else name
    if not yes:
        confirm(f"Delete the counts of {what}?")
    store.reset(name)
    print_line(f"Deleted the counts of {what}.", err=True)
    if as_json:
        print_json({"reset": name})
