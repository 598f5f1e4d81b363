"""Files that the studio makes from models, in its folder of the workspace: downloads and predictions of a dataset."""

import shutil
from pathlib import Path

from model.bundle import Bundle, version_of
from model.publishing.archive import SUFFIX
from model.workspace import Workspace

ARCHIVE = "archive"
FORMATS = (ARCHIVE, "onnx", "litert", "saved_model", "keras")
"""Formats of downloads, those of `topgraft export`."""


def download_path(workspace: Workspace, bundle: Bundle, form: str) -> Path:
    """File of the download of this version of a model, which may not exist yet."""
    name = f"{bundle.name}{SUFFIX}" if form == ARCHIVE else f"{bundle.name}-{form}.zip"
    return _downloads(workspace) / bundle.name / _version(bundle) / name


def predictions_path(workspace: Workspace, bundle: Bundle, dataset: str) -> Path:
    """File of the predictions of this version of a model for the photos of a dataset that have no label."""
    return workspace.studio / "predictions" / dataset / f"{bundle.name}-{_version(bundle)}.jsonl"


def remove_old_downloads(workspace: Workspace, bundle: Bundle) -> None:
    """Remove the downloads of other versions of a model, and those of models that were deleted."""
    for folder in _folders(_downloads(workspace)):
        if folder.name != bundle.name and not (workspace.models / folder.name).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
    for folder in _folders(_downloads(workspace) / bundle.name):
        if folder.name != _version(bundle):
            shutil.rmtree(folder, ignore_errors=True)


def _downloads(workspace: Workspace) -> Path:
    return workspace.studio / "downloads"


def _version(bundle: Bundle) -> str:
    manifest = bundle.manifest
    return version_of(manifest.created, {name: record.sha256 for name, record in manifest.files.items()})


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
