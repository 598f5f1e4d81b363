"""Checksums of files."""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from model import durable
from model.reading import UnreadableError, read_regular, without_number

_BLOCK = 1 << 20
_DIGEST_BYTES = 32

log = logging.getLogger(__name__)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return file_checksum(path, "sha256")


def file_checksum(path: Path, algorithm: str) -> str:
    """Checksum of a file, in hexadecimal; `algorithm` is a name that hashlib knows, such as `sha1`."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksum_line(sha256: str, name: str) -> str:
    """Line of a checksum file for a file, as `sha256sum` writes it."""
    return f"{sha256}  {name}\n"


@contextlib.contextmanager
def replaced_checksum_file(path: Path, content: bytes) -> Iterator[None]:
    """Replace a checksum file, while the file that it is of is replaced in the block.

    In the block it lists the previous checksum and the new one, so that the other file matches a line of it at every
    moment, also after a kill. If the block fails, the previous checksum file is restored.
    """
    previous = path.read_bytes() if path.is_file() else None
    durable.write_bytes(path, (previous or b"") + content)
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True) if previous is None else durable.write_bytes(path, previous)
        raise
    durable.write_bytes(path, content)


def with_checksum(content: bytes) -> bytes:
    """The sha256 of some content, 32 bytes, followed by the content."""
    return hashlib.sha256(content).digest() + content


def verified_content(stored: bytes) -> bytes | None:
    """The content that `with_checksum` stored; None if it is damaged."""
    digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def cached_content(path: Path, make: Callable[[], bytes], description: str) -> bytes:
    """The content of a file of a cache; if it is missing or damaged, it is made again, and saved if possible.

    The file holds the sha256 of the content, then the content. Processes that make it at the same time each replace
    it as a whole.

    Args:
        description: name of the content at the start of a message, such as "the converted backbone".
    """
    content = _verified_file(path, description)
    if content is None:
        content = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_bytes(path, with_checksum(content))
        except OSError as error:
            log.warning("%s could not be saved in %s: %s", description, path, without_number(error))
    return content


def _verified_file(path: Path, description: str) -> bytes | None:
    try:
        stored = read_regular(path, path.stat().st_size)
    except (OSError, UnreadableError):
        return None
    content = verified_content(stored)
    if content is None:
        log.warning("%s is damaged: %s is made again", path, description)
    return content
