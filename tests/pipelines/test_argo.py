"""Pipelines as documents of Argo Workflows: a template of the steps, a search for the best model, a retraining."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.pipelines.argo import argo_text
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from model.pipelines.steps import Pipeline
from tests.pipelines.argo_problems import argo_problems, specification, template_named
from tests.pipelines.small_pipeline import write_pipeline

KINDS = ("WorkflowTemplate", "WorkflowTemplate", "CronWorkflow")
Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def traffic_signs() -> Pipeline:
    return read_pipeline(find_pipeline("traffic-signs"))


@pytest.fixture(scope="module")
def written(traffic_signs: Pipeline) -> Documents:
    return list(yaml.safe_load_all(argo_text(traffic_signs)))


@pytest.fixture
def documents(written: Documents) -> Documents:
    return copy.deepcopy(written)


def read_back(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the models of hera read and write it: unknown keys are lost, wrong types are errors."""
    from hera.workflows import models

    found = getattr(models, document["kind"]).model_validate(document)
    result: dict[str, Any] = found.model_dump(by_alias=True, exclude_none=True, mode="json")
    return result


def tasks_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in template_named(document, "main")["dag"]["tasks"]}


def test_three_documents_have_known_keys_and_types_only(documents: Documents) -> None:
    assert tuple(document["kind"] for document in documents) == KINDS
    assert [document["metadata"]["name"] for document in documents] == [
        "traffic-signs",
        "traffic-signs-search",
        "traffic-signs-retraining",
    ]
    assert [read_back(document) for document in documents] == documents


def test_references_names_and_enums_are_valid(documents: Documents) -> None:
    assert argo_problems(documents) == []


def test_tasks_depend_on_each_other_as_the_steps_do(documents: Documents, traffic_signs: Pipeline) -> None:
    tasks = tasks_of(documents[0])
    assert {name: task.get("depends") for name, task in tasks.items()} == {
        step.name: " && ".join(other.name for other in traffic_signs.dependencies(step)) or None
        for step in traffic_signs.steps
    }


def test_training_has_a_gpu_and_tolerates_its_taint(documents: Documents) -> None:
    for document in documents[:2]:
        training = template_named(document, "transfer-learning")
        assert training["container"]["resources"] == {
            "requests": {"cpu": "4", "memory": "8G"},
            "limits": {"memory": "8G", "nvidia.com/gpu": "1"},
        }
        assert training["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "tolerations" not in template_named(documents[1], "promote")


def test_credentials_are_references_to_secrets(documents: Documents) -> None:
    for template in specification(documents[0])["templates"][1:]:
        variables = {one["name"]: one for one in template["container"]["env"]}
        assert variables["RCLONE_CONFIG_S3_SECRET_ACCESS_KEY"] == {
            "name": "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY",
            "valueFrom": {"secretKeyRef": {"name": "s3-connection", "key": "AWS_SECRET_ACCESS_KEY"}},
        }
        assert {name for name, one in variables.items() if "value" in one} == {
            "RCLONE_CONFIG_S3_TYPE",
            "RCLONE_CONFIG_S3_PROVIDER",
        }


def test_a_search_trains_each_backbone_and_promotes_the_best(documents: Documents) -> None:
    tasks = tasks_of(documents[1])
    assert list(tasks) == ["labeling-extraction", "synthetic-data", "transfer-learning", "promote"]
    search = tasks["transfer-learning"]
    assert search["withParam"] == "{{workflow.parameters.backbones}}"
    values = {one["name"]: one["value"] for one in search["arguments"]["parameters"]}
    assert (values["backbone"], values["destination"]) == ("{{item}}", "")
    assert tasks["promote"]["depends"] == "transfer-learning && labeling-extraction"
    outputs = template_named(documents[1], "transfer-learning")["outputs"]["artifacts"]
    keys = [one["s3"]["key"] for one in outputs]
    assert all("{{inputs.parameters.backbone}}" in key for key in keys), "two models would have the same key"
    folder = template_named(documents[1], "promote")["inputs"]["artifacts"][0]["s3"]["key"]
    assert [key for key in keys if key.startswith(f"{folder}/")] == [
        f"{folder}/{{{{inputs.parameters.backbone}}}}.tar.xz"
    ]


def test_a_schedule_trains_only_if_labels_changed(documents: Documents) -> None:
    cron = documents[2]["spec"]
    assert (cron["schedules"], cron["timezone"], cron["concurrencyPolicy"]) == (["0 3 * * *"], "Etc/UTC", "Forbid")
    tasks = tasks_of(documents[2])
    assert tasks["retrain"]["templateRef"] == {"name": "traffic-signs-search", "template": "retrain"}
    assert tasks["retrain"]["when"] == "{{tasks.check-labels.outputs.parameters.changed}} == true"
    assert tasks["finish"]["depends"] == "check-labels && retrain.Succeeded"


def test_a_retraining_learns_from_the_dataset_with_the_splits_of_the_check(documents: Documents) -> None:
    dataset = "{{tasks.check-labels.outputs.artifacts.signs-tar}}"
    assert tasks_of(documents[2])["retrain"]["arguments"]["artifacts"] == [{"name": "signs-tar", "from": dataset}]
    tasks = {task["name"]: task for task in template_named(documents[1], "retrain")["dag"]["tasks"]}
    assert list(tasks) == ["synthetic-data", "transfer-learning", "promote"]
    passed = [one for task in tasks.values() for one in task["arguments"]["artifacts"] if one["name"] == "signs-tar"]
    assert [one["from"] for one in passed] == ["{{inputs.artifacts.signs-tar}}"] * 3
    assert (tasks["synthetic-data"].get("depends"), tasks["promote"]["depends"]) == (None, "transfer-learning")


def test_a_pipeline_without_promotion_is_one_document(tmp_path: Path) -> None:
    steps: Documents = [{"name": "one", "outputs": ["photos/"], "cpu": 3}, {"name": "two", "inputs": ["photos/"]}]
    pipeline = write_pipeline(tmp_path, [*steps, {"name": "three", "after": ["two"]}])
    [document] = yaml.safe_load_all(argo_text(pipeline))
    assert read_back(document) == document
    assert argo_problems([document]) == []
    assert tasks_of(document)["three"]["depends"] == "two"
    [artifact] = template_named(document, "two")["inputs"]["artifacts"]
    assert artifact == {"name": "photos", "path": "/work/photos"}


def test_texts_are_text_in_yaml_whatever_they_resemble(tmp_path: Path) -> None:
    values = {"a": "true", "b": "1e3", "c": "{{x}}: #", "d": "two\nlines", "e": ""}
    parameters: dict[str, Any] = {name: {"type": "String", "default": value} for name, value in values.items()}
    parameters |= {"f": {"type": "Bool", "default": True}, "g": {"type": "Float", "default": 0.5}}
    pipeline = write_pipeline(tmp_path, [{"name": "one", "parameters": list(parameters)}], parameters=parameters)
    [document] = yaml.safe_load_all(argo_text(pipeline))
    found = {one["name"]: one["value"] for one in document["spec"]["arguments"]["parameters"]}
    assert found == {**values, "f": "true", "g": "0.5", "prefix": "small"}


def first_task(documents: Documents) -> dict[str, Any]:
    return tasks_of(documents[0])["synthetic-data"]


DAMAGE: dict[str, Any] = {
    "operator 'Exist'": lambda documents: template_named(documents[0], "transfer-learning")["tolerations"][0].update(
        operator="Exist"
    ),
    "effect 'NoSchedul'": lambda documents: template_named(documents[0], "transfer-learning")["tolerations"][0].update(
        effect="NoSchedul"
    ),
    "task synthetic-data: depends on 'labelling'": lambda documents: first_task(documents).update(depends="labelling"),
    "task synthetic-data: depends on 'Succeded'": lambda documents: first_task(documents).update(
        depends="labeling-extraction.Succeded"
    ),
    "task synthetic-data: no template 'synthetic'": lambda documents: first_task(documents).update(
        template="synthetic"
    ),
    "task synthetic-data: missing artifacts signs-tar": lambda documents: first_task(documents)["arguments"].pop(
        "artifacts"
    ),
    "reference 'tasks.labeling-extraction.outputs.artifacts.sign'": lambda documents: first_task(documents)[
        "arguments"
    ]["artifacts"][0].update({"from": "{{tasks.labeling-extraction.outputs.artifacts.sign}}"}),
    "reference 'inputs.parameters.epoch'": lambda documents: template_named(documents[0], "transfer-learning")[
        "container"
    ]["args"].append("{{inputs.parameters.epoch}}"),
    "two templates have one name": lambda documents: specification(documents[0])["templates"].append(
        copy.deepcopy(template_named(documents[0], "comparison"))
    ),
    "depends and dependencies in one DAG": lambda documents: first_task(documents).update(
        dependencies=["labeling-extraction"]
    ),
    "task retrain: no template": lambda documents: tasks_of(documents[2])["retrain"]["templateRef"].update(
        name="other"
    ),
    "task retrain: parameter epochs is not passed": lambda documents: [
        parameters.remove(one)
        for parameters in [specification(documents[2])["arguments"]["parameters"]]
        for one in list(parameters)
        if one["name"] == "epochs"
    ],
    "name 'Synthetic_data'": lambda documents: first_task(documents).update(name="Synthetic_data"),
    "no retryStrategy": lambda documents: template_named(documents[1], "promote").pop("retryStrategy"),
    "cpu '0'": lambda documents: template_named(documents[0], "comparison")["container"]["resources"][
        "requests"
    ].update(cpu="0"),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_the_check_finds_damaged_documents(documents: Documents, problem: str) -> None:
    DAMAGE[problem](documents)
    found = argo_problems(documents)
    assert any(problem in one for one in found), found


def test_reading_back_finds_unknown_keys_and_wrong_types(documents: Documents) -> None:
    damaged = copy.deepcopy(documents[0])
    damaged["spec"]["entryPoint"] = "main"
    assert read_back(damaged) != damaged
    documents[0]["spec"]["activeDeadlineSeconds"] = "one day"
    with pytest.raises(ValueError, match="activeDeadlineSeconds"):
        read_back(documents[0])
