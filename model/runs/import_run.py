"""Import of a model from its source into the workspace, completely or not at all."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from model import durable
from model.bundle_files import BUNDLE_FILES, IMPORTED, MANIFEST
from model.config import is_model_name
from model.errors import ArchiveError, ConfigError, ModelError
from model.files.archives import first_name, is_archive, unpack_archive
from model.importing.bundle_import import find_bundle_folder, import_bundle
from model.importing.imgclas import CHECKPOINTS, EXPECTED, TrainedFolder, find_trained_folder, read_trained_folder
from model.importing.imported import Imported
from model.importing.limited_process import convert_in_child
from model.importing.sources import local_source, require_listed_sha256
from model.provenance import utc_now
from model.received import quoted
from model.results import Progress, no_progress
from model.runs import Run, start_import
from model.runs.starting import check_name
from model.scratch import scratch_folder
from model.training_result import ImportResult
from model.workspace import Workspace

# Files and folders at the top of a model.
_MODEL_FILES = {row.path.rstrip("/") for row in BUNDLE_FILES} | {MANIFEST, CHECKPOINTS, "conf"}
_NAMES_SHOWN = 5
_ARCHIVE_SUFFIXES = re.compile(r"(\.tar)?\.(xz|gz|bz2|tgz|txz|tar|zip)$", re.IGNORECASE)


def import_model(
    source: Path | str, workspace: Workspace, name: str = "", sha256: str = "", progress: Progress = no_progress
) -> ImportResult:
    """Import a model: one of Topgraft is copied, one trained by imgclas is converted.

    Args:
        source: folder or archive of the model, also as https://... or remote:path; it is only read.
        name: name of the new model; empty: that of the folder.
        sha256: expected sha256 of the archive; empty: that of `<archive>.sha256` next to the archive, if there is one.
        progress: reports a download.

    Raises:
        ModelError: the source is no such model, is damaged, or contains code.
        ConfigError: the name is in use, or invalid.
        FetchError, StorageError: the source could not be downloaded, or has another sha256.
    """
    clock = time.perf_counter()
    if name:
        _require_name(name)
        check_name(name, workspace)

    def check_beginning(beginning: bytes) -> None:
        if not name and (found := _model_name(beginning)):
            check_name(found, workspace)

    with local_source(str(source), sha256, progress, check_beginning) as path, _unpacked(path) as root:
        bundle_folder = find_bundle_folder(root)
        if bundle_folder is not None:
            with _importing_as(
                name or (_without_suffix(path) if bundle_folder == root else bundle_folder.name), workspace
            ) as run:
                return _result(import_bundle(bundle_folder, run.bundle, run.work), run, clock)
        folder = read_trained_folder(find_trained_folder(root))
        with _importing_as(_name(name, folder, path, root), workspace) as run:
            return _result(convert_in_child(path, folder, run.name, run.bundle, run.work), run, clock)


def _result(imported: Imported, run: Run, clock: float) -> ImportResult:
    manifest = imported.manifest
    return ImportResult(
        model=run.name,
        path=run.destination,
        metrics=manifest.metrics,
        warnings=imported.warnings,
        seconds=round(time.perf_counter() - clock, 1),
        backbone=manifest.backbone,
        classes=len(manifest.classes),
        image_size=manifest.image_size,
        engine=manifest.engine,
        max_difference=imported.max_difference,
    )


@contextlib.contextmanager
def _importing_as(name: str, workspace: Workspace) -> Iterator[Run]:
    """Folder for a new model, which is published at the end of the block, or removed after an error.

    Raises:
        ConfigError: the name is in use, or invalid.
    """
    _require_name(name)
    run = start_import(name, workspace)
    with run.lock:
        try:
            run.work.mkdir()
            yield run
            durable.write_json(run.bundle / IMPORTED, {"time": utc_now()})
            run.publish()
        except BaseException:
            shutil.rmtree(run.directory, ignore_errors=True)
            raise


def _require_name(name: str) -> None:
    if not is_model_name(name):
        raise ConfigError(
            "name: expected at most 100 letters, digits, '.', '-' or '_', beginning with a letter or digit, and not "
            f"'latest'. Received: {quoted(name)}. Choose one with --name."
        )


def _model_name(beginning: bytes) -> str:
    """Name that an archive gives its model, from its first bytes; empty if they do not tell."""
    folder, _, inside = (first_name(beginning) or "").removeprefix("./").partition("/")
    is_model = inside.partition("/")[0] in _MODEL_FILES and is_model_name(folder)
    return folder if is_model else ""


@contextlib.contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source.resolve()
        return
    if not is_archive(source):
        found = "a file that is not an archive" if source.exists() else "nothing"
        raise ModelError(f"{source}: expected {EXPECTED}\nfound {found}")
    with scratch_folder("import") as directory:
        try:
            root = unpack_archive(source, directory / "unpacked")
            inner = _inner_archive(root, source)
            yield unpack_archive(inner, directory / "inner" / inner.name) if inner else root
        except ArchiveError as error:
            raise ModelError(error.message) from error


def _inner_archive(root: Path, source: Path) -> Path | None:
    """The archive in an unpacked archive that is no model, such as the zip of a shared folder; None if it has none.

    Raises:
        ModelError: it has several.
        ModelDamagedError: it does not match its checksum file.
    """
    if find_bundle_folder(root) is not None:
        return None
    # A file .keras or .npz is a zip, too.
    archives = sorted(path for path in root.rglob("*") if _ARCHIVE_SUFFIXES.search(path.name) and is_archive(path))
    if len(archives) > 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in archives[:_NAMES_SHOWN])
        raise ModelError(f"{source}: expected one model, found several archives: {names}. Import one of them.")
    if archives:
        require_listed_sha256(archives[0])
    return archives[0] if archives else None


def _name(requested: str, folder: TrainedFolder, source: Path, root: Path) -> str:
    of_archive = folder.directory == root and not source.is_dir()
    return requested or (_without_suffix(source) if of_archive else folder.directory.name)


def _without_suffix(archive: Path) -> str:
    return _ARCHIVE_SUFFIXES.sub("", archive.name)
