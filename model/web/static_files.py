"""Static files of the web servers, and the headers of all their responses."""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.abc import Traversable

from aiohttp import web
from aiohttp.typedefs import Handler

CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# Only scripts of the page run, no data is sent to other servers, and no text is interpreted as HTML.
CONTENT_SECURITY_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}


def security_headers(policy: Mapping[str, str] = CONTENT_SECURITY_POLICY) -> dict[str, str]:
    """Headers of every response.

    Args:
        policy: directives of the Content-Security-Policy.
    """
    return {
        "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


def packaged_files(package: str) -> dict[str, bytes]:
    """Path below `static/` of a package, and content, of each file there."""
    return dict(_files_below(resources.files(package) / "static", ""))


def add_file(app: web.Application, path: str, content: bytes) -> None:
    """Serve a file that is kept in memory; its type is that of its ending.

    Args:
        path: path of the URL.
    """
    content_type = CONTENT_TYPES[path[path.rindex(".") :]] if "." in path else CONTENT_TYPES[".html"]
    app.router.add_get(path, _responder(content, content_type))


def _files_below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_file():
            yield f"{prefix}{entry.name}", entry.read_bytes()
        else:
            yield from _files_below(entry, f"{prefix}{entry.name}/")


def _responder(content: bytes, content_type: str) -> Handler:
    charset = None if content_type == CONTENT_TYPES[".svg"] else "utf-8"

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=content_type, charset=charset)

    return respond
