"""Presets: options that go well together, each a YAML file in `presets/`; `model.config.PRESETS` has their names."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import schema
from model.config import NO_PRESET, PRESETS, TrainConfig, options_of
from model.errors import ConfigError


def preset_options(layers: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the preset that `layers` names in `preset`; none where it names none.

    Raises:
        ConfigError: there is no such preset, or its file cannot be read.
    """
    name = layers.get("preset") or NO_PRESET
    if name == NO_PRESET:
        return {}
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, received {name!r}.")
    return schema.load_file(preset_path(name))


def preset_path(name: str) -> Path:
    """The file of a preset: in the checkout that an editable installation came from, else where pip put it.

    Raises:
        ConfigError: it is in neither place.
    """
    places = [Path(__file__).resolve().parent.parent / "presets", Path(sys.prefix) / "share" / "topgraft" / "presets"]
    for place in places:
        if (place / f"{name}.yaml").is_file():
            return place / f"{name}.yaml"
    raise ConfigError(
        f"preset {name}: expected {name}.yaml in {' or '.join(map(str, places))}, found none. Install topgraft again."
    )


def changed_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that differ from their defaults: a form that sends all of them means only these."""
    defaults = {name: field.default for name, (field, _) in options_of(TrainConfig).items()}
    return {name: value for name, value in options.items() if name not in defaults or value != defaults[name]}
