"""Sums of files."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return sum_of(path, "sha256")


def sum_of(path: Path, algorithm: str) -> str:
    """A sum of a file, in hexadecimal; `algorithm` as in hashlib."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
