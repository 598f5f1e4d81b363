"""Answers conform to docs/answer.schema.json, which is part of the public interface."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from marshmallow import fields

import api
from api.schemas import NeighbourSchema, PredictionSchema, response_fields
from model.results import Neighbour, Prediction
from model.workspace import Workspace
from tests.support.fake_predictor import Upload
from tests.support.photos import photo
from tests.support.small_model import write_small_model

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "answer.schema.json").read_text())
KINDS = {fields.Str: "string", fields.Bool: "boolean", fields.Float: "number", fields.List: "array"}


def check(answer: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(answer)))


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value


def kind(value: dict[str, Any]) -> str:
    return resolved(value).get("type", "string")


@pytest.mark.parametrize(
    ("declared", "promised"),
    [
        (response_fields(), SCHEMA),
        (PredictionSchema().fields, SCHEMA["$defs"]["prediction"]),
        (NeighbourSchema().fields, SCHEMA["$defs"]["neighbour"]),
    ],
)
def test_swagger_documents_the_fields_of_the_schema(
    declared: dict[str, fields.Field], promised: dict[str, Any]
) -> None:
    documented = {name: KINDS[type(field)] for name, field in declared.items()}
    assert documented == {name: kind(value) for name, value in promised["properties"].items()}


def test_answers_of_the_service_keep_the_promise(workspace: Workspace, upload: Callable[..., Upload]) -> None:
    write_small_model(workspace.models / "small")
    write_small_model(workspace.models / "hurt", created="2026-05-01T00:00:00Z")
    check(api.predict(image=upload(photo()), model="small", top_k=2))
    (workspace.models / "hurt" / "model.onnx").write_bytes(b"cut")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.jpg", photo())
        archive.writestr("bad.jpg", b"no image")
    answer = api.predict(image=upload(stream.getvalue()))
    check(answer)
    assert answer["warnings"] and "error" in answer["predictions"][1]


def test_everything_that_can_be_said_of_an_image_is_in_the_schema() -> None:
    near = (Neighbour("a/b.jpg", "a", 0.25),)
    full = Prediction("c", ("a", "b"), (0.5, 0.25), True, None, "features", "far", 0.5, near)
    said = full.to_json()
    low = Prediction(
        "e", ("a",), (0.5,), uncertain=True, uncertain_explanation="low", second="b", warning="dim"
    ).to_json()
    assert {*said, *low, "error"} == set(SCHEMA["$defs"]["prediction"]["properties"])
    head: dict[str, Any] = {"status": "OK", "model": "m", "marks": ["unknown", "uncertain"]}
    head |= {"unknown_judged_by": ["features"]}
    head |= {"labels": ["a"], "probabilities": [0.5]}
    check(head | {"predictions": [said, low, Prediction("d", error="why").to_json()]})
    with pytest.raises(jsonschema.ValidationError):
        check(head | {"predictions": [said | low]})


@pytest.mark.parametrize("spoiled", [{"extra": 1}, {"labels": "a"}, {"probabilities": [2.0]}, {"predictions": []}])
def test_the_schema_refuses_what_is_no_answer(spoiled: dict[str, Any]) -> None:
    good = {"image": "a.jpg", "labels": ["a"], "probabilities": [0.5], "unknown": False, "uncertain": False}
    head = {"status": "OK", "model": "m", "marks": [], "unknown_judged_by": [], "labels": ["a"], "probabilities": [0.5]}
    check(head | {"predictions": [good]})
    with pytest.raises(jsonschema.ValidationError):
        check(head | {"predictions": [good]} | spoiled)
    with pytest.raises(jsonschema.ValidationError):
        check(head | {"predictions": [good | {"error": "why"}]})
