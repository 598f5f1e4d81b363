"""The application: static files, requests of the views, headers, and errors as messages."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from model import errors
from model.errors import TopgraftError
from model.page.server import page_files
from model.page.service import connected
from model.studio.access import Access
from model.studio.bodies import MAX_BODY_BYTES
from model.studio.events import Events
from model.studio.exposure import Exposure
from model.studio.keys import ACCESS, EVENTS, EXPOSURE, SERVICE, TASKS, WORKSPACE
from model.studio.routes import photos, result, session, sharing, tasks, training, trial, uploads, workspace
from model.studio.tasks import Tasks
from model.studio.watching import watch
from model.supervisor import Address
from model.web.connections import limit_connections
from model.web.origins import is_trusted_proxy, origin_check
from model.web.running import run_server
from model.web.static_files import CONTENT_SECURITY_POLICY, add_file, packaged_files, security_headers
from model.workspace import Workspace

# The report of a model is shown in a frame.
HEADERS = security_headers(CONTENT_SECURITY_POLICY | {"frame-src": "'self'"}) | {
    # The view *Try it* takes photos with the camera.
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()"
}

# The first class that an error belongs to decides.
_STATUSES: tuple[tuple[type[TopgraftError], int], ...] = (
    (errors.TrainingBusyError, 409),
    (errors.ConfigError, 400),
    (errors.ArchiveTooLargeError, 413),
    (errors.DatasetError, 422),
    (errors.ImageTooLargeError, 413),
    (errors.ImageError, 415),
    (errors.ModelNotFoundError, 404),
    (errors.NothingTrainedError, 404),
    (errors.ModelError, 409),
    (errors.StorageFullError, 507),
    (errors.StorageError, 503),
    (errors.FetchError, 502),
    (errors.TrainingError, 409),
)

log = logging.getLogger(__name__)


def make_app(home: Workspace, exposure: Exposure, access: Access, service: str) -> web.Application:
    """The application of the studio.

    Args:
        home: the workspace that it shows and changes.
        service: address of the DEEPaaS service, which may be started later.
    """

    async def connect(app: web.Application) -> AsyncIterator[None]:
        async with connected(service) as client:
            app[SERVICE] = client
            yield

    async def end_streams(app: web.Application) -> None:
        app[EVENTS].close()
        app[TASKS].close()

    middlewares = [_errors_as_messages, _only_by_proxy, origin_check({exposure.host}), _session_required]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[WORKSPACE], app[EVENTS], app[ACCESS], app[EXPOSURE] = home, Events(), access, exposure
    app[TASKS] = Tasks(home, lambda task: app[EVENTS].send("task", task))
    app.cleanup_ctx.extend((connect, watch))
    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(_add_headers)
    limit_connections(app)
    for name, content in studio_files().items():
        add_file(app, "/" if name == "index.html" else f"/{name}", content)
    for name, content in page_files().items():
        add_file(app, f"/page/{name}", content)
    for routes in (session, workspace, tasks, photos, uploads, training, result, trial, sharing):
        routes.add_routes(app)
    return app


def studio_files() -> dict[str, bytes]:
    """Path and content of each file of the page; `languages.js` lists the languages that have a file of texts."""
    files = packaged_files("model.studio")
    languages = sorted(Path(name).stem for name in files if name.startswith("texts/"))
    return files | {"languages.js": f"export const languages = {json.dumps(languages)};\n".encode()}


def advice_if_taken(exposure: Exposure) -> str:
    """What to do if the studio cannot listen on its port."""
    return (
        f"The studio may be running already: open {Address(exposure.host, exposure.port, '/').url} in the browser that "
        "knows it, whose page has a link for other browsers. Otherwise choose another port: topgraft studio --port 8091"
    )


def run(app: web.Application, exposure: Exposure, when_ready: Callable[[], None]) -> None:
    """Serve the studio until the process receives SIGINT or SIGTERM.

    Raises:
        ConfigError: it cannot listen on its address.
    """
    run_server(app, exposure.host, exposure.port, when_ready, advice_if_taken(exposure))


@web.middleware
async def _errors_as_messages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as `{"message": ...}`, some with a code; what is not expected is logged, and not shown."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"message": f"{error.status}: {error.reason}."}, status=error.status)
    except TopgraftError as error:
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
        coded = {"code": error.code, "values": error.values} if error.code else {}
        return web.json_response({"message": error.message} | coded, status=status)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return web.json_response({"message": "the studio failed; the reason is in its log."}, status=500)


@web.middleware
async def _only_by_proxy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other machines than the trusted proxies, where no password protects the studio."""
    if request.app[EXPOSURE].only_by_proxy and not is_trusted_proxy(request.remote):
        return web.json_response({"message": "expected a request by the reverse proxy of this studio."}, status=403)
    return await handler(request)


@web.middleware
async def _session_required(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for data and changes without a session."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return web.json_response({"message": "expected a request of the studio's own pages."}, status=403)
    if request.path != session.PATH and not request.app[ACCESS].has_session(request):
        return web.json_response({"message": "expected a session; open the studio by its link."}, status=401)
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)
