"""Sessions: opened by the token of a link or by the password, and closed."""

from aiohttp import web

from model.errors import ConfigError
from model.studio.bodies import json_body
from model.studio.keys import ACCESS, EXPOSURE

PATH = "/api/session"


def add_routes(app: web.Application) -> None:
    """Add the routes of sessions."""
    app.router.add_get(PATH, _show)
    app.router.add_post(PATH, _open)
    app.router.add_delete(PATH, _close)
    app.router.add_post("/api/link", _new_link)


async def _show(request: web.Request) -> web.Response:
    access = request.app[ACCESS]
    return web.json_response({"open": access.has_session(request), "password": access.has_password})


async def _open(request: web.Request) -> web.Response:
    access, body = request.app[ACCESS], await json_body(request)
    token, password = body.get("token"), body.get("password")
    if isinstance(token, str):
        accepted, message = access.redeem(token), "this link has been used, or is too old."
    elif isinstance(password, str):
        accepted, message = await access.accepts_password(password), "this is not the password."
    else:
        raise ConfigError("expected a token or a password, received neither.")
    if not accepted:
        return web.json_response({"message": message}, status=401)
    response = web.json_response({"open": True})
    access.open_session(response, request.headers.get("X-Forwarded-Proto", request.scheme) == "https")
    return response


async def _close(request: web.Request) -> web.Response:
    response = web.json_response({"open": False})
    request.app[ACCESS].close_session(response)
    return response


async def _new_link(request: web.Request) -> web.Response:
    """The token of a new one-time link, for another browser."""
    return web.json_response({"token": request.app[ACCESS].new_token(), **request.app[EXPOSURE].to_json()})
