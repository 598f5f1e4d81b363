"""The web server of the page: static files, and two requests that are forwarded to the DEEPaaS service."""

import json
import re
from collections.abc import AsyncIterator, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler

from model.errors import ConfigError
from model.files.browsing import names_of_hidden_files
from model.page.service import ANSWER_TYPES, Answer, Service, connected, failure
from model.received import MAX_QUOTED, quoted
from model.web.connections import limit_connections
from model.web.origins import origin_check
from model.web.static_files import add_file, packaged_files, security_headers

# The limit of the service for one image.
MAX_IMAGE_BYTES = 128 << 20
OPTIONS = ("model", "top_k")
MAX_NAME_CHARACTERS = 200
CHUNK_BYTES = 1 << 16

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
    try:
        web.run_app(
            make_app(api, {host}),
            host=host,
            port=port,
            print=lambda _banner: when_ready(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}. Choose others, such as: "
            "topgraft page --host 127.0.0.1 --port 8081"
        ) from error


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
    response = _response(await request.app[SERVICE].metadata())
    response.headers["Topgraft-Service"] = request.app[SERVICE].address
    response.headers["Topgraft-Max-Image-Bytes"] = str(MAX_IMAGE_BYTES)
    return response


async def _predict(request: web.Request) -> web.Response:
    """Forward an image: the body is its content, the query its `name` and the options."""
    if refusal := _refusal(request):
        return _response(refusal)
    options = {name: request.query[name] for name in OPTIONS if name in request.query}
    name = _plain_name(request.query.get("name", ""))
    image = request.content.iter_chunked(CHUNK_BYTES)
    return _response(await request.app[SERVICE].predict(image, name, options, request.headers["Accept"]))


def _refusal(request: web.Request) -> Answer | None:
    """The error for a request that is not forwarded; None for a valid one."""
    if unknown := sorted(set(request.query) - {"name", *OPTIONS}):
        return failure(400, f"expected only name, {' and '.join(OPTIONS)} in the query, received {quoted(unknown[0])}.")
    # Pages of other sites could send other types without a preflight request.
    if request.content_type != "application/octet-stream":
        return failure(
            415, f"expected a body of type application/octet-stream, received {request.content_type[:MAX_QUOTED]}."
        )
    if request.headers.get("Accept") not in ANSWER_TYPES:
        return failure(
            406, f"accept: expected {' or '.join(ANSWER_TYPES)}, received {quoted(request.headers.get('Accept'))}."
        )
    if request.content_length is None:
        return failure(411, "expected a Content-Length, received none.")
    if request.content_length > MAX_IMAGE_BYTES:
        return failure(413, f"expected an image of at most {MAX_IMAGE_BYTES >> 20} MB, received a larger one.")
    return None


def _plain_name(name: str) -> str:
    """The file name of an image without folders, and without characters that end a form header field."""
    return (
        re.sub(r'[\x00-\x1f\x7f";]', "_", name.replace("\\", "/").rpartition("/")[2])[-MAX_NAME_CHARACTERS:] or "photo"
    )


def _response(answer: Answer) -> web.Response:
    headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers)


@web.middleware
async def _same_origin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    # Browsers send the origin of a request; "none" is an address typed by the user.
    cross_origin = request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    if cross_origin and request.path.startswith("/api/"):
        return _response(failure(403, "expected a request from the page itself, received one from another site."))
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)


def page_files() -> dict[str, bytes]:
    """Path and content of each file of the page: those in static/, and the names of hidden files as a script."""
    names = json.dumps(names_of_hidden_files(), indent=2)
    return packaged_files("model.page") | {"hidden_names.js": f"export const hiddenNames = {names};\n".encode()}
