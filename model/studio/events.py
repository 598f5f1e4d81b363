"""Events for the open pages of the studio, as server-sent events.

A page that is not connected misses events; it reads the state again when it is back, so events are not kept.
"""

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import web

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10.0
MAX_WAITING = 100
"""Events that wait for a page; one that is slower is disconnected, and reads the state when it comes back."""

_SECONDS_TO_RECONNECT = 2
_END = ""


class Events:
    """The open pages, and what is sent to them. Use it in the event loop; `send` also works in threads."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def has_pages(self) -> bool:
        """Whether a page is connected."""
        return bool(self._pages)

    def send(self, kind: str, data: Any) -> None:
        """Send an event to all connected pages.

        Args:
            kind: name of the event: state, training, dataset, check or task.
            data: plain JSON types.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._put, f"event: {kind}\ndata: {json.dumps(data)}\n\n")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer a request with all events from now on, until the page or the server closes the connection."""
        self._loop = asyncio.get_running_loop()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._pages.add(queue)
        try:
            with contextlib.suppress(ConnectionError):
                await response.write(f"retry: {1000 * _SECONDS_TO_RECONNECT}\n\n".encode())
                while (text := await _next(queue)) != _END:
                    await response.write(text.encode())
        finally:
            self._pages.discard(queue)
        return response

    def close(self) -> None:
        """End all streams."""
        for queue in list(self._pages):
            self._end(queue)

    def _put(self, text: str) -> None:
        for queue in list(self._pages):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(text)

    def _end(self, queue: "asyncio.Queue[str]") -> None:
        self._pages.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(_END)


async def _next(queue: "asyncio.Queue[str]") -> str:
    """The next event; a sign of life if there is none for a while."""
    try:
        return await asyncio.wait_for(queue.get(), SECONDS_BETWEEN_SIGNS_OF_LIFE)
    except asyncio.TimeoutError:
        return "event: alive\ndata: {}\n\n"
