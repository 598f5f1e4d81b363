"""The options of a training as fields of a form, in groups; from `model.config.TrainConfig`."""

import dataclasses
import types
import typing
from typing import Any

from model.config import TrainConfig, options_of
from model.option import OptionInfo

GROUPS: dict[str, tuple[str, ...]] = {
    "model": ("name", "backbone", "weights", "image_size", "precision", "time_limit_minutes"),
    "photos": ("resize", "intensity", "augmentation", "augmented_views", "group_pattern", "max_bad_fraction"),
    "classes": ("imbalance", "target_accuracy"),
    "head": (
        *("epochs", "patience", "stop_on", "learning_rate", "l2", "refit"),
        *("batch_size", "label_smoothing", "mixup"),
    ),
    "fine_tuning": ("fine_tune", "fine_tune_epochs", "fine_tune_learning_rate"),
    "search": ("tune_minutes", "tune_backbones"),
    "measurement": ("val_fraction", "test_fraction", "folds", "seed"),
    "dataset": (
        *("class_level", "images_directory", "table", "image_column", "label_column"),
        *("split_column", "group_column"),
    ),
    "after": ("upload_to", "checkpoint_minutes"),
}
"""Groups of the options, in the order of the form."""

NOT_IN_FORM = ("dataset", "preset", "features", "resume", "import_from", "queue", "auto_resume")
"""Options that the view sets itself, or that are no training of photos."""


def option_groups() -> list[dict[str, Any]]:
    """The groups with their fields; reads the names of the added backbones from the disk."""
    known = options_of(TrainConfig)
    hints = typing.get_type_hints(TrainConfig)
    return [
        {"name": group, "fields": [_field(name, hints[name], *known[name]) for name in names]}
        for group, names in GROUPS.items()
    ]


def _field(name: str, hint: Any, field: "dataclasses.Field[Any]", info: OptionInfo) -> dict[str, Any]:
    optional = isinstance(hint, types.UnionType)
    kind = next(part for part in typing.get_args(hint) if part is not type(None)) if optional else hint
    return {
        "name": name,
        "type": kind.__name__,
        "default": field.default,
        "optional": optional,
        "help": info.help,
        "minimum": info.minimum,
        "maximum": info.maximum,
        "choices": info.find_choices() if info.find_choices else info.choices,
        "max_length": info.max_length,
    }
