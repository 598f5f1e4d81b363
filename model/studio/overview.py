"""Datasets, models and trainings of a workspace, as the pages of the studio show them."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from model import durable, environment
from model.curation.folders import walk_folders
from model.curation.places import CURATION
from model.files.browsing import folders_in
from model.registry import Registry
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs import unfinished_trainings
from model.studio.refusals import refused_trainings
from model.workspace import Workspace

_REGISTRY = Registry()


def overview(workspace: Workspace) -> dict[str, Any]:
    """Everything that the pages show at once; reads the disk."""
    # Before the models: a training that ends in between is in both, not in none.
    trainings = training_rows(workspace)
    return {
        "workspace": str(workspace.root),
        "datasets": [dataset_row(path) for path in dataset_folders(workspace)],
        "models": model_rows(workspace),
        "trainings": trainings,
        "quota": quota(workspace),
    }


def dataset_folders(workspace: Workspace) -> list[Path]:
    """The folders in `data/`, by name, without hidden ones."""
    return folders_in(workspace.data) if workspace.data.is_dir() else []


def dataset_row(path: Path) -> dict[str, Any]:
    """Name of a dataset, its numbers of folders with photos and of photos, and whether it was edited in the studio.

    In a dataset that was edited, each folder is a class.
    """
    counts = [folder.photos for folder in walk_folders(path) if folder.photos]
    return {"name": path.name, "classes": len(counts), "photos": sum(counts), "edited": (path / CURATION).is_dir()}


def model_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """The models, newest first, each with its summary and whether it is the latest."""
    latest = _REGISTRY.latest(workspace)
    models = reversed(_REGISTRY.models(workspace))
    return [model.summary | {"latest": model.name == latest.name} for model in models]


def training_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Running, queued and interrupted trainings, in this order; then those that were refused.

    `resumable`: whether a training that is neither running nor queued can be resumed.
    """
    unfinished = unfinished_trainings(workspace)
    names = [status.name for status in unfinished]
    refused = [status for status in refused_trainings(workspace) if status.name not in names]
    return [_training_row(status, True) for status in unfinished] + [_training_row(status, False) for status in refused]


def quota(workspace: Workspace) -> dict[str, int | None]:
    """Free bytes of the disk of `data/`, and the maximum size of `data/` if it is limited."""
    return {"free": shutil.disk_usage(workspace.root).free, "limit": environment.STUDIO_MAX_BYTES.read()}


def _training_row(status: TrainingStatus, is_resumable: bool) -> dict[str, Any]:
    row: dict[str, Any] = durable.to_json(dataclasses.asdict(status))
    return row | {"resumable": is_resumable and status.state not in ACTIVE_STATES}
