"""Schema of the configuration classes: their marshmallow fields, and validated loading from dicts.

HTTP, the command line and YAML files all provide a dict; `load` converts it to the same frozen object.
"""

import dataclasses
import functools
import logging
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, validate

from model.augmentation import parse_augmentation
from model.backbones import find_backbone, find_backbones
from model.config import LATEST, RENAMED_OPTIONS, TrainConfig, is_model_name, options_of
from model.errors import ConfigError
from model.intensity import parse_intensity
from model.option import OptionInfo
from model.reading import read_option_file, without_number
from model.received import MAX_COMPARED, MAX_QUOTED, did_you_mean, listed, quoted, similar

Config = TypeVar("Config")

_CHOICES_READ = 8
_MAX_PROBLEMS = 50
_MAX_DEPTH = 5
MAX_FILE_BYTES = 1 << 17
"""Maximum size of a configuration file."""

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
    options = options_of(typing.cast(type, config_class))
    unknown = sorted(given.keys() - options.keys())
    problems = [_unknown_option(config_class, name) for name in unknown[:_MAX_PROBLEMS]]
    problems += map(quoted, unknown[_MAX_PROBLEMS:])
    known = {name: value for name, value in given.items() if name in options}
    try:
        values = _schema_of(typing.cast(type, config_class)).load(known)
    except ValidationError as error:
        problems += [_explain(name, texts, known[name]) for name, texts in error.normalized_messages().items()]
        values = {}
    problems += _problems_beyond_types(config_class, values)
    if problems:
        raise ConfigError(listed(sorted(problems), "\n", _MAX_PROBLEMS))
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
        content = yaml.safe_load(read_yaml(path))
    # A number with thousands of digits is a ValueError, deep nesting a RecursionError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(
            f"configuration file {path}: expected YAML with one option per line, received: {without_number(error)}"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigError(f"configuration file {path}: expected lines such as `epochs: 50`, received {quoted(content)}")
    return content


def read_yaml(path: Path) -> str:
    """Text of a YAML file without aliases, which expand to any size, and deep nesting, which takes quadratic time.

    Raises:
        OSError, UnicodeDecodeError, YAMLError: the file cannot be read.
        ValueError: the file is too large, or has aliases or deep nesting.
    """
    import yaml

    text = read_option_file(path, MAX_FILE_BYTES).decode()
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"the alias *{str(event.anchor)[:MAX_QUOTED]}; write its value instead")
        if depth > _MAX_DEPTH:
            raise ValueError(f"values nested more than {_MAX_DEPTH} deep")
    return text


def log_resolved(config: Any, *layers: tuple[str, Mapping[str, Any]]) -> None:
    """Log each option with the source of its value: the last layer that gives it, or its default."""
    given = [(source, _given(layer)) for source, layer in layers]
    for name, value in dataclasses.asdict(config).items():
        sources = [source for source, layer in given if name in layer]
        log.info("%s = %s (%s)", name, quoted(value), sources[-1] if sources else "default")


class _OneOf(validate.OneOf):
    """OneOf whose message suggests similar choices if there are many.

    Args:
        find: finds all choices; those that have appeared since are allowed as well.
    """

    def __init__(self, choices: Sequence[str], find: Callable[[], tuple[str, ...]] | None) -> None:
        super().__init__(choices if find is None else find())
        self._find = find

    def __call__(self, value: Any) -> Any:
        """Check a value."""
        if self._find is not None and value not in self.choices:
            self.choices = self._find()
        return super().__call__(value)

    def _format_error(self, value: Any) -> str:
        by_lower_case = {str(choice).lower(): str(choice) for choice in self.choices}
        near = similar(str(value)[: MAX_COMPARED + 1].lower(), by_lower_case, cutoff=0.4)
        if len(by_lower_case) <= _CHOICES_READ or not near:
            return f"Must be one of: {', '.join(by_lower_case.values())}."
        return f"Must be a known name. Did you mean: {', '.join(by_lower_case[name] for name in near)}?"


def _field(hint: Any, default: Any, info: OptionInfo) -> fields.Field:
    optional = isinstance(hint, types.UnionType)
    plain = next(part for part in typing.get_args(hint) if part is not type(None)) if optional else hint
    checks: list[Callable[[Any], Any]] = []
    described: dict[str, Any] = {"description": info.description}
    if info.choices is None and info.max_length is not None:
        checks += [_check_text, validate.Length(max=info.max_length, error="Must have at most {max} characters.")]
    elif info.choices is not None:
        described["maxLength"] = info.max_length
    if info.choices is not None:
        checks.append(_OneOf(info.choices, info.find_choices))
    if info.minimum is not None or info.maximum is not None:
        checks.append(validate.Range(min=info.minimum, max=info.maximum))
    return _FIELD_OF_TYPE[plain](load_default=default, allow_none=optional, validate=checks, metadata=described)


def _check_text(value: str) -> None:
    """Reject unpaired surrogates, which cannot be written to a file, log or answer."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("Must be text that can be written as UTF-8.") from error


def _not_given(value: Any) -> bool:
    return value is None or value == ""


def _unknown_option(config_class: type, name: str) -> str:
    known = options_of(config_class)
    return f"{quoted(name)[1:-1]}: expected one of the options {', '.join(known)}.{did_you_mean(name, known)}"


def _explain(name: str, texts: Any, received: Any) -> str:
    return f"{name}: {' '.join(texts)} Received: {quoted(received)}."


def _problems_beyond_types(config_class: type, values: Mapping[str, Any]) -> list[str]:
    problems = []
    if config_class is TrainConfig and values:
        if values["name"] and not is_model_name(values["name"]):
            problems.append(
                f"name: expected at most 100 letters, digits, '.', '-' or '_', beginning with a letter or digit, "
                f"and not {LATEST!r}. Received: {quoted(values['name'])}."
            )
        try:
            groups = re.compile(values["group_pattern"]).groups
            if values["group_pattern"] and groups == 0:
                problems.append(
                    f"group_pattern: expected a regular expression with a group in parentheses. "
                    f"Received: {quoted(values['group_pattern'])}."
                )
        # Numbers of repetitions and nesting have limits of their own.
        except (re.error, OverflowError, RecursionError, MemoryError) as error:
            problems.append(
                f"group_pattern: expected a regular expression, received {quoted(values['group_pattern'])}: {error}."
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
        problems += _problems_of_added_backbone(values)
        if values["tune_minutes"] is not None and values["weights"] == "none":
            problems.append("tune_minutes: expected weights = imagenet, because the search needs pretrained features.")
        if values["val_fraction"] + values["test_fraction"] > 0.8:
            problems.append(
                f"val_fraction and test_fraction: expected at most 0.8 together, to leave images for training. "
                f"Received: {values['val_fraction']} and {values['test_fraction']}."
            )
    return problems


def _problems_of_added_backbone(values: Mapping[str, Any]) -> list[str]:
    """Problems of options that need a network in Keras, or images of another size."""
    try:
        backbone = find_backbone(values["backbone"])
    except ConfigError as error:
        # It was removed since.
        return [error.message]
    if backbone.added is None:
        return []
    problems = []
    if values["weights"] == "none":
        problems.append(f"weights: expected imagenet, because {backbone.name} has the weights it was added with")
    if not backbone.is_in_onnx:
        return problems
    if values["fine_tune"] in ("top", "all"):
        problems.append(f"fine_tune: expected none or auto, because {backbone.name} is a network in ONNX")
    if values["image_size"] not in (None, backbone.image_size):
        problems.append(
            f"image_size: expected {backbone.image_size}, that of {backbone.name}, received {values['image_size']}"
        )
    return problems
