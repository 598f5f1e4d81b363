"""Checks of `.pipeline` files that Elyra itself does not make, or only with a runtime configuration."""

from typing import Any

from model.pipelines.steps import EFFECTS, OPERATORS, Pipeline


def node_named(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The node of a step."""
    [node] = [one for one in document["pipelines"][0]["nodes"] if one["app_data"]["label"] == name]
    return node


def links_of(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Names of the steps at both ends of each link."""
    nodes = document["pipelines"][0]["nodes"]
    names = {node["id"]: node["app_data"]["label"] for node in nodes}
    return {
        (names[link["node_id_ref"]], names[node["id"]])
        for node in nodes
        for port in node["inputs"]
        for link in port["links"]
    }


def elyra_problems(document: dict[str, Any], pipeline: Pipeline) -> list[str]:
    """What of a pipeline is missing in its file, or would fail in a cluster only."""
    app_data = document["pipelines"][0]["app_data"]
    problems = []
    if app_data["properties"]["pipeline_parameters"] and app_data.get("runtime_type") != "KUBEFLOW_PIPELINES":
        problems.append(f"runtime_type {app_data.get('runtime_type')}")
    links = links_of(document)
    for step in pipeline.steps:
        node = node_named(document, step.name)["app_data"]["component_parameters"]
        problems += [
            f"{step.name}: no link from {other.name}"
            for other in pipeline.links(step)
            if (other.name, step.name) not in links
        ]
        problems += [
            f"{step.name}: output {output} is not declared"
            for output in step.outputs
            if output.removesuffix("/") not in node["outputs"]
        ]
        problems += [
            f"{step.name}: {key} {node[key]}"
            for key in ("cpu", "memory", "gpu")
            if key in node and (type(node[key]) is not int or node[key] < 1)
        ]
        for toleration in node["kubernetes_tolerations"]:
            if toleration["operator"] not in OPERATORS:
                problems.append(f"{step.name}: toleration operator {toleration['operator']!r}")
            if toleration["effect"] not in ("", *EFFECTS):
                problems.append(f"{step.name}: toleration effect {toleration['effect']!r}")
        variables = [one["env_var"] for one in node["env_vars"]]
        problems += [
            f"{step.name}: {variable} in clear"
            for variable in variables
            if any(word in variable.upper() for word in ("SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY"))
        ]
    return problems
