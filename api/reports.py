"""The reports of trained models over HTTP, read-only."""

import asyncio
import stat
import sys
from pathlib import Path

from aiohttp import web

from api.errors import NotFound, as_http_errors
from api.workspace import service_workspace
from model.bundle_files import REPORT
from model.config import LATEST
from model.errors import ModelDamagedError
from model.evaluation.report.policy import response_policy
from model.registry import Registry

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # A report is replaced together with its model.
    "Cache-Control": "no-cache",
}


def add_report_route() -> None:
    """Add the route of reports to the DEEPaaS server that is starting in this process, if there is one."""
    server = sys.modules.get("deepaas.api.v2")
    application: web.Application | None = getattr(server, "APP", None)
    if application is None or application.frozen or "report" in application.router.named_resources():
        return
    import aiohttp_apispec

    described = aiohttp_apispec.docs(
        tags=["models"],
        summary="Return the report of a trained model, to open in a browser",
        description="An HTML page; `name` is the name of a trained model, or latest.",
        produces=["text/html"],
    )
    application.router.add_get("/models/topgraft/reports/{name}", described(send_report), name="report")


async def send_report(request: web.Request) -> web.StreamResponse:
    """Send the report of the model `name`, or of the latest model.

    Raises:
        NotFound: there is no complete model of that name, or it has no report.
        Unavailable: the model is damaged, or there is no model yet.
    """
    with as_http_errors():
        path = await asyncio.to_thread(find_report, request.match_info["name"])
    return web.FileResponse(path, headers=HEADERS | {"Content-Security-Policy": response_policy()})


def find_report(name: str) -> Path:
    """The report of a complete model, as its manifest lists it.

    Raises:
        NotFound, TopgraftError: see `send_report`.
    """
    workspace = service_workspace()
    registry = Registry()
    model = registry.find(workspace, registry.latest(workspace).get().name if name == LATEST else name)
    if problem := model.summary.get("problem"):
        raise ModelDamagedError(problem)
    path = model.directory / REPORT
    if REPORT not in model.files or not _is_regular_file(path):
        raise NotFound(f"the model {model.name} has no report: it was imported without one, or the file was removed.")
    return path


def _is_regular_file(path: Path) -> bool:
    """Whether a path is a file itself, and no link to one elsewhere."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
