"""Reproducible archive of a trained model (`.tar.xz`): the same model gives the same bytes.

    <name>/manifest.json    the sha256 and size of every other file
    <name>/model.onnx ...   the files that the manifest lists, in the order of their names

Times, owners and modes are fixed, so that the archive does not depend on the machine or on copies of the model; see
https://reproducible-builds.org/docs/archives/. Another version of liblzma may compress the same content to other
bytes.
"""

import contextlib
import dataclasses
import hashlib
import io
import lzma
import os
import tarfile
from pathlib import Path
from typing import IO

from model import durable
from model.bundle import Bundle, FileRecord, file_record
from model.bundle_files import MANIFEST, MODEL_CARD
from model.errors import ArchiveError
from model.files.checksums import checksum_line, replaced_checksum_file
from model.publishing.card import model_card
from model.reading import UnreadableError, read_regular

SUFFIX = ".tar.xz"
CHECKSUM_SUFFIX = ".sha256"

# Weights hardly shrink: a higher preset takes seven times as long for less than one percent.
_XZ_PRESET = 0
_MODE = 0o644
_MAX_CHECKSUM_BYTES = 100_000


@dataclasses.dataclass(frozen=True)
class Archive:
    """Archive of a model on disk.

    Attributes:
        sha256: hexadecimal; also in `<path>.sha256`, in the format of `sha256sum --check`.
        size: size in bytes.
        files: paths inside the archive, relative to the folder named after the model.
    """

    path: Path
    sha256: str
    size: int
    files: tuple[str, ...]


def write_archive(bundle: Bundle, path: Path) -> Archive:
    """Write the archive of a model to `path`, and its checksum next to it; both are replaced atomically.

    A model without a MODEL_CARD.md gets one in the archive.

    Raises:
        ModelDamagedError: files are missing or have changed.
    """
    bundle.verify()
    content = _content(bundle)
    checksum = path.with_name(path.name + CHECKSUM_SUFFIX)
    durable.remove_leftovers(path)
    record: list[FileRecord] = []
    with contextlib.ExitStack() as replacing:

        def list_both(packed: Path) -> None:
            record.append(file_record(packed))
            replacing.enter_context(replaced_checksum_file(checksum, _checksum_line(record[0].sha256, path)))

        durable.replace_file(path, lambda stream: _pack(content, bundle.name, stream), list_both)
    return Archive(path, record[0].sha256, record[0].size, tuple(content))


def rename_archive(archive: Archive, name: str) -> Archive:
    """Rename an archive on disk and in its checksum file."""
    path = archive.path.with_name(name)
    checksum = archive.path.with_name(archive.path.name + CHECKSUM_SUFFIX)
    checksum.unlink(missing_ok=True)
    os.replace(archive.path, path)
    line = _checksum_line(archive.sha256, path)
    durable.write_bytes(path.with_name(name + CHECKSUM_SUFFIX), line)
    return dataclasses.replace(archive, path=path)


def _checksum_line(sha256: str, path: Path) -> bytes:
    return checksum_line(sha256, path.name).encode()


def _content(bundle: Bundle) -> dict[str, Path | bytes]:
    """Content of the archive in its order: path inside -> file, or its bytes."""
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


def listed_checksums(archive: Path) -> tuple[str, ...] | None:
    """sha256 of each line in the file `<archive>.sha256`, in lower case; None without that file.

    There are two lines, of the previous archive and the new one, while the archive is replaced.
    """
    checksum = archive.with_name(archive.name + CHECKSUM_SUFFIX)
    try:
        lines = read_regular(checksum, _MAX_CHECKSUM_BYTES).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    except UnreadableError as error:
        raise ArchiveError(f"{checksum}: expected the checksum of an archive, received: {error}. Remove it.") from error
    return tuple(line.split()[0].lower() for line in lines if line.strip())
