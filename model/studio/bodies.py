"""The JSON in the body of a request."""

from typing import Any

from aiohttp import web

from model.errors import ConfigError
from model.reading import UnreadableError, parse_json

MAX_BODY_BYTES = 1 << 20
"""Maximum size of the body of a request, besides uploads and long lists of photos."""


async def json_body(request: web.Request, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object in the body of a request.

    Pages of other sites cannot send this type without asking the server first (CORS).

    Raises:
        ConfigError: it is none.
        HTTPRequestEntityTooLarge: it has more than `max_bytes`.
    """
    content: Any = None
    if request.content_type == "application/json":
        try:
            content = parse_json(await read_body(request, max_bytes))
        except UnreadableError as error:
            raise ConfigError(f"expected JSON as the body of the request, received: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError("expected a JSON object of type application/json as the body of the request.")
    return content


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        HTTPRequestEntityTooLarge: it has more than `max_bytes`.
    """
    body = bytearray()
    async for block in request.content.iter_any():
        body += block
        if len(body) > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_bytes, len(body))
    return bytes(body)
