"""Local copy of the source of an import: a folder, an archive, a URL or remote:path."""

import contextlib
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from model.addresses import is_url
from model.errors import ConfigError, ModelDamagedError
from model.files.checksums import file_sha256
from model.publishing.archive import CHECKSUM_SUFFIX, listed_checksums
from model.received import quoted
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.storage.copies import local_file
from model.storage.links import download_url

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_NAMELESS = ("", "download")


@contextlib.contextmanager
def local_source(
    source: str,
    sha256: str = "",
    progress: Progress = no_progress,
    check_beginning: Callable[[bytes], object] | None = None,
) -> Iterator[Path]:
    """Local path of a source; downloaded files are removed at the end of the block.

    Args:
        source: folder, archive, https://... or remote:path.
        sha256: expected sha256 of the archive. Empty: that of `<archive>.sha256` next to the archive, if there is one;
            not for a URL.
        check_beginning: called with the first bytes of a file that is downloaded, before the rest; its error ends the
            download.

    Raises:
        ConfigError: `sha256` is not one, or the source is a folder, which has none.
        ModelDamagedError, StorageError, FetchError: the source could not be downloaded, or has another sha256.
    """
    if sha256 and not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected 64 hexadecimal digits, received {quoted(sha256)}.")
    if is_url(source):
        with scratch_folder("import") as directory:
            path = directory / _file_name(source)
            from model.storage.download import download

            download(source, path, sha256, progress, check_beginning=check_beginning)
            yield path
        return
    with local_file(source, progress, [CHECKSUM_SUFFIX], check_beginning) as path:
        if sha256:
            _require_sha256(path, (sha256.lower(),))
        elif path.is_file():
            require_listed_sha256(path)
        yield path


def require_listed_sha256(archive: Path) -> None:
    """Check the sha256 of an archive by the file `<archive>.sha256`, if there is one.

    Raises:
        ModelDamagedError: it is another one.
    """
    expected = listed_checksums(archive)
    if expected is not None:
        _require_sha256(archive, expected)


def _file_name(url: str) -> str:
    """File name for a downloaded URL; a fixed one for public links, which do not contain the file name."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(download_url(url)).path).rpartition("/")[2]
    return "model.tar.xz" if name in _NAMELESS or "\0" in name or len(name) > 200 else name


def _require_sha256(path: Path, expected: Collection[str]) -> None:
    if not path.is_file():
        raise ConfigError(f"sha256: expected an archive, because a folder has none; received {path}.")
    received = file_sha256(path)
    if received not in expected:
        raise ModelDamagedError(
            f"{path}: expected the sha256 {' or '.join(expected) or 'in its checksum file'}, received {received}. "
            "Nothing was imported: download the archive again."
        )
