"""The keys `promotion`, `retraining` and `delivery` of pipeline.yaml: what is done with outputs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from model.files.browsing import name_some
from model.pipelines.steps import STRING, Delivery, Parameter, Promotion, Retraining, Step
from model.pipelines.yaml_nodes import Node
from model.received import did_you_mean, quoted

_PROMOTION_KEYS = ("step", "parameter", "values", "model", "dataset")
_DELIVERY_KEYS = ("parameter", "outputs")
_RETRAINING_KEYS = ("labels", "images", "schedule", "time_zone")
# Written by each run; the folder of notebooks is in the destination, too.
RUN_FILE, NOTEBOOKS = "run.json", "notebooks"
# Minute, hour, day of the month, month and day of the week; names such as @daily.
_CRON_FIELD = r"[0-9A-Za-z*/,-]+"
_SCHEDULE = re.compile(rf"{_CRON_FIELD}( {_CRON_FIELD}){{4}}|@(hourly|daily|weekly|monthly|yearly)")
_TIME_ZONE = re.compile(r"[A-Za-z]+([/_+-][A-Za-z0-9]+)*")
# A value is a part of a key in S3, and of the name of a model.
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def read_promotion(node: Node | None, steps: Sequence[Step], parameters: Mapping[str, Parameter]) -> Promotion | None:
    """The key `promotion`; None if it is missing or has problems, which are added."""
    if node is None:
        return None
    fields = node.fields(_PROMOTION_KEYS, required=_PROMOTION_KEYS)
    if len(fields) < len(_PROMOTION_KEYS):
        return None
    by_name = {step.name: step for step in steps}
    step = by_name.get(_known(fields["step"], list(by_name), "steps"))
    if step is None:
        return None
    parameter = _text_parameter(fields["parameter"], step.parameters, f"parameters of the step {step.name}", parameters)
    values = fields["values"].texts()
    if not values and not fields["values"].is_null:
        fields["values"].problem("expected one value or more, found none.")
    for value, item in values:
        if not _VALUE.fullmatch(value):
            item.problem(f"expected letters, digits, '.', '_' and '-', received {quoted(value)}.")
    model = _known(fields["model"], step.outputs, f"outputs of the step {step.name}")
    dataset = _known(fields["dataset"], step.inputs, f"inputs of the step {step.name}")
    return Promotion(step.name, parameter, tuple(value for value, _ in values), model, dataset)


def read_retraining(
    node: Node | None, promotion: Promotion | None, parameters: Mapping[str, Parameter]
) -> Retraining | None:
    """The key `retraining`; None if it is missing or has problems, which are added."""
    if node is None:
        return None
    if promotion is None:
        node.problem("expected the key promotion, too: a retraining promotes its model.")
    fields = node.fields(_RETRAINING_KEYS, required=("labels", "schedule"))
    if not {"labels", "schedule"} <= fields.keys():
        return None
    names = {key: _known(fields[key], list(parameters), "parameters") for key in ("labels", "images") if key in fields}
    schedule = fields["schedule"].text()
    if not _SCHEDULE.fullmatch(schedule):
        fields["schedule"].problem(
            f"expected five fields of cron, such as 0 3 * * *, or @daily, received {quoted(schedule)}."
        )
    time_zone = fields["time_zone"].text() if "time_zone" in fields else "Etc/UTC"
    if not _TIME_ZONE.fullmatch(time_zone):
        fields["time_zone"].problem(f"expected a time zone, such as Europe/Berlin, received {quoted(time_zone)}.")
    return Retraining(names["labels"], names.get("images", ""), schedule, time_zone)


def read_delivery(node: Node | None, steps: Sequence[Step], parameters: Mapping[str, Parameter]) -> Delivery | None:
    """The key `delivery`; None if it is missing or has problems, which are added."""
    if node is None:
        return None
    fields = node.fields(_DELIVERY_KEYS, required=_DELIVERY_KEYS)
    if len(fields) < len(_DELIVERY_KEYS):
        return None
    parameter = _text_parameter(fields["parameter"], list(parameters), "parameters", parameters)
    makers = {output: step for step in steps for output in step.outputs}
    names: dict[str, str] = {}
    outputs = [(_known(item, list(makers), "outputs"), item) for _, item in fields["outputs"].texts()]
    for output, item in outputs:
        name = PurePosixPath(output).name
        if output.endswith("/"):
            item.problem(f"expected a file, received the folder {quoted(output)}.")
        elif name == NOTEBOOKS or names.setdefault(name, output) != output:
            other = quoted(names[name]) if name in names else "the folder of notebooks"
            item.problem(f"expected another file name than that of {other}.")
        if output in makers and parameter not in makers[output].parameters:
            item.problem(f"expected the parameter {quoted(parameter)} in the step {makers[output].name}, too.")
    return Delivery(parameter, tuple(output for output, _ in outputs))


def _text_parameter(node: Node, known: Sequence[str], kind: str, parameters: Mapping[str, Parameter]) -> str:
    """The name of a parameter of the type String that is one of `known`; another one is a problem."""
    name = _known(node, known, kind)
    if name in parameters and parameters[name].type != STRING:
        node.problem(f"expected a parameter of the type String, received {quoted(name)}.")
    return name


def _known(node: Node, known: Sequence[str], kind: str) -> str:
    """A text that is one of `known`; another one is a problem."""
    text = node.text()
    if text and text not in known:
        hint = did_you_mean(text, known)
        names = name_some(known) if known else "none"
        node.problem(f"expected one of the {kind} ({names}), received {quoted(text)}.{hint}")
    return text
