"""Small previews of photos as JPEG, in a cache of bounded size."""

import contextlib
import hashlib
import io
import itertools
import os
import uuid
from pathlib import Path

from PIL import Image

from model.dataset.images import measure_image, read_content
from model.dataset.pipeline import decode_within_budget
from model.files.checksums import verified_content, with_checksum
from model.reading import UnreadableError, read_regular
from model.results import InputSpec
from model.workspace import cache_directory

SIDE = 160
"""Width and height of a thumbnail in pixels: the centre of the photo."""

MAX_PREVIEW_SIDE = 1600
MAX_CACHE_BYTES = 512 * 1024**2

_SPEC = InputSpec.square(SIDE, "crop", intensity="photo")
_QUALITY = 80
_MAX_BYTES = 1 << 20
# Listing the whole cache takes longer than writing to it.
_WRITTEN_BETWEEN_CHECKS = 2000
_written = itertools.count(1)


def thumbnail(photo: Path) -> bytes:
    """JPEG of `SIDE` x `SIDE` pixels; from the cache if the file has not changed, wherever it has been moved.

    Raises:
        ImageError: the file is not a photo that can be used; the message says why.
    """
    cached = _cache_path(photo)
    if (content := _read(cached)) is not None:
        return content
    content = _encoded(read_content(photo), _SPEC)
    # Without a cache the preview is made again each time.
    with contextlib.suppress(OSError):
        _write(cached, with_checksum(content))
    return content


def preview(photo: Path) -> bytes:
    """JPEG of the whole photo, upright, at most `MAX_PREVIEW_SIDE` pixels wide and high.

    Raises:
        ImageError: as `thumbnail`.
    """
    content = read_content(photo)
    height, width = measure_image(content)
    scale = min(1.0, MAX_PREVIEW_SIDE / max(height, width))
    spec = InputSpec(max(1, round(height * scale)), max(1, round(width * scale)), intensity="photo")
    return _encoded(content, spec)


def limit_cache(folder: Path, max_bytes: int = MAX_CACHE_BYTES) -> None:
    """Remove the oldest thumbnails of a cache that is larger than it may be, down to four fifths."""
    files = [(path.stat(), path) for path in folder.glob("*/*.jpg")]
    total = sum(status.st_size for status, _ in files)
    if total <= max_bytes:
        return
    for status, path in sorted(files, key=lambda file: file[0].st_mtime):
        path.unlink(missing_ok=True)
        total -= status.st_size
        if total <= 0.8 * max_bytes:
            return


def _encoded(content: bytes, spec: InputSpec) -> bytes:
    pixels = decode_within_budget(content, spec).pixels
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _cache_path(photo: Path) -> Path:
    """Path in the cache that belongs to this content of a file, also after it was renamed."""
    with contextlib.suppress(OSError):
        status = photo.stat()
        identity = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
        key = hashlib.sha256(identity.encode()).hexdigest()
        return cache_directory() / "thumbnails" / key[:2] / f"{key}.jpg"
    return cache_directory() / "thumbnails" / "00" / "missing.jpg"


def _write(cached: Path, content: bytes) -> None:
    """Replace a file of the cache. It is not flushed to the disk: a damaged one is noticed by its checksum."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    temporary = cached.with_name(f".{cached.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    os.replace(temporary, cached)
    if next(_written) % _WRITTEN_BETWEEN_CHECKS == 0:
        limit_cache(cached.parent.parent)


def _read(cached: Path) -> bytes | None:
    try:
        return verified_content(read_regular(cached, _MAX_BYTES))
    except (OSError, UnreadableError):
        return None
