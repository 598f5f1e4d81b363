"""Checksum of a dataset for the retraining in Argo Workflows: the same if images, classes and splits are the same.

    python -m model.pipelines.dataset_checksum signs.tar checksum

Of an archive of `topgraft pack`, other files do not count: origin.csv changes when an annotation is saved again.
"""

import hashlib
import json
import sys
import tarfile
from pathlib import Path

from model import durable
from model.dataset.listing import DATASET_FILES, IMAGES
from model.files.checksums import file_sha256
from model.files.packing import INDEX
from model.reading import MAX_JSON_BYTES, UnreadableError, parse_json, read_stream, unreadable

_COUNTED = (f"{IMAGES}/", f"{DATASET_FILES}/")


def dataset_checksum(path: Path) -> str:
    """SHA-256 in hexadecimal digits.

    Args:
        path: an archive of `topgraft pack`, any other file, or a folder.
    """
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return _checksum([(one.relative_to(path).as_posix(), file_sha256(one)) for one in files])
    rows = _index(path)
    counted = [(name, digest) for name, digest in rows if name.startswith(_COUNTED)]
    return _checksum(counted or rows) if rows else file_sha256(path)


def _index(path: Path) -> list[tuple[str, str]]:
    """Names and checksums of the files of an archive of `topgraft pack`; empty for other files."""
    try:
        with unreadable(), tarfile.open(path) as tar:
            content = tar.extractfile(INDEX)
            if content is None:
                return []
            rows = parse_json(read_stream(content, MAX_JSON_BYTES))["files"]
            return [(one["name"], one["sha256"]) for one in rows]
    except (UnreadableError, tarfile.TarError):
        return []


def _checksum(rows: list[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


if __name__ == "__main__":
    durable.write_text(Path(sys.argv[2]), f"{dataset_checksum(Path(sys.argv[1]))}\n")
