"""Pipelines that Argo Workflows would refuse, or run otherwise than this machine, are not exported."""

from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from model.pipelines.argo import argo_text
from tests.pipelines.small_pipeline import write_pipeline

PROMOTION = {"step": "learn", "parameter": "backbone", "values": ["A"], "model": "m.tar.xz", "dataset": "d.tar"}
RETRAINING = {"labels": "labels", "schedule": "@daily"}
KEYS: dict[str, Any] = {
    "parameters": {name: {"type": "String", "default": "x"} for name in ("backbone", "labels")},
    "promotion": PROMOTION,
    "retraining": RETRAINING,
}
CUT: dict[str, Any] = {"name": "cut", "outputs": ["d.tar", "e.tar"], "parameters": ["labels"]}
LEARN: dict[str, Any] = {
    "name": "learn",
    "inputs": ["d.tar"],
    "outputs": ["m.tar.xz"],
    "parameters": ["backbone"],
}


def refused(folder: Path, steps: list[dict[str, Any]], **keys: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        argo_text(write_pipeline(folder, steps, **keys))
    return raised.value.message


@pytest.mark.parametrize("name", ["prefix", "backbones"])
def test_a_parameter_that_the_documents_have_is_refused(tmp_path: Path, name: str) -> None:
    keys = KEYS | {"parameters": KEYS["parameters"] | {name: {"type": "Integer"}}}
    assert f"have a parameter '{name}' of their own" in refused(tmp_path, [CUT, LEARN], **keys)


@pytest.mark.parametrize("name", ["main", "promote", "retrain", "check-labels", "finish", "candidates"])
def test_a_step_with_the_name_of_a_template_is_refused(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path, [CUT, LEARN, {"name": name}], **KEYS)
    assert f"step {name}: the documents have a template of this name" in message


def test_names_of_documents_that_are_not_written_are_free(tmp_path: Path) -> None:
    steps = [{"name": name} for name in ("promote", "retrain", "check-labels")]
    parameters = {"backbones": {"type": "Integer", "default": 1}}
    assert "name: retrain" in argo_text(write_pipeline(tmp_path, steps, parameters=parameters))
    assert "step main:" in refused(tmp_path / "other", [{"name": "main"}])


def test_outputs_and_inputs_of_one_name_in_argo_are_refused(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [{"name": "one", "outputs": ["a.b"]}, {"name": "two", "outputs": ["a-b", "a/b"]}]
    message = refused(tmp_path, [*steps, {"name": "three", "inputs": ["a.b", "a-b"]}])
    assert "step two: the outputs 'a-b' and 'a/b' have the same name in Argo, a-b" in message
    assert "step three: the inputs 'a.b' and 'a-b' have the same name in Argo, a-b" in message
    assert "step one" not in message


def test_a_name_that_is_too_long_with_its_ending_is_refused(tmp_path: Path) -> None:
    assert "'" + "n" * 42 + "-retraining' may have at most 52" in refused(tmp_path, [CUT, LEARN], **KEYS, name="n" * 42)
    argo_text(write_pipeline(tmp_path, [CUT, LEARN], **KEYS, name="n" * 41))


def test_a_retraining_starts_with_the_step_that_reads_the_labels(tmp_path: Path) -> None:
    steps = [{"name": "before", "outputs": ["b.tar"]}, CUT | {"inputs": ["b.tar"]}, LEARN]
    assert "expected no step before the step cut" in refused(tmp_path / "a", steps, **KEYS)
    without = [CUT | {"parameters": []}, LEARN]
    assert "expected a parameter of the step cut, received 'labels'" in refused(tmp_path / "b", without, **KEYS)
    other = [CUT, LEARN | {"inputs": ["d.tar", "e.tar"]}]
    assert "the step learn reads 'e.tar'; only d.tar is passed on" in refused(tmp_path / "c", other, **KEYS)
