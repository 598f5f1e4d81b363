"""Checksums of files."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


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
