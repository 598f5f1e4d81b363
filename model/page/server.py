"""The web server of the page: fixed files, and two requests that it passes on to the DEEPaaS service."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources

from aiohttp import web

from model.errors import ConfigError
from model.page.service import ANSWER_TYPES, Answer, Service, connected, failure

# What the service takes for one picture.
MAX_PICTURE_BYTES = 128 << 20
OPTIONS = ("model", "top_k")
LONGEST_NAME = 200
CHUNK_BYTES = 1 << 16

CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Nothing but our own files runs, nothing leaves for elsewhere; and no text can become HTML.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

SERVICE = web.AppKey("service", Service)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def run(api: str, host: str, port: int, when_ready: Callable[[], None]) -> None:
    """Serve the page until the process is asked to stop.

    Args:
        api: address of the DEEPaaS service, as of `checked_url`; it may be started later.
        host, port: what to listen on.
        when_ready: called once it listens.

    Raises:
        ConfigError: nothing can listen there.
    """
    try:
        web.run_app(
            make_app(api),
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


def make_app(api: str) -> web.Application:
    """The page and its two requests: `GET api/model`, `POST api/predict`."""

    async def connect(app: web.Application) -> AsyncIterator[None]:
        async with connected(api) as service:
            app[SERVICE] = service
            await service.metadata()  # says in the terminal what is wrong, if anything is
            yield

    app = web.Application(middlewares=[_from_this_page_only])
    app.cleanup_ctx.append(connect)
    app.on_response_prepare.append(_add_headers)
    for name, content in _files().items():
        app.router.add_get("/" if name == "index.html" else f"/{name}", _file(content, _content_type(name)))
    app.router.add_get("/api/model", _model, allow_head=False)
    app.router.add_post("/api/predict", _predict)
    return app


async def _model(request: web.Request) -> web.Response:
    response = _response(await request.app[SERVICE].metadata())
    response.headers["Topgraft-Service"] = request.app[SERVICE].address
    response.headers["Topgraft-Max-Picture-Bytes"] = str(MAX_PICTURE_BYTES)
    return response


async def _predict(request: web.Request) -> web.Response:
    """Pass a picture on: the body is its bytes, the query its `name` and the options."""
    if refusal := _refusal(request):
        return _response(refusal)
    options = {name: request.query[name] for name in OPTIONS if name in request.query}
    name = _plain_name(request.query.get("name", ""))
    picture = request.content.iter_chunked(CHUNK_BYTES)
    return _response(await request.app[SERVICE].predict(picture, name, options, request.headers["Accept"]))


def _refusal(request: web.Request) -> Answer | None:
    """Why a request is not even begun to be passed on."""
    if unknown := sorted(set(request.query) - {"name", *OPTIONS}):
        return failure(400, f"expected only name, {' and '.join(OPTIONS)} in the query, received {unknown[0]!r}.")
    # Another type is one that pages of other sites could send without asking.
    if request.content_type != "application/octet-stream":
        return failure(415, f"expected a body of type application/octet-stream, received {request.content_type}.")
    if request.headers.get("Accept") not in ANSWER_TYPES:
        return failure(
            406, f"accept: expected {' or '.join(ANSWER_TYPES)}, received {request.headers.get('Accept')!r}."
        )
    if request.content_length is None:
        return failure(411, "expected a Content-Length, received none.")
    if request.content_length > MAX_PICTURE_BYTES:
        return failure(413, f"expected a picture of at most {MAX_PICTURE_BYTES >> 20} MB, received a larger one.")
    return None


def _plain_name(name: str) -> str:
    """A name of a picture without its folders, and without what ends a field in the header of a form."""
    return re.sub(r'[\x00-\x1f\x7f";]', "_", name.replace("\\", "/").rpartition("/")[2])[-LONGEST_NAME:] or "photo"


def _response(answer: Answer) -> web.Response:
    headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers)


@web.middleware
async def _from_this_page_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    # Browsers say where a request comes from; "none" is an address that somebody typed.
    from_elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    if from_elsewhere and request.path.startswith("/api/"):
        return _response(failure(403, "expected a request of the page itself, received one of another site."))
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)


def _files() -> dict[str, bytes]:
    """Name and content of each file for the browser: the only ones there are to be had."""
    folder = resources.files("model.page") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _content_type(name: str) -> str:
    return CONTENT_TYPES[name[name.rindex(".") :]]


def _file(content: bytes, content_type: str) -> Handler:
    async def hand_out(_request: web.Request) -> web.StreamResponse:
        charset = None if content_type == "image/svg+xml" else "utf-8"
        return web.Response(body=content, content_type=content_type, charset=charset)

    return hand_out
