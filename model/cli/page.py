"""`topgraft page`: the web page of the DEEPaaS service."""

import click

from model.cli.output import print_line
from model.supervisor import Address

DEFAULT_API = "http://127.0.0.1:5000"


@click.command(short_help="Serve a web page to classify photos in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--api", metavar="URL", default=DEFAULT_API, show_default=True, help="Address of the DEEPaaS service.")
def page(host: str, port: int, api: str) -> None:
    """Serve a web page on which photos are dropped and classified.

    Requires the DEEPaaS service, and waits until it is started with: topgraft serve.
    """
    from model.page.server import run
    from model.page.service import checked_url

    def print_address() -> None:
        print_line(f"The page is at {Address(host, port, '/').url}. Press Ctrl-C to stop it.", err=True)

    run(checked_url(api), host, port, print_address)
