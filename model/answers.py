"""Answers of HTTP servers, which may send more than was asked for, without an end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

MAX_ANSWER_BYTES = 1 << 22
"""Size up to which answers with facts about files are read."""

_BLOCK = 1 << 16


def read_answer(answer: "requests.Response", max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
    """The first bytes of an answer that was requested with `stream=True`, at most `max_bytes`."""
    content = b""
    for block in answer.iter_content(_BLOCK):
        content += block
        if len(content) >= max_bytes:
            break
    return content[:max_bytes]
