"""A model that Topgraft has trained elsewhere becomes one of this workspace: the same files, seen to be only data."""

import os
import shutil
from pathlib import Path
from typing import Any

from model.bundle import MANIFEST, REPORT
from model.errors import ModelError
from model.training.imports.publishing_import import importing_as
from model.training.imports.untrusted_bundle import check_untrusted_bundle
from model.workspace import Workspace


def find_bundle_folder(root: Path) -> Path | None:
    """The folder of a trained model: `root`, or the only folder in it; None where there is no manifest."""
    inside = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    places = [root, *inside] if len(inside) == 1 else [root]
    return next((place for place in places if (place / MANIFEST).is_file()), None)


def import_bundle(folder: Path, workspace: Workspace, name: str = "") -> dict[str, Any]:
    """Copy a model into the workspace, when each of its files is whole, known and only data.

    Args:
        folder: holds manifest.json; it is only read.
        name: of the new model; empty takes that of the folder.

    Returns:
        status, model (its name), path, backbone, classes, image_size, engine, metrics, max_difference (None: it is
        the same model) and warnings.

    Raises:
        ModelError, ModelDamagedError: as `check_untrusted_bundle`.
        ConfigError: the name is in use, or cannot be a model's.
    """
    with importing_as(name or folder.name, workspace) as reservation:
        # The copy is what is looked at, so that nobody can exchange a file after the look.
        _copy_files(folder, reservation.bundle)
        bundle = check_untrusted_bundle(reservation.bundle, reservation.work)
        manifest = bundle.manifest
        left_out = (folder / REPORT).exists() and REPORT not in manifest.files
        warning = f"{REPORT} was left out: it does not forbid scripts, as reports do since version 0.1.0"
        return {
            "status": "done",
            "model": reservation.name,
            "path": reservation.destination,
            "backbone": manifest.backbone,
            "classes": len(manifest.classes),
            "image_size": manifest.image_size,
            "engine": manifest.engine,
            "metrics": manifest.metrics,
            "max_difference": None,
            "warnings": [warning] if left_out else [],
        }


def _copy_files(folder: Path, destination: Path) -> None:
    for directory, folders, files in os.walk(folder):
        place = destination / Path(directory).relative_to(folder)
        place.mkdir(parents=True)
        for name in (*folders, *files):
            path = Path(directory) / name
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ModelError(f"{path}: expected files and folders only, found a link or a device.")
        for name in files:
            shutil.copyfile(Path(directory) / name, place / name)
