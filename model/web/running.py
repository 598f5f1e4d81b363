"""Running a web server of Topgraft in the main thread."""

from collections.abc import Callable

from aiohttp import web

from model.errors import ConfigError


def run_server(app: web.Application, host: str, port: int, when_ready: Callable[[], None], advice: str) -> None:
    """Serve an application until the process receives SIGINT or SIGTERM.

    Args:
        when_ready: called once the server listens.
        advice: what to do if it cannot, a sentence.

    Raises:
        ConfigError: the server cannot listen there.
    """
    try:
        web.run_app(
            app,
            host=host,
            port=port,
            print=lambda _banner: when_ready(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror or error}. {advice}") from error
