"""Reading of pipeline.yaml: every problem names the file, the line and the step."""

import dataclasses
import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeVar

from model.data_files import data_folders
from model.errors import ConfigError
from model.files.browsing import name_some
from model.pipelines.automation import NOTEBOOKS, RUN_FILE, read_delivery, read_promotion, read_retraining
from model.pipelines.steps import (
    EFFECTS,
    OPERATORS,
    PARAMETER_TYPES,
    STRING,
    Parameter,
    ParameterValue,
    Pipeline,
    Secret,
    Step,
    Toleration,
)
from model.pipelines.yaml_nodes import Node, Problems, read_nodes
from model.received import did_you_mean, quoted

Item = TypeVar("Item")

PIPELINE_FILE = "pipeline.yaml"
NOTEBOOK_SUFFIX = ".ipynb"

_PIPELINE_KEYS = (
    *("name", "description", "image", "environment", "secrets", "parameters", "steps"),
    *("promotion", "retraining", "delivery"),
)
_PARAMETER_KEYS = ("type", "default", "description")
_STEP_KEYS = (
    *("name", "notebook", "inputs", "outputs", "parameters", "reads", "after"),
    *("image", "cpu", "memory", "gpu", "tolerations", "environment", "secrets"),
)
_TOLERATION_KEYS = ("key", "operator", "value", "effect")
_SECRET_KEYS = ("variable", "name", "key")

_NAME = re.compile("[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_SECRET_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,127}")
_PARAMETER = re.compile("[A-Za-z][A-Za-z0-9_]{0,62}")
_TAINT_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,315}[A-Za-z0-9])?")
_CREDENTIAL = re.compile(
    "(SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|(ACCESS|API|PRIVATE|SECRET)_?KEY)(_ID)?$|_PASS$",
    re.IGNORECASE,
)
# Elyra separates paths by semicolons and takes the others as patterns; Argo refuses line feeds.
_PATTERNS = re.compile(r"[;*?\[\]\x00-\x1f\\]")


@dataclasses.dataclass(frozen=True)
class _Shared:
    """What the steps of a pipeline share: the folder of its file, image, variables and secrets."""

    folder: Path
    image: str
    environment: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]


def read_pipeline(file: Path) -> Pipeline:
    """Read pipeline.yaml.

    Raises:
        ConfigError: the file cannot be read, or is no such pipeline; the message lists all problems with their lines.
    """
    root, problems = read_nodes(file)
    fields = root.fields(_PIPELINE_KEYS, required=("name", "steps"))
    name = _matching(fields.get("name"), _NAME, _NAME_EXPECTED)
    shared = _Shared(
        file.parent,
        _text(fields.get("image")),
        _environment(fields.get("environment")),
        _each(fields.get("secrets"), _secret),
    )
    parameters = _parameters(fields.get("parameters"))
    steps = _steps(fields.get("steps"), shared, parameters)
    promotion = read_promotion(fields.get("promotion"), [step for step, _ in steps], parameters)
    retraining = read_retraining(fields.get("retraining"), promotion, parameters)
    delivery = read_delivery(fields.get("delivery"), [step for step, _ in steps], parameters)
    problems.raise_any()
    ordered = _in_order(steps, problems)
    problems.raise_any()
    described = _text(fields.get("description"))
    return Pipeline(name, described, file, tuple(parameters.values()), tuple(ordered), promotion, retraining, delivery)


def find_pipeline(name: str) -> Path:
    """File of a pipeline: a path of a .yaml file or of its folder, or the name of a pipeline of Topgraft.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name)
    if path.is_dir():
        path = path / PIPELINE_FILE
    if path.is_file():
        return path.absolute()
    known = included_pipelines()
    if name in known:
        return known[name]
    hint = did_you_mean(name, known)
    raise ConfigError(
        f"expected a file {PIPELINE_FILE}, its folder, or one of the pipelines {name_some(sorted(known))}; received "
        f"{quoted(name)}.{hint}"
    )


def included_pipelines() -> dict[str, Path]:
    """Pipelines of Topgraft by name: of the checkout of an editable installation, else of the installed package."""
    places = data_folders("pipelines")
    found = {_name_in(path): path for place in reversed(places) for path in place.glob(f"*/{PIPELINE_FILE}")}
    return dict(sorted(found.items()))


def _name_in(file: Path) -> str:
    """The key `name` of a pipeline, which pods find it by; the name of its folder if the file cannot be read."""
    try:
        return read_pipeline(file).name
    except ConfigError:
        return file.parent.name


_NAME_EXPECTED = "at most 63 lowercase letters, digits and '-', beginning with a letter and not ending with '-'"


def _text(node: Node | None) -> str:
    return "" if node is None else node.text()


def _matching(node: Node | None, pattern: re.Pattern[str], expected: str) -> str:
    text = _text(node)
    if node is not None and text and not pattern.fullmatch(text):
        node.problem(f"expected {expected}, received {quoted(text)}.")
    return text


def _one_of(node: Node | None, choices: Sequence[str], default: str) -> str:
    if node is None:
        return default
    text = node.text()
    if text and text not in choices:
        hint = did_you_mean(text, choices)
        node.problem(f"expected one of {', '.join(choices)}, received {quoted(text)}.{hint}")
    return text or default


def _parameters(node: Node | None) -> dict[str, Parameter]:
    found = {}
    for name, value in node.pairs() if node is not None else ():
        entry = value.named(f"parameter {quoted(name)[1:-1]}")
        if not _PARAMETER.fullmatch(name) or keyword.iskeyword(name):
            entry.problem("expected a name of letters, digits and '_', beginning with a letter, that Python accepts.")
        if _CREDENTIAL.search(name):
            entry.problem("expected no credential, which run.json has in clear; name its key in `secrets`.")
        fields = entry.fields(_PARAMETER_KEYS, required=("type",))
        kind = _one_of(fields.get("type"), tuple(PARAMETER_TYPES), STRING)
        default = _default(fields.get("default"), kind)
        found[name] = Parameter(name, kind, default, _text(fields.get("description")))
    return found


def _default(node: Node | None, kind: str) -> ParameterValue | None:
    if node is None:
        return None
    value = node.scalar()
    if value is None:
        return None
    expected = PARAMETER_TYPES.get(kind, str)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        node.problem(f"expected a default of the type {kind}, received {quoted(value)}.")
    return value


def _steps(node: Node | None, shared: _Shared, parameters: Mapping[str, Parameter]) -> list[tuple[Step, Node]]:
    if node is None:
        return []
    items = node.items()
    if not items and not node.is_null:
        node.problem("expected one step or more, found none.")
    steps = [(_step(item.named(f"step {number}"), shared), item) for number, item in enumerate(items, 1)]
    names = [step.name for step, _ in steps]
    makers: dict[str, str] = {}
    for number, (step, item) in enumerate(steps):
        place = item.named(f"step {step.name}")
        if step.name and step.name in names[:number]:
            place.problem("another step has this name.")
        _check_parameters(step, place, parameters)
        for output in step.outputs:
            if output.split("/")[0] in (RUN_FILE, NOTEBOOKS):
                place.problem(f"the output {quoted(output)} has the name of a file that each run writes.")
            if makers.setdefault(output, step.name) != step.name:
                place.problem(f"the output {quoted(output)} is also one of the step {makers[output]}.")
    _check_nested([(output, step.name) for step, _ in steps for output in step.outputs], node)
    for step, item in steps:
        _check_links(step, item.named(f"step {step.name}"), names, makers)
    return steps


def _step(node: Node, shared: _Shared) -> Step:
    fields = node.fields(_STEP_KEYS, required=("name", "notebook"))
    name = _matching(fields.get("name"), _NAME, _NAME_EXPECTED)
    if name:
        fields = {key: value.named(f"step {name}, {key}") for key, value in fields.items()}
    step = Step(
        name=name,
        notebook=_notebook(fields.get("notebook"), shared.folder),
        inputs=_paths(fields.get("inputs")),
        outputs=_paths(fields.get("outputs")),
        parameters=_names(fields.get("parameters")),
        reads=_names(fields.get("reads")),
        after=_names(fields.get("after")),
        image=_text(fields.get("image")) or shared.image,
        cpu=_number(fields.get("cpu"), 1, "processors", 1),
        memory=_number(fields.get("memory"), 1, "gigabytes", 1),
        gpu=_number(fields.get("gpu"), 0, "GPUs", 0),
        tolerations=_each(fields.get("tolerations"), _toleration),
        environment=tuple((dict(shared.environment) | dict(_environment(fields.get("environment")))).items()),
        secrets=(*shared.secrets, *_each(fields.get("secrets"), _secret)),
    )
    if not step.image:
        node.named(f"step {name or '?'}").problem("expected the key image, here or for the whole pipeline, found none.")
    variables = [*(secret.variable for secret in step.secrets), *(variable for variable, _ in step.environment)]
    for variable in sorted({one for one in variables if one and variables.count(one) > 1}):
        node.named(f"step {name or '?'}").problem(f"secrets and environment: the variable {variable} is set twice.")
    return step


def _environment(node: Node | None) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in node.pairs() if node is not None else ():
        if not _VARIABLE.fullmatch(name):
            value.problem("expected the name of an environment variable before the colon.")
        if _CREDENTIAL.search(name):
            value.problem("expected no credential, which exported files have in clear; name its key in `secrets`.")
        found.append((name, value.text()))
    return tuple(found)


def _number(node: Node | None, minimum: int, unit: str, default: int) -> int:
    return default if node is None else node.whole_number(minimum, unit, default)


def _names(node: Node | None) -> tuple[str, ...]:
    return () if node is None else tuple(name for name, _ in node.texts())


def _each(node: Node | None, read: Callable[[Node], Item]) -> tuple[Item, ...]:
    return () if node is None else tuple(read(item) for item in node.items())


def _toleration(node: Node) -> Toleration:
    fields = node.fields(_TOLERATION_KEYS, required=("key",))
    key = _matching(fields.get("key"), _TAINT_KEY, "the key of a taint, such as nvidia.com/gpu")
    operator = _one_of(fields.get("operator"), OPERATORS, OPERATORS[0])
    effect = _one_of(fields.get("effect"), EFFECTS, "")
    value = _text(fields.get("value"))
    if (operator == "Equal") != bool(value):
        node.problem("expected a value with the operator Equal, and none with Exists.")
    return Toleration(key, operator, effect, value)


def _secret(node: Node) -> Secret:
    fields = node.fields(_SECRET_KEYS, required=_SECRET_KEYS)
    return Secret(
        _matching(fields.get("variable"), _VARIABLE, "the name of an environment variable"),
        _matching(fields.get("name"), _SECRET_NAME, "the name of a Kubernetes secret"),
        _matching(fields.get("key"), _SECRET_KEY, "a key of a Kubernetes secret"),
    )


def _notebook(node: Node | None, folder: Path) -> str:
    text = _text(node)
    if node is None or not text:
        return text
    if problem := _path_problem(text) or ("" if text.endswith(NOTEBOOK_SUFFIX) else "expected a name in .ipynb"):
        node.problem(f"{problem}, received {quoted(text)}.")
    elif not (folder / text).is_file():
        node.problem(f"expected a notebook, found no file {quoted(str(folder / text))}.")
    return text


def _paths(node: Node | None) -> tuple[str, ...]:
    found = []
    for text, item in node.texts() if node is not None else ():
        if problem := _path_problem(text):
            item.problem(f"{problem}, received {quoted(text)}.")
        found.append(text)
    return tuple(found)


def _path_problem(text: str) -> str:
    """Why a text is no path inside the working folder; empty if it is one."""
    parts = text.removesuffix("/").split("/")
    if text.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        return "expected a path inside the working folder, without '.' and '..'"
    if any(part.startswith(".") for part in parts):
        return "expected a path without hidden names"
    if _PATTERNS.search(text) or text != text.strip():
        return r"expected a path without ; * ? [ ] \ , control characters and blanks at its ends"
    return ""


def _check_parameters(step: Step, place: Node, parameters: Mapping[str, Parameter]) -> None:
    for name in step.parameters:
        if name not in parameters:
            place.problem(_unknown(f"unknown parameter {quoted(name)}; the pipeline has", name, list(parameters)))
    for name in step.reads:
        if name not in step.parameters:
            place.problem(f"reads: expected one of the parameters of the step, received {quoted(name)}.")
        elif name in parameters and parameters[name].type != STRING:
            place.problem(f"reads: expected a parameter of the type String, received {quoted(name)}.")


def _check_nested(outputs: Iterable[tuple[str, str]], node: Node) -> None:
    """Refuse an output inside another one, which a folder is."""
    ordered = sorted((output.removesuffix("/"), step) for output, step in outputs)
    for number, (outer, step) in enumerate(ordered):
        for inner, other in ordered[number + 1 :]:
            if inner.startswith(f"{outer}/"):
                node.problem(
                    f"the output {quoted(inner)} of the step {other} is inside the output {quoted(outer)} of the step "
                    f"{step}."
                )


def _check_links(step: Step, place: Node, names: Sequence[str], makers: Mapping[str, str]) -> None:
    for name in step.after:
        if name not in names:
            place.problem(_unknown(f"after: unknown step {quoted(name)}; the steps are", name, names))
    for name in step.inputs:
        if name not in makers:
            place.problem(_unknown(f"no step makes the input {quoted(name)}; the outputs are", name, list(makers)))


def _unknown(problem: str, name: str, known: Sequence[str]) -> str:
    return f"{problem} {name_some(known) if known else 'none'}.{did_you_mean(name, known)}"


def _in_order(steps: Sequence[tuple[Step, Node]], problems: Problems) -> list[Step]:
    """Steps so that each comes after its dependencies, else in the order of the file."""
    by_name = {step.name: step for step, _ in steps}
    maker = {output: step.name for step, _ in steps for output in step.outputs}
    graph = {step.name: list(dict.fromkeys([*step.after, *(maker[name] for name in step.inputs)])) for step, _ in steps}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = [str(name) for name in reversed(error.args[1])]
        line = min(node.line for step, node in steps if step.name in circle)
        problems.add(line, f"the steps depend on each other in a circle: {' needs '.join(circle)}.")
        return []
    ordered: list[str] = []
    while len(ordered) < len(graph):
        ordered.append(next(name for name in graph if name not in ordered and set(graph[name]) <= set(ordered)))
    return [by_name[name] for name in ordered]
