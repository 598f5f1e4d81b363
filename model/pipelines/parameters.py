"""Values of the parameters of a pipeline: given ones over environment variables over defaults."""

import dataclasses
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from model.errors import ConfigError
from model.files.browsing import name_some
from model.pipelines.notebooks import parameters_of
from model.pipelines.problems import raise_problems
from model.pipelines.steps import BOOL, FLOAT, INTEGER, Parameter, ParameterValue, Pipeline, Step
from model.process_environment import named_variables
from model.received import did_you_mean, quoted
from model.storage.places import is_remote, parse_place

GIVEN, ENVIRONMENT, DEFAULT = "command line", "environment", "default"

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_TRUTH_VALUES = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Value:
    """Value of a parameter, and where it is from: command line, environment or default."""

    value: ParameterValue
    source: str


def parameter_values(pipeline: Pipeline, given: Mapping[str, str]) -> dict[str, Value]:
    """Values of all parameters of a pipeline.

    Args:
        given: names and texts that the user gave.

    Raises:
        ConfigError: unknown names, values of another type, or none for a required parameter; all are listed.
    """
    known = {parameter.name: parameter for parameter in pipeline.parameters}
    problems = [_unknown(name, known) for name in given if name not in known]
    values: dict[str, Value] = {}
    set_outside = named_variables(known)
    for name, parameter in known.items():
        try:
            values[name] = _value(parameter, given, set_outside)
        except ConfigError as error:
            problems.append(error.message)
    raise_problems(problems)
    return values


def check_notebooks(pipeline: Pipeline) -> None:
    """Check that each notebook has the parameters of its step: papermill only warns of an unknown one.

    Raises:
        ConfigError: a notebook lacks parameters or cannot be read; all are listed.
    """
    problems = []
    for step in pipeline.steps:
        notebook = pipeline.notebook(step)
        try:
            assigned = parameters_of(notebook) if step.parameters else set()
        except ConfigError as error:
            problems.append(error.message)
            continue
        if missing := [name for name in step.parameters if name not in assigned]:
            problems.append(
                f"{notebook}: expected a cell with the tag 'parameters' that assigns {name_some(missing)}, which the "
                f"step {step.name} of {pipeline.file} lists."
            )
    raise_problems(problems)


def located_values(
    steps: Iterable[Step], values: Mapping[str, Value], root: Path
) -> dict[str, dict[str, ParameterValue]]:
    """Parameters of each step by its name; those that name files and folders as absolute paths or `remote:path`.

    Args:
        root: folder that defaults are relative to; other values are relative to the current folder.

    Raises:
        ConfigError: a file or folder does not exist, or a place in remote storage cannot be used; all are listed.
    """
    problems: dict[str, None] = {}
    located = {}
    for step in steps:
        located[step.name] = {name: values[name].value for name in step.parameters}
        for name in step.reads:
            text = str(values[name].value)
            if is_remote(text):
                try:
                    parse_place(text)
                except ConfigError as error:
                    problems[f"{name}: {error.message}"] = None
            elif text:
                path = _located(text, values[name].source, root)
                located[step.name][name] = str(path)
                if not path.exists():
                    problems[
                        f"{name}: expected a file or folder for the step {step.name}, found none: {quoted(str(path))} "
                        f"({values[name].source}). Give another one with -p {name}=PATH."
                    ] = None
    raise_problems(list(problems))
    return located


def _located(text: str, source: str, root: Path) -> Path:
    path = Path(os.path.expanduser(text))
    return Path(os.path.abspath(root / path if source == DEFAULT else path))


def _value(parameter: Parameter, given: Mapping[str, str], set_outside: Mapping[str, str]) -> Value:
    if parameter.name in given:
        return Value(_converted(parameter, given[parameter.name], f"-p {parameter.name}"), GIVEN)
    if parameter.name in set_outside:
        text = set_outside[parameter.name]
        return Value(_converted(parameter, text, f"environment variable {parameter.name}"), ENVIRONMENT)
    if parameter.default is None:
        raise ConfigError(f"{parameter.name}: expected a value, found none. Give it with -p {parameter.name}=VALUE.")
    return Value(parameter.default, DEFAULT)


def _converted(parameter: Parameter, text: str, where: str) -> ParameterValue:
    value: ParameterValue | None = text
    expected = "text"
    if parameter.type == INTEGER:
        expected, value = "a whole number", int(text) if _WHOLE_NUMBER.fullmatch(text) else None
    elif parameter.type == FLOAT:
        expected, value = "a number", _finite(text)
    elif parameter.type == BOOL:
        expected, value = "true or false", _TRUTH_VALUES.get(text.lower())
    if value is None:
        raise ConfigError(f"{where}: expected {expected} ({parameter.type}), received {quoted(text)}.")
    return value


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    hint = did_you_mean(name, known)
    has = f"one of the parameters {', '.join(known)}" if known else "none, because the pipeline has no parameters"
    return f"-p {quoted(name)[1:-1]}: expected {has}.{hint}"
