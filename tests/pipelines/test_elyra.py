"""Pipelines as files of Elyra: nodes, links, resources, secrets; what Elyra would do otherwise is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from model.pipelines.elyra import elyra_text
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from model.pipelines.steps import Pipeline
from tests.pipelines.elyra_problems import elyra_problems, links_of, node_named
from tests.pipelines.small_pipeline import write_pipeline


@pytest.fixture(scope="module")
def traffic_signs() -> Pipeline:
    return read_pipeline(find_pipeline("traffic-signs"))


@pytest.fixture
def document(traffic_signs: Pipeline) -> dict[str, Any]:
    return json.loads(elyra_text(traffic_signs))


def properties(document: dict[str, Any], name: str) -> dict[str, Any]:
    return node_named(document, name)["app_data"]["component_parameters"]


def test_four_nodes_have_three_links(document: dict[str, Any], traffic_signs: Pipeline) -> None:
    assert links_of(document) == {
        ("labeling-extraction", "synthetic-data"),
        ("synthetic-data", "transfer-learning"),
        ("transfer-learning", "comparison"),
    }
    assert len(document["pipelines"][0]["nodes"]) == 4
    assert elyra_problems(document, traffic_signs) == []


def test_training_needs_a_gpu_and_tolerates_its_taint(document: dict[str, Any]) -> None:
    training = properties(document, "transfer-learning")
    assert (training["gpu"], training["cpu"], training["memory"]) == (1, 4, 8)
    assert training["kubernetes_tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "value": "", "effect": "NoSchedule"}
    ]
    assert "gpu" not in properties(document, "comparison")


def test_epochs_is_a_parameter_of_kubeflow(document: dict[str, Any]) -> None:
    pipeline = document["pipelines"][0]["app_data"]
    assert (pipeline["version"], pipeline["runtime_type"]) == (8, "KUBEFLOW_PIPELINES")
    [epochs] = [one for one in pipeline["properties"]["pipeline_parameters"] if one["name"] == "epochs"]
    assert (epochs["default_value"], epochs["required"]) == ({"type": "Integer", "value": 10}, False)
    assert "epochs" in properties(document, "transfer-learning")["pipeline_parameters"]
    assert "epochs" not in properties(document, "comparison")["pipeline_parameters"]


def test_an_empty_default_is_a_blank_because_kubeflow_passes_no_empty_text(document: dict[str, Any]) -> None:
    parameters = document["pipelines"][0]["app_data"]["properties"]["pipeline_parameters"]
    defaults = {one["name"]: one["default_value"]["value"] for one in parameters}
    assert (defaults["base"], defaults["destination"]) == (" ", " ")


def test_credentials_are_references_to_secrets(document: dict[str, Any]) -> None:
    node = properties(document, "comparison")
    assert {
        "env_var": "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY",
        "name": "s3-connection",
        "key": "AWS_SECRET_ACCESS_KEY",
    } in (node["kubernetes_secrets"])
    assert {one["env_var"] for one in node["env_vars"]} == {"RCLONE_CONFIG_S3_TYPE", "RCLONE_CONFIG_S3_PROVIDER"}


def test_nodes_and_comments_do_not_overlap(document: dict[str, Any]) -> None:
    pipeline = document["pipelines"][0]
    nodes = [(one["app_data"]["ui_data"]["x_pos"], one["app_data"]["ui_data"]["y_pos"]) for one in pipeline["nodes"]]
    boxes = [(left, top, 160, 40) for left, top in nodes]
    comments = pipeline["app_data"]["ui_data"]["comments"]
    boxes += [(one["x_pos"], one["y_pos"], one["width"], one["height"]) for one in comments]
    assert len(comments) == 2
    for number, (left, top, width, height) in enumerate(boxes):
        for other_left, other_top, other_width, other_height in boxes[number + 1 :]:
            apart = left + width <= other_left or other_left + other_width <= left
            assert apart or top + height <= other_top or other_top + other_height <= top


def test_steps_without_a_common_input_are_in_one_column(tmp_path: Path) -> None:
    steps = [{"name": "a", "outputs": ["a.tar"]}, {"name": "b", "outputs": ["b.tar"]}]
    pipeline = write_pipeline(tmp_path, [*steps, {"name": "c", "inputs": ["a.tar", "b.tar"]}])
    document = json.loads(elyra_text(pipeline))
    positions = [node_named(document, name)["app_data"]["ui_data"] for name in "abc"]
    assert positions[0]["x_pos"] == positions[1]["x_pos"] < positions[2]["x_pos"]
    assert positions[0]["y_pos"] < positions[1]["y_pos"]
    assert links_of(document) == {("a", "c"), ("b", "c")}


@pytest.mark.parametrize("output", ["train.html", "train-output.ipynb"])
def test_an_output_that_elyra_overwrites_is_refused(tmp_path: Path, output: str) -> None:
    pipeline = write_pipeline(tmp_path, [{"name": "train", "outputs": [output]}])
    with pytest.raises(
        ConfigError, match=rf"step train: Elyra writes the executed notebook to '{output}'.*train/{output}"
    ):
        elyra_text(pipeline)


def test_a_folder_between_two_steps_is_refused(tmp_path: Path) -> None:
    steps = [{"name": "one", "outputs": ["photos/"]}, {"name": "two", "inputs": ["photos/"]}]
    with pytest.raises(
        ConfigError, match=r"step one: Elyra cannot pass the folder 'photos/' to the step two.*photos\.tar"
    ):
        elyra_text(write_pipeline(tmp_path, steps))


def test_a_folder_that_no_step_reads_is_an_output(tmp_path: Path) -> None:
    document = json.loads(elyra_text(write_pipeline(tmp_path, [{"name": "one", "outputs": ["photos/"]}])))
    assert properties(document, "one")["outputs"] == ["photos"]


@pytest.mark.parametrize("key", ["cpu", "memory"])
@pytest.mark.parametrize("value", [0.5, 1.5, 0, "2"])
def test_resources_are_whole_numbers(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected a whole number"):
        write_pipeline(tmp_path, [{"name": "one", key: value}])


def without_link(document: dict[str, Any]) -> None:
    node_named(document, "comparison")["inputs"][0]["links"] = []


def wrong_operator(document: dict[str, Any]) -> None:
    properties(document, "transfer-learning")["kubernetes_tolerations"][0]["operator"] = "Exist"


def undeclared_output(document: dict[str, Any]) -> None:
    properties(document, "labeling-extraction")["outputs"].remove("signs.tar")


def half_a_processor(document: dict[str, Any]) -> None:
    properties(document, "comparison")["cpu"] = 0.5


def clear_credentials(document: dict[str, Any]) -> None:
    properties(document, "comparison")["env_vars"].append({"env_var": "AWS_SECRET_ACCESS_KEY", "value": "key"})


def other_runtime(document: dict[str, Any]) -> None:
    del document["pipelines"][0]["app_data"]["runtime_type"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without_link, "comparison: no link from transfer-learning"),
        (wrong_operator, "transfer-learning: toleration operator 'Exist'"),
        (undeclared_output, "labeling-extraction: output signs.tar is not declared"),
        (half_a_processor, "comparison: cpu 0.5"),
        (clear_credentials, "comparison: AWS_SECRET_ACCESS_KEY in clear"),
        (other_runtime, "runtime_type None"),
    ],
)
def test_the_check_finds_damaged_files(
    document: dict[str, Any], traffic_signs: Pipeline, damage: Any, problem: str
) -> None:
    damage(document)
    assert elyra_problems(document, traffic_signs) == [problem]
