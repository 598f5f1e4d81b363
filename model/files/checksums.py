"""Checksums of files."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20
_DIGEST_BYTES = 32


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


def with_checksum(content: bytes) -> bytes:
    """The sha256 of some content, 32 bytes, followed by the content."""
    return hashlib.sha256(content).digest() + content


def verified_content(stored: bytes) -> bytes | None:
    """The content that `with_checksum` stored; None if it is damaged."""
    digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None
