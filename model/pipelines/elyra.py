"""Pipelines as files of Elyra: a node for each step, as Elyra 4 writes them (version 8 of its format).

Nodes and links have UUIDs of version 5 that depend on the names of pipeline and step only, so that the same pipeline
gives the same bytes.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from model import durable
from model.pipelines.problems import raise_problems
from model.pipelines.steps import GPU_VENDOR, STRING, Parameter, ParameterValue, Pipeline, Step
from model.received import quoted

FORMAT_VERSION = 8
# With parameters, Elyra fails to validate a file of any other runtime, without giving the reason.
RUNTIME_TYPE = "KUBEFLOW_PIPELINES"
# Elyra takes an empty text for a missing value, and Kubeflow then passes none; notebooks strip the values.
EMPTY_TEXT = " "

_SCHEMA = "http://api.dataplatform.ibm.com/schemas/common-pipeline/pipeline-flow/pipeline-flow-v3-schema.json"
_NAMESPACE = uuid.UUID("6f0c4d5e-3b0a-4d0c-9a57-8d2f5a7e91b4")
# In pixels of the editor.
_LEFT, _TOP, _COLUMN, _ROW = 60, 190, 260, 150
_COMMENT_WIDTH, _COMMENT_HEIGHT, _NOTE_WIDTH, _NOTE_HEIGHT = 700, 70, 200, 60


def elyra_text(pipeline: Pipeline) -> str:
    """Text of a `.pipeline` file, which lies in the folder of pipeline.yaml.

    Raises:
        ConfigError: Elyra cannot run the pipeline as it is; the message lists all reasons.
    """
    raise_problems(list(_problems(pipeline)))
    return durable.json_text(_document(pipeline))


def _problems(pipeline: Pipeline) -> Iterator[str]:
    """What Elyra would accept, and then do otherwise than a run on this machine."""
    for step in pipeline.steps:
        notebook = PurePosixPath(step.notebook)
        written = {f"{notebook.stem}.html", f"{notebook.stem}-output.ipynb"}
        for output in (output for output in step.outputs if output in written):
            yield (
                f"{pipeline.file}: step {step.name}: Elyra writes the executed notebook to {quoted(output)}, which is "
                f"an output of the step. Put the output in a folder, such as {notebook.stem}/{output}."
            )
        for folder in (output for output in step.outputs if output.endswith("/")):
            readers = [other.name for other in pipeline.steps if folder in other.inputs]
            if readers:
                yield (
                    f"{pipeline.file}: step {step.name}: Elyra cannot pass the folder {quoted(folder)} to the step "
                    f"{readers[0]}. Pack it as a file, such as {folder[:-1]}.tar."
                )


def _document(pipeline: Pipeline) -> dict[str, Any]:
    positions = _positions(pipeline)
    return {
        "doc_type": "pipeline",
        "version": "3.0",
        "json_schema": _SCHEMA,
        "id": _identifier(pipeline),
        "primary_pipeline": _identifier(pipeline, "primary"),
        "pipelines": [
            {
                "id": _identifier(pipeline, "primary"),
                "nodes": [_node(pipeline, step, *positions[step.name]) for step in pipeline.steps],
                "app_data": {
                    "ui_data": {"comments": list(_comments(pipeline, positions))},
                    "version": FORMAT_VERSION,
                    "runtime_type": RUNTIME_TYPE,
                    "properties": {
                        "name": pipeline.name,
                        "description": pipeline.description,
                        "runtime": "Kubeflow Pipelines",
                        "pipeline_defaults": {},
                        "pipeline_parameters": [_parameter(parameter) for parameter in pipeline.parameters],
                    },
                },
                "runtime_ref": "",
            }
        ],
        "schemas": [],
    }


def _node(pipeline: Pipeline, step: Step, left: int, top: int) -> dict[str, Any]:
    return {
        "id": _identifier(pipeline, step.name),
        "type": "execution_node",
        "op": "execute-notebook-node",
        "app_data": {
            "component_parameters": _properties(step),
            "label": step.name,
            "ui_data": {
                "label": step.name,
                "image": "/static/elyra/notebook.svg",
                "x_pos": left,
                "y_pos": top,
                "description": "Run notebook file",
            },
        },
        "inputs": [_port("inPort", "Input Port") | _links(pipeline, step)],
        "outputs": [_port("outPort", "Output Port")],
    }


def _properties(step: Step) -> dict[str, Any]:
    """Properties of a node; tests compare their names with those of Elyra."""
    return {
        "filename": step.notebook,
        "runtime_image": step.image,
        "cpu": step.cpu,
        "memory": step.memory,
        **({"gpu": step.gpu, "gpu_vendor": GPU_VENDOR} if step.gpu else {}),
        "pipeline_parameters": list(step.parameters),
        # Notebooks need nothing besides the image and the outputs of the steps before, which Elyra copies.
        "dependencies": [],
        "include_subdirectories": False,
        # Elyra uploads the files of a folder if its name has no slash at the end.
        "outputs": [output.removesuffix("/") for output in step.outputs],
        "env_vars": [{"env_var": name, "value": value} for name, value in step.environment],
        "kubernetes_secrets": [
            {"env_var": secret.variable, "name": secret.name, "key": secret.key} for secret in step.secrets
        ],
        "kubernetes_tolerations": [
            {"key": one.key, "operator": one.operator, "value": one.value, "effect": one.effect}
            for one in step.tolerations
        ],
        "kubernetes_pod_annotations": [],
        "kubernetes_pod_labels": [],
        "kubernetes_shared_mem_size": {},
        "mounted_volumes": [],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    default: ParameterValue | None = parameter.default
    if parameter.type == STRING and default == "":
        default = EMPTY_TEXT
    return {
        "name": parameter.name,
        "description": parameter.description,
        "default_value": {"type": parameter.type} | ({} if default is None else {"value": default}),
        "required": parameter.is_required,
    }


def _links(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    return {
        "links": [
            {
                "id": _identifier(pipeline, f"{other.name}>{step.name}"),
                "node_id_ref": _identifier(pipeline, other.name),
                "port_id_ref": "outPort",
            }
            for other in pipeline.links(step)
        ]
    }


def _port(name: str, label: str) -> dict[str, Any]:
    return {"id": name, "app_data": {"ui_data": {"cardinality": {"min": 0, "max": -1}, "label": label}}}


def _comments(pipeline: Pipeline, positions: Mapping[str, tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """A comment that describes the pipeline, and one at each step that needs a GPU."""
    source = f"Made of {pipeline.file.name} by: topgraft pipeline export {pipeline.name} --to elyra"
    text = f"{pipeline.description}\n{source}" if pipeline.description else source
    size = (_COMMENT_WIDTH, _COMMENT_HEIGHT)
    yield _comment(pipeline, "description", text, (_LEFT, _TOP - _COMMENT_HEIGHT - 60), size)
    for step in pipeline.steps:
        if step.gpu:
            left, top = positions[step.name]
            keys = [toleration.key for toleration in step.tolerations]
            text = f"Needs {step.gpu} GPU" + (f"; tolerates {', '.join(keys)}" if keys else "")
            place, size = (left - 20, top + 90), (_NOTE_WIDTH, _NOTE_HEIGHT)
            yield _comment(pipeline, f"gpu of {step.name}", text, place, size, [step])


def _comment(
    pipeline: Pipeline,
    name: str,
    text: str,
    position: tuple[int, int],
    size: tuple[int, int],
    steps: Sequence[Step] = (),
) -> dict[str, Any]:
    return {
        "id": _identifier(pipeline, f"comment: {name}"),
        "x_pos": position[0],
        "y_pos": position[1],
        "width": size[0],
        "height": size[1],
        "class_name": "d3-comment-rect",
        "content": text,
        "associated_id_refs": [
            {
                "id": _identifier(pipeline, f"comment: {name}>{step.name}"),
                "node_ref": _identifier(pipeline, step.name),
                "class_name": "d3-comment-link",
            }
            for step in steps
        ],
    }


def _positions(pipeline: Pipeline) -> dict[str, tuple[int, int]]:
    """Left and top of each node: a column for each number of steps before it, and a row for each node of a column."""
    columns: dict[str, int] = {}
    taken: dict[int, int] = {}
    positions = {}
    for step in pipeline.steps:
        column = max((columns[other.name] + 1 for other in pipeline.dependencies(step)), default=0)
        row = taken.get(column, 0)
        columns[step.name], taken[column] = column, row + 1
        positions[step.name] = (_LEFT + column * _COLUMN, _TOP + row * _ROW)
    return positions


def _identifier(pipeline: Pipeline, part: str = "") -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{pipeline.name}/{part}"))
