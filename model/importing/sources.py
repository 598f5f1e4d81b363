"""Where an imported model comes from: a folder, an archive, a URL, or a storage; as a path on this machine."""

import contextlib
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from model.errors import ConfigError, ModelDamagedError
from model.files.checksums import file_sha256
from model.publishing.archive import CHECKSUM_SUFFIX, read_checksum
from model.results import Progress, no_progress
from model.storage.copies import local_file
from model.storage.download import download, is_url

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_NAMELESS = ("", "download")


@contextlib.contextmanager
def local_source(source: str, sha256: str = "", progress: Progress = no_progress) -> Iterator[Path]:
    """The path of a source; what was fetched is removed afterwards.

    Args:
        source: a folder, an archive, https://..., or remote:path.
        sha256: what the archive must have; where it is empty and `<archive>.sha256` lies beside it, here or in a
            storage, that counts. A URL has nothing beside it.

    Raises:
        ConfigError: `sha256` is none, or the source is a folder, which has none.
        ModelDamagedError, StorageError, FetchError: it could not be fetched, or has another sha256.
    """
    if sha256 and not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected 64 hexadecimal digits, received {sha256!r}.")
    if is_url(source):
        with tempfile.TemporaryDirectory(prefix="topgraft-import-") as directory:
            path = Path(directory) / _file_name(source)
            download(source, path, sha256, progress)
            yield path
        return
    with local_file(source, progress, beside=[CHECKSUM_SUFFIX]) as path:
        expected = sha256 or (read_checksum(path) if path.is_file() else None)
        if expected is not None:
            _require_sha256(path, expected)
        yield path


def _file_name(url: str) -> str:
    """What to call it; names of public links say nothing of what is behind them."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]
    return "model.tar.xz" if name in _NAMELESS or "\0" in name or len(name) > 200 else name


def _require_sha256(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ConfigError(f"sha256: expected an archive, for a folder has none; received {path}.")
    received = file_sha256(path)
    if received != expected.lower():
        raise ModelDamagedError(
            f"{path}: expected the sha256 {expected.lower()}, received {received}. Fetch it again: nothing was read."
        )
