"""A trained model as one `.tar.xz`: the same model gives the same bytes, and what is inside is named and checked.

    <name>/manifest.json    the sha256 and size of every other file
    <name>/model.onnx ...   the files that the manifest lists, in the order of their names

Times, owners and modes are those of nobody, so that neither a copy of the model nor another machine changes the
archive; see https://reproducible-builds.org/docs/archives/. Another version of liblzma may pack the same content
otherwise; what is inside stays the same.
"""

import dataclasses
import hashlib
import io
import lzma
import tarfile
from pathlib import Path
from typing import IO

from model import durable
from model.bundle import Bundle, FileRecord, file_record
from model.bundle_files import MANIFEST, MODEL_CARD
from model.publishing.card import model_card

SUFFIX = ".tar.xz"
CHECKSUM_SUFFIX = ".sha256"

# Weights hardly shrink: a higher preset takes seven times as long for less than one percent.
_XZ_PRESET = 0
_MODE = 0o644


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive on disk.

    Attributes:
        sha256: in hexadecimal; also in `<path>.sha256`, as `sha256sum --check` reads it.
        size: in bytes.
        files: names inside, below the folder of the model's name.
    """

    path: Path
    sha256: str
    size: int
    files: tuple[str, ...]


def write_archive(bundle: Bundle, path: Path) -> Archive:
    """Write the model as `path`, and its checksum beside it; both are replaced, and whole or not there.

    A model from before there were cards is given its MODEL_CARD.md.

    Raises:
        ModelDamagedError: files are missing or have changed.
    """
    bundle.verify()
    content = _content(bundle)
    checksum = path.with_name(path.name + CHECKSUM_SUFFIX)
    # In this order no checksum is ever beside another archive than its own.
    checksum.unlink(missing_ok=True)
    durable.replace_file(path, lambda stream: _pack(content, bundle.name, stream))
    record = file_record(path)
    durable.write_text(checksum, f"{record.sha256}  {path.name}\n")
    return Archive(path, record.sha256, record.size, tuple(content))


def _content(bundle: Bundle) -> dict[str, Path | bytes]:
    """What to pack, in order: name inside the archive -> a file, or its bytes."""
    listed = bundle.manifest.files
    files: dict[str, Path | bytes] = {name: bundle.directory / name for name in listed}
    files[MANIFEST] = bundle.directory / MANIFEST
    if MODEL_CARD not in listed:
        card = model_card(bundle.manifest).encode()
        records = listed | {MODEL_CARD: FileRecord(hashlib.sha256(card).hexdigest(), len(card))}
        manifest = dataclasses.asdict(dataclasses.replace(bundle.manifest, files=dict(sorted(records.items()))))
        files |= {MODEL_CARD: card, MANIFEST: durable.json_text(manifest).encode()}
    return dict(sorted(files.items()))


def _pack(content: dict[str, Path | bytes], folder: str, stream: IO[bytes]) -> None:
    with (
        lzma.LZMAFile(stream, "w", check=lzma.CHECK_CRC64, preset=_XZ_PRESET) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, source in content.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.mode = _MODE
            with open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as file:
                entry.size = file.seek(0, io.SEEK_END)
                file.seek(0)
                archive.addfile(entry, file)


def read_checksum(archive: Path) -> str | None:
    """The sha256 that `<archive>.sha256` names, in lower case; None where there is no such file."""
    beside = archive.with_name(archive.name + CHECKSUM_SUFFIX)
    if not beside.is_file():
        return None
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    return words[0].lower() if words else ""
