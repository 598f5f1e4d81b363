"""The JSON in the body of a request."""

from typing import Any

from aiohttp import web

from model.errors import ConfigError
from model.reading import UnreadableError, parse_json


async def json_body(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body of a request.

    Pages of other sites cannot send this type without asking the server first (CORS).

    Raises:
        ConfigError: it is none.
    """
    content: Any = None
    if request.content_type == "application/json":
        try:
            content = parse_json(await request.read())
        except UnreadableError as error:
            raise ConfigError(f"expected JSON as the body of the request, received: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError("expected a JSON object of type application/json as the body of the request.")
    return content
