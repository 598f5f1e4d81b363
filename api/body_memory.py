"""Memory of the server for the bodies of requests, limited for all requests together.

Files of forms are written to disk, but texts and JSON are kept in memory until the request is answered. Each is
limited, but many clients that send long ones at the same time, or half of one, would still fill the memory.
"""

import contextlib
from collections.abc import Iterator

from aiohttp import web

from api.errors import TryAgain

MAX_BYTES = 192 << 20
"""Maximum size of all bodies in memory: about three of the longest texts, which are data URIs."""

# Bytes of each body that do not count, so that short requests are handled while others fill the memory.
_UNCOUNTED_BYTES = 1 << 16


class BodyMemory:
    """Memory for the bodies of all requests. Used by one event loop.

    Args:
        max_bytes: its size.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._free = max_bytes

    @contextlib.contextmanager
    def share(self) -> Iterator["BodyShare"]:
        """The part of one request, which is free again at the end of the block."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self._free += share.counted

    def take(self, size: int) -> None:
        """Reduce the free memory.

        Raises:
            TryAgain: less is free.
        """
        if size > self._free:
            raise TryAgain(
                "expected short texts in requests while others send long ones, received a long one. Try again in some "
                "seconds, or send the photo as a file in place of text."
            )
        self._free -= size


class BodyShare:
    """Memory for the body of one request.

    Attributes:
        counted: bytes that are taken from the memory of all requests.
    """

    def __init__(self, memory: BodyMemory) -> None:
        self.counted = 0
        self._memory, self._received = memory, 0

    def grow(self, size: int) -> None:
        """Add so many received bytes.

        Raises:
            TryAgain: the memory of all requests is full.
        """
        self._received += size
        more = self._received - _UNCOUNTED_BYTES - self.counted
        if more > 0:
            self._memory.take(more)
            self.counted += more


async def read_body(request: web.Request, share: BodyShare) -> bytes:
    """Read a body into memory, which `request.read` then returns.

    Raises:
        HTTPRequestEntityTooLarge: it is longer than the `client_max_size` of the request.
        TryAgain: see `BodyShare.grow`.
    """
    body = bytearray()
    while block := await request.content.readany():
        if len(body) + len(block) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size, len(body) + len(block))
        share.grow(len(block))
        body += block
    # The cache of `read`, which has no public setter.
    request._read_bytes = bytes(body)
    return request._read_bytes
