"""What the views of the studio show of a trained model, as plain JSON types."""

import dataclasses
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from model.bundle import Bundle
from model.bundle_files import LABEL_ISSUES, REPORT
from model.config import TrainConfig
from model.curation.places import class_names, is_editable
from model.curation.renames import todays_classes
from model.dataset.listing import DATASET_FILES, IMAGES
from model.durable import to_json
from model.errors import ModelError
from model.promotion import promoted_models
from model.registry import Registry
from model.storage.allowed_folders import is_allowed
from model.workspace import Workspace

_MAX_WEAKEST = 5
# Options of one training, which the next one does not repeat.
_OF_ONE_TRAINING = ("dataset", "name", "resume", "import_from", "queue", "auto_resume")


def describe_model(workspace: Workspace, bundle: Bundle) -> dict[str, Any]:
    """Description of a model.

    Returns:
        `accuracy`: the expected accuracy on new photos with its 95 % interval, images and measurement, or None.
        `weakest`: classes with the lowest recall, each with its recall, its interval, and its numbers of photos.
        `dataset`: name inside `data/`, empty for one elsewhere; its path, whether it exists and can be changed, and
            what precedes the names of its photos in their paths (`photo_folder`).
        `renamed`: class -> its name in the dataset today, if it was renamed or merged since the training.
        `options`: options of the training that differ from their defaults, to train again.
        `latest`, `promoted`: whether predictions use this model, and whether because it was promoted.
        `can_undo`: whether a promotion can be undone.
    """
    manifest, latest = bundle.manifest, Registry().latest(workspace)
    measured = manifest.accuracy
    dataset = dataset_of(workspace, bundle)
    return to_json(
        {
            "name": bundle.name,
            "created": manifest.created,
            "backbone": manifest.backbone,
            "precision": manifest.precision,
            "engine": manifest.engine,
            "bytes": bundle.size,
            "classes": manifest.classes,
            "accuracy": measured and dataclasses.asdict(measured),
            "weakest": weakest_classes(manifest.leading_metrics, manifest.dataset.get("counts") or {}),
            "dataset": {
                "name": dataset_name(workspace, dataset),
                "path": str(manifest.dataset.get("path") or ""),
                "exists": dataset is not None,
                "editable": dataset is not None and is_editable(dataset),
                "photos": "" if dataset is None else photo_folder(dataset, manifest.train_config),
            },
            "renamed": renamed_classes(bundle, dataset),
            "options": _options(manifest.train_config),
            "latest": latest.name == bundle.name,
            "promoted": latest.promoted and latest.name == bundle.name,
            "can_undo": bool(promoted_models(workspace)),
            "has_report": REPORT in manifest.files,
            "has_label_check": LABEL_ISSUES in manifest.files,
        }
    )


def dataset_of(workspace: Workspace, bundle: Bundle) -> Path | None:
    """Folder of the dataset that a model was trained on; None if there is none on this machine any more.

    The model may come from elsewhere: its path counts only inside the folders that trainings may read, and a dataset of
    the same name only if it has a class of the model.
    """
    recorded = Path(str(bundle.manifest.dataset.get("path") or ""))
    if not recorded.name or not recorded.is_absolute():
        return None
    if is_allowed(recorded, workspace) and recorded.is_dir():
        return recorded
    # A workspace may have been moved.
    same_name = workspace.data / recorded.name
    return same_name if same_name.is_dir() and _shares_classes(same_name, bundle.manifest.classes) else None


def renamed_classes(bundle: Bundle, dataset: Path | None) -> dict[str, str]:
    """Classes of a model that have another name in its dataset today, with this name."""
    if dataset is None:
        return {}
    return todays_classes(dataset, bundle.manifest.created, bundle.manifest.classes)


def _shares_classes(dataset: Path, classes: Collection[str]) -> bool:
    return (dataset / DATASET_FILES).is_dir() or not set(class_names(dataset)).isdisjoint(classes)


def dataset_name(workspace: Workspace, dataset: Path | None) -> str:
    """Name of a dataset directly inside `data/`; empty for one elsewhere."""
    is_inside = dataset is not None and dataset.parent.resolve() == workspace.data.resolve()
    return dataset.name if dataset is not None and is_inside else ""


def photo_folder(dataset: Path, options: Mapping[str, Any]) -> str:
    """What precedes the name that a training gives a photo in its path below the dataset, such as `images/`.

    Args:
        options: those of the training.
    """
    if not (dataset / DATASET_FILES).is_dir():
        return ""
    return f"{str(options.get('images_directory') or IMAGES).strip('/')}/"


def find_report(bundle: Bundle) -> Path:
    """The report of a model, a file itself and no link to one elsewhere.

    Raises:
        ModelError: the model has none.
    """
    path = bundle.directory / REPORT
    try:
        is_file = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        is_file = False
    if REPORT not in bundle.manifest.files or not is_file:
        raise ModelError(
            f"{bundle.name}: expected a model with a report, found none: it was imported without one, or the file was "
            "removed. Evaluate the model with `topgraft evaluate --report FILE` to write one"
        )
    return path


def weakest_classes(metrics: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Classes of which photos were missed: those first of which most were, as the page shows them."""
    rows = [row for row in metrics.get("per_class") or () if row.get("support") and (row.get("recall") or 0) < 1]
    return [
        {
            "class": row["class"],
            "recall": row.get("recall"),
            "recall_interval": row.get("recall_interval"),
            "precision": row.get("precision") if row.get("predicted", 1) else None,
            "measured_photos": row["support"],
            "training_photos": counts.get("train", {}).get(row["class"]),
        }
        for row in sorted(rows, key=lambda row: (row.get("recall") or 0, row.get("f1") or 0))[:_MAX_WEAKEST]
    ]


def _options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    defaults = vars(TrainConfig())
    return {
        name: value
        for name, value in recorded.items()
        if name in defaults and name not in _OF_ONE_TRAINING and value != defaults[name]
    }


def comparison_page(workspace: Workspace, base: str, new: str) -> Path:
    """The page of a comparison that was written before.

    Raises:
        ModelError: there is none.
    """
    path = workspace.comparison_folder(base, [new]) / "comparison.html"
    if not path.is_file() or path.is_symlink():
        raise ModelError(f"expected a comparison of {new} with {base}, found none. Compare the two models first")
    return path
