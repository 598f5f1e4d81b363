"""`topgraft serve`: run the DEEPaaS service, and restart it after failures."""

import os
import shutil
import sys
from pathlib import Path

import click

from model.addresses import is_ip_address
from model.cli.options import current_workspace, workspace_option
from model.cli.output import print_line
from model.environment import ALLOWED_HOSTS
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
    help="Number of worker processes; a training occupies one.",
)
@workspace_option
def serve(host: str, port: int, workers: int) -> None:
    """Run the DEEPaaS service, and restart it if it exits or hangs.

    Interrupted trainings with the option auto_resume are resumed. Ctrl-C stops the service.
    """
    options = ["--listen-ip", host, "--listen-port", str(port), "--workers", str(workers)]
    environment = os.environ | {"DEEPAAS_V2_MODEL": "topgraft", "TOPGRAFT_HOME": str(current_workspace().root)}
    if not is_ip_address(host):
        environment[ALLOWED_HOSTS.name] = ",".join(filter(None, (ALLOWED_HOSTS.raw, host)))
    address = Address(host, port, HEALTH)
    print_line(f"Swagger UI will be at {Address(host, port, '/ui').url}. Press Ctrl-C to stop it.", err=True)
    keep_running([_program(), *options], environment, address)


def _program() -> str:
    """Path of deepaas-run in this environment, also if the environment is not activated."""
    found = shutil.which(PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(PROGRAM)
    if found is None:
        raise ConfigError(
            f"expected the command {PROGRAM} next to {sys.executable}, found none. "
            "Install DEEPaaS, see: topgraft doctor"
        )
    return found
