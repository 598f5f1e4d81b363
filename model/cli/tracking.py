"""`topgraft models track`: a trained model, logged to MLflow."""

import dataclasses

import click

from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import print_json
from model.errors import ConfigError
from model.registry import find_bundle


@click.command("track")
@click.argument("name", metavar="MODEL")
@json_option
@workspace_option
def track_model(name: str, as_json: bool) -> None:
    """Log a trained model to the MLflow server that MLFLOW_TRACKING_URI names. MODEL is a name, or latest.

    Trainings are logged when they end; this is for one that could not be. A model has one run, however often it is
    logged.
    """
    bundle = find_bundle(current_workspace(), name)
    from model.tracking.experiment_tracking import log_model, tracking_server

    server = tracking_server()
    if server is None:
        raise ConfigError("MLFLOW_TRACKING_URI: expected the address of an MLflow server, received none. Set it.")
    run = log_model(bundle.directory, server).run()
    if as_json:
        print_json(dataclasses.asdict(run))
    else:
        click.echo(f"{bundle.name} is version {run.version} of {run.registered_model}: {run.url}")
