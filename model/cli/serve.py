"""`topgraft serve`: the DEEPaaS service, kept running."""

import os
import shutil
import sys
from pathlib import Path

import click

from model.cli.options import current_workspace, workspace_option
from model.errors import ConfigError
from model.supervisor import Address, keep_running

PROGRAM = "deepaas-run"
HEALTH = "/v2/models/topgraft/"


@click.command(short_help="Run the service, with Swagger UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port to listen on.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Processes that predict and train; a training keeps one busy.",
)
@workspace_option
def serve(host: str, port: int, workers: int) -> None:
    """Run the DEEPaaS service, and start it anew if it is killed or answers no more.

    Trainings that its end interrupts are gone on with if they have the option auto_resume. Ctrl-C stops it.
    """
    options = ["--listen-ip", host, "--listen-port", str(port), "--workers", str(workers)]
    environment = os.environ | {"DEEPAAS_V2_MODEL": "topgraft", "TOPGRAFT_HOME": str(current_workspace().root)}
    address = Address(host, port, HEALTH)
    shown = f"[{address.local_host}]" if ":" in host else address.local_host
    click.echo(f"Swagger UI will be at http://{shown}:{port}/ui, Ctrl-C stops it.", err=True)
    keep_running([_program(), *options], environment, address)


def _program() -> str:
    """The command of this environment, whether that is activated or not."""
    found = shutil.which(PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(PROGRAM)
    if found is None:
        raise ConfigError(
            f"expected the command {PROGRAM} beside {sys.executable}. Install DEEPaaS there: topgraft doctor"
        )
    return found
