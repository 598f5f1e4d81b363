"""Checks of documents for Argo Workflows that its server makes, without the server: references, names and enums."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_REFERENCE = re.compile(r"\{\{(.*?)\}\}")
_DEPENDENCY = re.compile(r"([a-z0-9-]+)(?:\.([A-Z][A-Za-z]+))?")
_STATES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
# Names of Kubernetes objects and of templates; Argo allows more for artifacts and parameters.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_ARGUMENT = re.compile(r"[A-Za-z0-9_-]{1,63}")
_ENUMS = {
    "operator": ("Exists", "Equal"),
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "retryPolicy": ("Always", "OnFailure", "OnError", "OnTransientError"),
    "concurrencyPolicy": ("Allow", "Forbid", "Replace"),
}
_QUANTITY = re.compile(r"[1-9][0-9]*(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def argo_problems(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the server, or a workflow, would refuse; templates of other documents are looked up in `documents`."""
    named = {one["metadata"]["name"]: one for one in documents if one["kind"] == "WorkflowTemplate"}
    problems = []
    for document in documents:
        place = document["metadata"]["name"]
        found = [*_names(document), *_enums(document), *_workflow(specification(document), named)]
        problems += [f"{place}: {problem}" for problem in found]
    return problems


def specification(document: Mapping[str, Any]) -> dict[str, Any]:
    """The specification of the workflow of a document."""
    spec: dict[str, Any] = document["spec"]
    return spec["workflowSpec"] if document["kind"] == "CronWorkflow" else spec


def template_named(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A template of a document."""
    [template] = [one for one in specification(document)["templates"] if one["name"] == name]
    return template


def entries(value: object) -> Iterator[tuple[str, Any]]:
    """All keys with their values at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key, inner
            yield from entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from entries(inner)


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    # The number of a run is appended to the name of a CronWorkflow.
    maximum = 52 if document["kind"] == "CronWorkflow" else 63
    name = document["metadata"]["name"]
    templates = specification(document)["templates"]
    tasks = [task for template in templates for task in template.get("dag", {}).get("tasks", [])]
    for text in [name, *(one["name"] for one in [*templates, *tasks])]:
        if not _NAME.fullmatch(text) or len(text) > maximum:
            yield f"name {text!r}"
    for group in ("parameters", "artifacts"):
        for key, items in entries(document):
            if key == group:
                names = [one["name"] for one in items]
                yield from (f"{group} name {text!r}" for text in names if not _ARGUMENT.fullmatch(text))
                yield from (f"{group} {text!r} twice" for text in set(names) if names.count(text) > 1)


def _enums(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in entries(document):
        if key in _ENUMS and value not in _ENUMS[key]:
            yield f"{key} {value!r}"
        if key in ("requests", "limits"):
            yield from (f"{name} {text!r}" for name, text in value.items() if not _QUANTITY.fullmatch(text))


def _workflow(spec: Mapping[str, Any], named: Mapping[str, Any]) -> Iterator[str]:
    templates = {one["name"]: one for one in spec["templates"]}
    if len(templates) < len(spec["templates"]):
        yield "two templates have one name"
    given = {one["name"] for one in spec["arguments"]["parameters"]}
    yield from (
        f"parameter {one['name']} has no value" for one in spec["arguments"]["parameters"] if "value" not in one
    )
    if spec["entrypoint"] not in templates:
        yield f"entrypoint {spec['entrypoint']!r}"
    for template in templates.values():
        yield from (f"{template['name']}: {problem}" for problem in _template(template, templates, named, given))


def _template(
    template: Mapping[str, Any], templates: Mapping[str, Any], named: Mapping[str, Any], given: set[str]
) -> Iterator[str]:
    known = {f"workflow.parameters.{name}" for name in given} | {"workflow.name"}
    known |= {f"inputs.parameters.{name}" for name in _keys(template, "inputs", "parameters")}
    tasks = template.get("dag", {}).get("tasks", [])
    if tasks:
        known |= {f"inputs.artifacts.{name}" for name in _keys(template, "inputs", "artifacts")}
    else:
        yield from _container(template)
    if {"depends", "dependencies"} <= {key for task in tasks for key in task}:
        yield "depends and dependencies in one DAG"
    before = {task["name"]: _before(task, tasks) for task in tasks}
    for task in tasks:
        called = _called(task, templates, named)
        if called is None:
            yield f"task {task['name']}: no template {task.get('template') or task.get('templateRef')!r}"
            continue
        yield from (f"task {task['name']}: {problem}" for problem in _arguments(task, called))
        yield from (f"task {task['name']}: depends on {name!r}" for name in _unknown(task, before))
        if "templateRef" in task:
            # Templates read the parameters of the workflow that calls them.
            needed = {
                one["name"] for one in specification(named[task["templateRef"]["name"]])["arguments"]["parameters"]
            }
            yield from (f"task {task['name']}: parameter {name} is not passed" for name in sorted(needed - given))
    for task in tasks or [template]:
        of_tasks = set()
        for other in tasks:
            called = _called(other, templates, named)
            if called is not None and task.get("name") in before and other["name"] in before[task["name"]]:
                for group in ("parameters", "artifacts"):
                    of_tasks |= {
                        f"tasks.{other['name']}.outputs.{group}.{name}" for name in _keys(called, "outputs", group)
                    }
        item = {"item"} if {"withParam", "withItems"} & task.keys() else set()
        for reference in _REFERENCE.findall(json.dumps(task)):
            if reference not in known | of_tasks | item:
                yield f"reference {reference!r}"


def _container(template: Mapping[str, Any]) -> Iterator[str]:
    mounts = {one["name"]: one["mountPath"] for one in template["container"]["volumeMounts"]}
    volumes = {one["name"] for one in template["volumes"]}
    yield from (f"no volume {name!r}" for name in mounts.keys() - volumes)
    for group in ("inputs", "outputs"):
        paths = [one["path"] for one in template.get(group, {}).get("artifacts", [])]
        yield from (f"{path}: is in no volume" for path in paths if not _is_inside(path, mounts.values()))
    if "retryStrategy" not in template:
        yield "no retryStrategy"
    if "activeDeadlineSeconds" not in template:
        yield "no deadline"
    variables = [one["name"] for one in template["container"].get("env", [])]
    yield from (f"variable {name} twice" for name in set(variables) if variables.count(name) > 1)


def _is_inside(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _called(task: Mapping[str, Any], templates: Mapping[str, Any], named: Mapping[str, Any]) -> Any:
    reference = task.get("templateRef")
    if reference is None:
        return templates.get(task.get("template"))
    if reference["name"] not in named:
        return None
    found = {one["name"]: one for one in specification(named[reference["name"]])["templates"]}
    return found.get(reference["template"])


def _arguments(task: Mapping[str, Any], called: Mapping[str, Any]) -> Iterator[str]:
    for group in ("parameters", "artifacts"):
        passed = {one["name"] for one in task.get("arguments", {}).get(group, [])}
        expected = set(_keys(called, "inputs", group))
        # Artifacts with a key in S3 need no argument.
        own = {one["name"] for one in called.get("inputs", {}).get(group, []) if "s3" in one}
        yield from (f"unknown {group} {name}" for name in sorted(passed - expected))
        yield from (f"missing {group} {name}" for name in sorted(expected - passed - own))


def _keys(template: Mapping[str, Any], side: str, group: str) -> list[str]:
    return [one["name"] for one in template.get(side, {}).get(group, [])]


def _dependencies(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [*_DEPENDENCY.findall(task.get("depends", "")), *((name, "") for name in task.get("dependencies", []))]


def _unknown(task: Mapping[str, Any], before: Mapping[str, set[str]]) -> list[str]:
    found = _dependencies(task)
    names = [name for name, _ in found if name not in before]
    return names + [state for _, state in found if state and state not in _STATES]


def _before(task: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> set[str]:
    """Tasks that end before a task, also indirectly."""
    by_name = {one["name"]: one for one in tasks}
    found: set[str] = set()
    waiting = [task]
    while waiting:
        for name, _ in _dependencies(waiting.pop()):
            if name not in found and name in by_name:
                found.add(name)
                waiting.append(by_name[name])
    return found
