"""The web server of the page: static files, and two requests that are forwarded to the DEEPaaS service."""

import json
from collections.abc import AsyncIterator, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler

from model.files.browsing import names_of_hidden_files
from model.page.forwarding import as_response, forward_metadata, forward_prediction
from model.page.service import Service, connected, failure
from model.web.connections import limit_connections
from model.web.origins import origin_check
from model.web.running import run_server
from model.web.static_files import add_file, packaged_files, security_headers

HEADERS = security_headers()

SERVICE = web.AppKey("service", Service)


def run(api: str, host: str, port: int, when_ready: Callable[[], None]) -> None:
    """Serve the page until the process receives SIGINT or SIGTERM.

    Args:
        api: address of the DEEPaaS service, as returned by `checked_url`; the service may be started later.
        host: address to listen on.
        port: port to listen on.
        when_ready: called once the server listens.

    Raises:
        ConfigError: the server cannot listen there.
    """
    advice = "Choose others, such as: topgraft page --host 127.0.0.1 --port 8081"
    run_server(make_app(api, {host}), host, port, when_ready, advice)


def make_app(api: str, own_names: Collection[str] = ()) -> web.Application:
    """Application with the page and its two requests, `GET api/model` and `POST api/predict`.

    Args:
        api: as for `run`.
        own_names: names of this server, besides those that `origin_check` knows.
    """

    async def connect(app: web.Application) -> AsyncIterator[None]:
        async with connected(api) as service:
            app[SERVICE] = service
            await service.metadata()  # logs in the terminal if the service is not reachable
            yield

    app = web.Application(middlewares=[origin_check(own_names), _same_origin_only])
    app.cleanup_ctx.append(connect)
    app.on_response_prepare.append(_add_headers)
    limit_connections(app)
    for name, content in page_files().items():
        add_file(app, "/" if name == "index.html" else f"/{name}", content)
    app.router.add_get("/api/model", _model, allow_head=False)
    app.router.add_post("/api/predict", _predict)
    return app


async def _model(request: web.Request) -> web.Response:
    return await forward_metadata(request.app[SERVICE])


async def _predict(request: web.Request) -> web.Response:
    return await forward_prediction(request, request.app[SERVICE])


@web.middleware
async def _same_origin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    # Browsers send the origin of a request; "none" is an address typed by the user.
    cross_origin = request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    if cross_origin and request.path.startswith("/api/"):
        return as_response(failure(403, "expected a request from the page itself, received one from another site."))
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)


def page_files() -> dict[str, bytes]:
    """Path and content of each file of the page: those in static/, and the names of hidden files as a script."""
    names = json.dumps(names_of_hidden_files(), indent=2)
    return packaged_files("model.page") | {"hidden_names.js": f"export const hiddenNames = {names};\n".encode()}
