"""`topgraft studio`: train and use models in a browser, without a command."""

import click

from model.cli.options import current_workspace, workspace_option
from model.cli.output import print_line
from model.environment import STUDIO_PASSWORD

DEFAULT_PORT = 8090


@click.command(short_help="Train, try and share models in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a password.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Port to use.")
@click.option(
    "--password",
    default="",
    metavar="TEXT",
    help=f"Password for other computers. Other users of this machine see it; {STUDIO_PASSWORD.name} hides it.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@workspace_option
def studio(host: str, port: int, password: str, no_browser: bool) -> None:
    """Open the studio: photos, training, results, predictions and sharing, in a browser.

    Also starts the DEEPaaS service. The address contains a token that opens it once. Ctrl-C stops both; trainings are
    resumed at the next start.
    """
    from model.studio.exposure import Exposure
    from model.studio.starting import start

    password = password or STUDIO_PASSWORD.read()

    def show(link: str) -> None:
        print_line(f"The studio is at {link}", err=True)
        print_line("This link opens it once. Press Ctrl-C to stop it.", err=True)

    start(current_workspace(), Exposure(host, port, bool(password)), password, not no_browser, show)
