"""The three choices of a training, with what they cost and gain: measured here before, otherwise by a benchmark."""

import statistics
from typing import Any

from model.config import TrainConfig
from model.errors import ConfigError, ModelError
from model.presets import measured_path, preset_options
from model.reading import UnreadableError, read_json
from model.registry import RegisteredModel, Registry
from model.schema import load
from model.workspace import Workspace

CHOICES = ("quick", "balanced", "best")
"""Presets, from the fastest to the most thorough."""

DEFAULT_CHOICE = "balanced"


def choices(workspace: Workspace, dataset: str) -> list[dict[str, Any]]:
    """For each choice its options, and what was measured.

    Args:
        dataset: name of the dataset that is to be trained on; measurements on others say little about it.

    Returns:
        `benchmark`: seconds and accuracy on other photos. `here`: of earlier trainings on this dataset, on this
        computer; None without one.
    """
    measured = _benchmark()
    about = {name: measured.get(name) for name in ("photos", "classes", "processors")}
    earlier = _earlier_trainings(workspace, dataset)
    return [
        {
            "name": name,
            "default": name == DEFAULT_CHOICE,
            "options": preset_options({"preset": name}),
            "benchmark": about | row if (row := measured.get("choices", {}).get(name)) else None,
            "here": _summary(earlier.get(name, [])),
        }
        for name in CHOICES
    ]


def _benchmark() -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(measured_path())
    except (OSError, ConfigError, UnreadableError):
        return {}
    return content


def _earlier_trainings(workspace: Workspace, dataset: str) -> dict[str, list[dict[str, Any]]]:
    """Summaries of the models of a dataset by the preset that they were trained with, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for model in Registry().models(workspace):
        summary = model.summary
        if summary.get("dataset") == dataset and summary.get("training_seconds"):
            found.setdefault(_choice_of(model), []).append(summary)
    return found


def _choice_of(model: RegisteredModel) -> str:
    """The choice that a model was trained with; empty if other options were changed, too."""
    try:
        options = model.open().manifest.train_config
    except ModelError:
        return ""
    preset = str(options.get("preset", ""))
    if preset not in CHOICES:
        return ""
    expected = vars(load(TrainConfig, preset_options({"preset": preset})))
    own = ("dataset", "name", "preset", "queue", "auto_resume")
    return preset if all(options.get(name) == value for name, value in expected.items() if name not in own) else ""


def _summary(models: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not models:
        return None
    latest = models[-1]
    return {
        "trainings": len(models),
        "seconds": statistics.median(model["training_seconds"] for model in models),
        "accuracy": latest["accuracy"],
        "interval": latest["accuracy_interval"],
        "images": latest["images"],
        "measured_by": latest["measured_by"],
    }
