"""Presets: predefined sets of options in YAML files in `presets/`, named in `model.config.PRESETS`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import schema
from model.config import NO_PRESET, PRESETS, TrainConfig, options_of
from model.data_files import data_folders
from model.errors import ConfigError
from model.received import quoted


def train_config(*layers: Mapping[str, Any]) -> TrainConfig:
    """The options of a training: later layers over earlier ones over their preset over the defaults.

    Raises:
        ConfigError: values cannot be used; the message names them all.
    """
    given = schema.merged(*layers)
    return schema.load(TrainConfig, preset_options(given), given)


def preset_options(layers: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the preset named by the option `preset` in `layers`; empty without one.

    Raises:
        ConfigError: the preset does not exist, or its file cannot be read.
    """
    name = layers.get("preset") or NO_PRESET
    if name == NO_PRESET:
        return {}
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, received {quoted(name)}.")
    return schema.load_file(preset_path(name))


def preset_path(name: str) -> Path:
    """File of a preset: in the checkout of an editable installation, otherwise in the installed package.

    Raises:
        ConfigError: the file does not exist.
    """
    return _find_file(f"{name}.yaml")


def measured_path() -> Path:
    """File of what the choices of the studio cost and gain, as `benchmarks.choices` has measured it.

    Raises:
        ConfigError: the file does not exist.
    """
    return _find_file("measured.json")


def _find_file(name: str) -> Path:
    places = data_folders("presets")
    for place in places:
        if (place / name).is_file():
            return place / name
    raise ConfigError(
        f"presets: expected {name} in {' or '.join(map(str, places))}, found none. Install topgraft again."
    )


def changed_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that differ from their defaults: a form sends all of them, but only these were set by the user."""
    defaults = {name: field.default for name, (field, _) in options_of(TrainConfig).items()}
    return {name: value for name, value in options.items() if name not in defaults or value != defaults[name]}
