"""`topgraft page`: the page for people, in front of the DEEPaaS service."""

import click

DEFAULT_API = "http://127.0.0.1:5000"
# Compared with, not listened on.
EVERYWHERE = "0.0.0.0"  # nosec B104


@click.command(short_help="Serve a page to classify photos in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--api", metavar="URL", default=DEFAULT_API, show_default=True, help="Where the DEEPaaS service is.")
def page(host: str, port: int, api: str) -> None:
    """Serve a page on which people drop photos, and see what the models say of them.

    It needs the DEEPaaS service, and waits for it where it is not running yet: topgraft serve.
    """
    from model.page.server import run
    from model.page.service import checked_url

    shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == EVERYWHERE else host

    def say_where() -> None:
        click.echo(f"The page is at http://{shown}:{port}/, Ctrl-C stops it.", err=True)

    run(checked_url(api), host, port, say_where)
