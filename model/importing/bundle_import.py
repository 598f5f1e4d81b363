"""Import of a model trained by another Topgraft: a copy of its files, checked to be only data."""

import os
import shutil
from pathlib import Path

from model.bundle_files import IMPORTED, MANIFEST, REPORT
from model.errors import ModelError
from model.importing.imported import Imported
from model.importing.limited_process import check_in_child

# A network of Keras, as `model.importing.imgclas` reads it, is the largest file of a model.
_MAX_FILE_BYTES = 4 * 1024**3


def find_bundle_folder(root: Path) -> Path | None:
    """Folder of a trained model: `root`, or the only folder in it; None without a manifest."""
    inside = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    places = [root, *inside] if len(inside) == 1 else [root]
    return next((place for place in places if (place / MANIFEST).is_file()), None)


def import_bundle(folder: Path, destination: Path, work: Path) -> Imported:
    """Copy a model if each of its files is complete, known and only data.

    Args:
        folder: folder with manifest.json; it is only read.
        destination: folder of the new model; must not exist.
        work: empty folder for temporary files.

    Raises:
        ModelError, ModelDamagedError: as `check_in_child`.
    """
    # The copy is checked, not the source, so that no file can be exchanged after the check.
    _copy_files(folder, destination)
    # Imported by another workspace, which knows when; here it is imported now.
    (destination / IMPORTED).unlink(missing_ok=True)
    manifest = check_in_child(destination, work).manifest
    left_out = (folder / REPORT).exists() and REPORT not in manifest.files
    warning = f"{REPORT} was left out: it does not forbid the scripts of others, as reports do since version 0.1.0"
    return Imported(manifest, max_difference=None, warnings=(warning,) if left_out else ())


def _copy_files(folder: Path, destination: Path) -> None:
    for directory, folders, files in os.walk(folder):
        place = destination / Path(directory).relative_to(folder)
        place.mkdir(parents=True)
        for name in (*folders, *files):
            path = Path(directory) / name
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ModelError(f"{path}: expected files and folders only, found a link or a device.")
        for name in files:
            _check_size(Path(directory) / name)
            shutil.copyfile(Path(directory) / name, place / name)


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > _MAX_FILE_BYTES:
        raise ModelError(
            f"{path}: expected a file of at most {_MAX_FILE_BYTES:,} bytes, found {size:,}. Nothing was imported."
        )
