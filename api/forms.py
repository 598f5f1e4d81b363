"""Multipart forms as they arrive: files on disk, texts in memory, both within limits.

`aiohttp.web.Request.post` limits the size of a form as a whole: a text could be as large as a file, in memory.
"""

import asyncio
import contextlib
import tempfile
from typing import Any, cast

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from multidict import MultiDict, MultiDictProxy

from api.body_memory import BodyShare
from api.errors import BadRequest, TooLarge
from model.received import quoted

MAX_FIELDS = 200
"""Fields of a form: several times the number of options."""

MAX_FILES = 8
"""Files of a form. Each occupies a file descriptor of the server."""

CHARSETS = frozenset(
    ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252", "utf-16")
)
"""Charsets that are read. Others of Python, such as punycode, take minutes for a megabyte."""

_MAX_PREAMBLE_LINES = 20
_BYTES_IN_MEMORY = 1 << 20
_BLOCK = 1 << 16


class _TextTooLarge(TooLarge):
    """Raised by aiohttp with a size in place of a message."""

    def __init__(self, size: int | str) -> None:
        message = size if isinstance(size, str) else f"expected texts of at most {size} bytes in a form, received more."
        super().__init__(message)


class _FormReader(MultipartReader):
    """Refuses a long text before the first part, which aiohttp would skip line by line in the event loop."""

    _skipped = 0

    async def _readline(self) -> bytes:
        if self._at_bof:
            self._skipped += 1
            if self._skipped > _MAX_PREAMBLE_LINES:
                raise ValueError(f"more than {_MAX_PREAMBLE_LINES} lines before the first field")
        return await super()._readline()


def check_charset(charset: str | None) -> None:
    """Check the charset of a request or of a field, which is read as UTF-8 if it has none.

    Raises:
        BadRequest: it is none of `CHARSETS`.
    """
    if charset is not None and charset.lower() not in CHARSETS:
        raise BadRequest(f"expected a charset such as utf-8, received {quoted(charset)}.")


async def read_form(request: web.Request, max_text_bytes: int, share: BodyShare) -> None:
    """Read a multipart form, which `request.post` then returns.

    Args:
        request: its `client_max_size` limits the whole form.
        max_text_bytes: limit for all texts together.
        share: memory for them.

    Raises:
        BadRequest: the form has too many fields or files, or is nested.
        TooLarge, HTTPRequestEntityTooLarge: a limit is passed.
        TryAgain: other requests fill the memory.
        ValueError, RuntimeError, LookupError: the form is malformed.
    """
    fields: MultiDict[Any] = MultiDict()
    try:
        await _read_parts(request, fields, max_text_bytes, share)
    except BaseException:
        for field in fields.values():
            if isinstance(field, web.FileField):
                field.file.close()
        raise
    # The cache of `post`, which has no public setter.
    request._post = MultiDictProxy(fields)


async def _read_parts(request: web.Request, fields: "MultiDict[Any]", max_text_bytes: int, share: BodyShare) -> None:
    reader = _FormReader(
        request.headers, request.content, client_max_size=max_text_bytes, max_size_error_cls=_TextTooLarge
    )
    files = text_bytes = 0
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise BadRequest("expected a form of named fields, received a nested form or a field without a name.")
        if len(fields) >= MAX_FIELDS:
            raise BadRequest(f"expected a form of at most {MAX_FIELDS} fields, received more.")
        if part.filename:
            files += 1
            if files > MAX_FILES:
                raise BadRequest("expected one file, received many. Send several images as one zip.")
            fields.add(part.name, await _read_file(request, part))
        else:
            content = await _read_text(part, max_text_bytes - text_bytes, share)
            text_bytes += len(content)
            fields.add(part.name, _decoded(part, content))


async def _read_text(part: BodyPartReader, max_bytes: int, share: BodyShare) -> bytes:
    received, content = bytearray(), bytearray()
    while chunk := await part.read_chunk(_BLOCK):
        share.grow(len(chunk))
        received += chunk
        if len(received) > max_bytes:
            raise _TextTooLarge(max_bytes)
    # An encoding, if it has one, is that of the whole text.
    async for block in part.decode_iter(received):
        content += block
        if len(content) > max_bytes:
            raise _TextTooLarge(max_bytes)
    return bytes(content)


async def _read_file(request: web.Request, part: BodyPartReader) -> web.FileField:
    with contextlib.ExitStack() as on_error:
        stream = on_error.enter_context(tempfile.SpooledTemporaryFile(_BYTES_IN_MEMORY))
        while chunk := await part.read_chunk(_BLOCK):
            if request.content.total_bytes > request.client_max_size:
                raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content.total_bytes)
            async for block in part.decode_iter(chunk):
                if stream.tell() + len(block) > _BYTES_IN_MEMORY:
                    await asyncio.to_thread(stream.write, block)
                else:
                    stream.write(block)
        stream.seek(0)
        on_error.pop_all()
    kind = part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
    return web.FileField(str(part.name), str(part.filename), cast(Any, stream), kind, part.headers)


def _decoded(part: BodyPartReader, content: bytes) -> str | bytes:
    if part.headers.get(hdrs.CONTENT_TYPE, "text/").startswith("text/"):
        charset = part.get_charset("utf-8")
        check_charset(charset)
        return content.decode(charset)
    return content
