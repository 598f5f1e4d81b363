"""Data URIs (RFC 2397): URLs that contain their content."""

import base64
import binascii
import urllib.parse
from collections.abc import Iterator

from model.errors import FetchError, FetchTooLargeError

# Enough for an image; larger content must be uploaded as a file.
MAX_CHARACTERS = 64 << 20
_BLOCK = 1 << 16


def decode_data_uri(uri: str, max_bytes: int) -> bytes:
    """Content of `data:[type][;base64],CONTENT`; the type is ignored.

    Raises:
        FetchError: the URI does not have this form, or its base64 is damaged.
        FetchTooLargeError: the URI is longer than 64 MiB, or contains more than `max_bytes`.
    """
    header, comma, payload = uri.partition(",")
    if not comma:
        raise FetchError("url: expected data:[type][;base64],CONTENT, received a data URI without a comma.")
    if len(payload) > min(MAX_CHARACTERS, 3 * max_bytes):
        raise _too_large(max_bytes)
    content = b"".join(_percent_decoded(payload))
    if header.lower().endswith(";base64"):
        try:
            content = base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise FetchError(
                f"url: expected base64 after the comma of the data URI, received: {error}. "
                "In a query string a + must be written %2B."
            ) from error
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


def _percent_decoded(text: str) -> Iterator[bytes]:
    """Decode in blocks: decoded at once, a text of only %XX would take forty times its size in memory."""
    start = 0
    while start < len(text):
        end = start + _BLOCK
        if end < len(text):
            split = text.rfind("%", end - 2, end)  # do not split %XX
            end = end if split < 0 else split
        yield urllib.parse.unquote_to_bytes(text[start:end])
        start = end


def _too_large(max_bytes: int) -> FetchTooLargeError:
    return FetchTooLargeError(
        f"url: expected a data URI of at most {min(MAX_CHARACTERS, max_bytes)} bytes, received more. Send a file."
    )
