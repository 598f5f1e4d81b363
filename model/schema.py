"""Schema of the configuration classes: their marshmallow fields, and validated loading from dicts.

HTTP, the command line and YAML files all provide a dict; `load` converts it to the same frozen object.
"""

import dataclasses
import difflib
import functools
import logging
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, validate

from model.augmentation import parse_augmentation
from model.backbones import find_backbones
from model.config import LATEST, RENAMED_OPTIONS, OptionInfo, TrainConfig, is_model_name, options_of
from model.errors import ConfigError
from model.intensity import parse_intensity

Config = TypeVar("Config")

_CHOICES_READ = 8

log = logging.getLogger(__name__)

# DEEPaaS maps exactly these classes to command line types: a subclass would become a string.
_FIELD_OF_TYPE: dict[type, type[fields.Field]] = {
    bool: fields.Bool,
    int: fields.Int,
    float: fields.Float,
    str: fields.Str,
}


def fields_of(config_class: type) -> dict[str, fields.Field]:
    """Marshmallow field for each option, with its default, help text, bounds and choices."""
    hints = typing.get_type_hints(config_class)
    return {name: _field(hints[name], field.default, info) for name, (field, info) in options_of(config_class).items()}


def former_fields_of(config_class: type) -> dict[str, fields.Field]:
    """Optional marshmallow field for each former name of an option, so that a form may still send it."""
    current = fields_of(config_class)
    former = {old: current[new] for old, new in RENAMED_OPTIONS.items() if new in current}
    for old, field in former.items():
        field.load_default, field.allow_none = None, True
        field.metadata["description"] = f"Deprecated: use {RENAMED_OPTIONS[old]}."
    return former


def load(config_class: type[Config], *layers: Mapping[str, Any]) -> Config:
    """Build a configuration from layers of values; a later layer takes precedence over an earlier one.

    None and an empty string mean "not given".

    Raises:
        ConfigError: values are invalid; the message lists all of them.
    """
    given = merged(*layers)
    problems = [_unknown_option(config_class, name) for name in given.keys() - options_of(config_class).keys()]
    known = {name: value for name, value in given.items() if name in options_of(config_class)}
    try:
        values = _schema_of(typing.cast(type, config_class)).load(known)
    except ValidationError as error:
        problems += [_explain(name, texts, known[name]) for name, texts in error.normalized_messages().items()]
        values = {}
    problems += _problems_beyond_types(config_class, values)
    if problems:
        raise ConfigError("\n".join(sorted(problems)))
    return config_class(**values)


@functools.cache
def _schema_of(config_class: type) -> Schema:
    # Created once: each request to the service uses a schema, and creating one takes many times as long.
    return Schema.from_dict(fields_of(config_class))()


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all layers under the current names of their options; a later layer takes precedence.

    None and an empty string mean "not given". A former name of an option is accepted with a deprecation warning.
    """
    for former, current in RENAMED_OPTIONS.items():
        if any(not _not_given(layer.get(former)) for layer in layers):
            log.warning("the option %s is deprecated: use %s, its new name", former, current)
    return {name: value for layer in layers for name, value in _given(layer).items()}


def _given(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Given values of a layer by the current names of their options; a current name overrides a former one."""
    given = {name: value for name, value in layer.items() if not _not_given(value)}
    for former, current in RENAMED_OPTIONS.items():
        if former in given:
            value = given.pop(former)
            given.setdefault(current, value)
    return given


def load_file(path: Path) -> dict[str, Any]:
    """Read a YAML file of options.

    Raises:
        ConfigError: the file is missing, is not YAML or is not a mapping of options.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"configuration file {path}: expected YAML with one option per line, received: {error}"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigError(f"configuration file {path}: expected lines such as `epochs: 50`, received {content!r}")
    return content


def log_resolved(config: Any, *layers: tuple[str, Mapping[str, Any]]) -> None:
    """Log each option with the source of its value: the last layer that gives it, or its default."""
    given = [(source, _given(layer)) for source, layer in layers]
    for name, value in dataclasses.asdict(config).items():
        sources = [source for source, layer in given if name in layer]
        log.info("%s = %r (%s)", name, value, sources[-1] if sources else "default")


class _OneOf(validate.OneOf):
    """OneOf whose message suggests similar choices if there are many."""

    def _format_error(self, value: Any) -> str:
        by_lower_case = {str(choice).lower(): str(choice) for choice in self.choices}
        near = difflib.get_close_matches(str(value).lower(), by_lower_case, n=3, cutoff=0.4)
        if len(by_lower_case) <= _CHOICES_READ or not near:
            return f"Must be one of: {', '.join(by_lower_case.values())}."
        return f"Must be a known name. Did you mean: {', '.join(by_lower_case[name] for name in near)}?"


def _field(hint: Any, default: Any, info: OptionInfo) -> fields.Field:
    optional = isinstance(hint, types.UnionType)
    plain = next(part for part in typing.get_args(hint) if part is not type(None)) if optional else hint
    checks: list[Callable[[Any], Any]] = [_check_text] if plain is str and info.choices is None else []
    if info.choices is not None:
        checks.append(_OneOf(list(info.choices)))
    if info.minimum is not None or info.maximum is not None:
        checks.append(validate.Range(min=info.minimum, max=info.maximum))
    return _FIELD_OF_TYPE[plain](
        load_default=default, allow_none=optional, validate=checks, metadata={"description": info.help}
    )


def _check_text(value: str) -> None:
    """Reject unpaired surrogates, which cannot be written to a file, log or answer."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("Must be text that can be written as UTF-8.") from error


def _not_given(value: Any) -> bool:
    return value is None or value == ""


def _unknown_option(config_class: type, name: str) -> str:
    near = difflib.get_close_matches(name, options_of(config_class), n=3)
    hint = f" Did you mean: {', '.join(near)}?" if near else ""
    return f"{name}: expected one of the options {', '.join(options_of(config_class))}.{hint}"


def _explain(name: str, texts: Any, received: Any) -> str:
    return f"{name}: {' '.join(texts)} Received: {received!r}."


def _problems_beyond_types(config_class: type, values: Mapping[str, Any]) -> list[str]:
    problems = []
    if config_class is TrainConfig and values:
        if values["name"] and not is_model_name(values["name"]):
            problems.append(
                f"name: expected at most 100 letters, digits, '.', '-' or '_', beginning with a letter or digit, "
                f"and not {LATEST!r}. Received: {values['name']!r}."
            )
        try:
            groups = re.compile(values["group_pattern"]).groups
            if values["group_pattern"] and groups == 0:
                problems.append(
                    f"group_pattern: expected a regular expression with a group in parentheses. "
                    f"Received: {values['group_pattern']!r}."
                )
        except re.error as error:
            problems.append(
                f"group_pattern: expected a regular expression, received {values['group_pattern']!r}: {error}."
            )
        try:
            parse_augmentation(values["augmentation"], 0)
        except ConfigError as error:
            problems.append(error.message)
        try:
            parse_intensity(values["intensity"])
        except ConfigError as error:
            problems.append(error.message)
        try:
            find_backbones(values["tune_backbones"])
        except ConfigError as error:
            problems.append(f"tune_backbones: {error.message}")
        if values["tune_minutes"] is not None and values["weights"] == "none":
            problems.append("tune_minutes: expected weights = imagenet, because the search needs pretrained features.")
        if values["val_fraction"] + values["test_fraction"] > 0.8:
            problems.append(
                f"val_fraction and test_fraction: expected at most 0.8 together, to leave images for training. "
                f"Received: {values['val_fraction']} and {values['test_fraction']}."
            )
    return problems
