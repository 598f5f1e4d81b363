"""The plug-in's interface: schemas and metadata for DEEPaaS and the platform's user interface."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from marshmallow import Schema, ValidationError, fields
from webargs import aiohttpparser
from webargs.aiohttpparser import AIOHTTPParser

import api
from api.arguments import reuse_argument_schemas
from api.schemas import NeighbourSchema, PredictionSchema, predict_fields
from model.config import BASIC_OPTIONS, RENAMED_OPTIONS, PredictConfig, TrainConfig, options_of
from model.dataset.formats import FORMAT_NAMES
from model.dataset.images import decode_image
from model.errors import ConfigError, ImageError
from model.results import Neighbour, Prediction
from model.schema import load

# Classes that deepaas-cli maps to a type of argparse: a subclass would become a string.
PLAIN_FIELDS = {fields.Bool, fields.Int, fields.Float, fields.Str, fields.Field}


def test_the_plug_in_has_the_seven_functions_of_deepaas() -> None:
    assert set(api.__all__) == {
        *("get_metadata", "warm", "get_train_args", "train", "get_predict_args", "predict", "schema")
    }


def test_arguments_come_from_the_configuration() -> None:
    former = [old for old, new in RENAMED_OPTIONS.items() if new in options_of(TrainConfig)]
    assert list(api.get_train_args()) == [*options_of(TrainConfig), *former]
    of_predict = {old for old, new in RENAMED_OPTIONS.items() if new in options_of(PredictConfig)}
    assert set(api.get_predict_args()) == {"image", "url", "accept"} | set(options_of(PredictConfig)) | of_predict


@pytest.mark.parametrize("arguments", [api.get_train_args(), api.get_predict_args()])
def test_fields_have_simple_types_and_descriptions(arguments: dict[str, fields.Field]) -> None:
    for name, field in arguments.items():
        assert type(field) in PLAIN_FIELDS, name
        assert field.metadata["description"], name
        # deepaas-cli passes the default on as it is: marshmallow's `missing` would arrive in predict.
        json.dumps(field.load_default)


def test_the_platform_finds_one_kind_of_upload() -> None:
    field = api.get_predict_args()["image"]
    assert [word for word in ("image", "audio", "video") if word in field.metadata["description"].lower()] == ["image"]
    assert field.metadata["type"] == "file"
    assert field.metadata["location"] == "form"


def test_accepted_types_are_copied() -> None:
    """DEEPaaS appends to the returned list."""
    api.get_predict_args()["accept"].validate.choices.append("*/*")
    accept = api.get_predict_args()["accept"]
    assert accept.validate.choices == ["application/json", "application/csv", "image/png"]
    assert accept.metadata["location"] == "headers"


def test_number_bounds_are_enforced() -> None:
    schema = Schema.from_dict(api.get_predict_args())()
    assert schema.load({})["top_k"] == 5
    with pytest.raises(ValidationError, match="top_k"):
        schema.load({"top_k": 0})


@pytest.mark.parametrize("arguments", [api.get_train_args(), api.get_predict_args()])
def test_invalid_unicode_is_refused_in_every_option(arguments: dict[str, fields.Field]) -> None:
    texts = [name for name, field in arguments.items() if type(field) is fields.Str and name != "url"]
    with pytest.raises(ValidationError) as refused:
        Schema.from_dict(arguments)().load({name: "caf\udce9" for name in texts})
    assert set(refused.value.messages) == set(texts)


def test_the_error_of_invalid_unicode_names_option_and_value() -> None:
    with pytest.raises(ConfigError, match=r"dataset: .* UTF-8\. Received: 'caf\\udce9'"):
        load(TrainConfig, {"dataset": "caf\udce9"})


def test_the_response_schema_is_declared() -> None:
    schema = Schema.from_dict(api.schema)()
    prediction = {"image": "a", "labels": ["x"], "probabilities": [1.0], "unknown": False, "uncertain": False}
    answer = {
        "status": "OK",
        "model": "m",
        "marks": [],
        "unknown_judged_by": [],
        "labels": ["x"],
        "probabilities": [1.0],
        "predictions": [prediction],
    }
    assert schema.load(answer) == answer
    with pytest.raises(ValidationError):
        schema.load(answer | {"undeclared": 1})


def test_every_field_of_a_prediction_is_described() -> None:
    found = Prediction("a", ("x",), (0.4,), True, None, "features", "far", 1.0, (Neighbour("b", "x", 0.5),)).to_json()
    low = Prediction("a", ("x",), (0.4,), uncertain=True, uncertain_explanation="low", second="y", warning="dim")
    uncertain = low.to_json()
    assert {*found, *uncertain, "error"} == set(PredictionSchema().fields)
    assert PredictionSchema().load(uncertain) == uncertain
    assert set(found["neighbours"][0]) == set(NeighbourSchema().fields)
    assert PredictionSchema().load(found) == found
    assert set(Prediction("a", ("x",), (1.0,)).to_json()) == {
        "image",
        "labels",
        "probabilities",
        "unknown",
        "uncertain",
    }


def test_metadata_and_schemas_import_nothing_heavy() -> None:
    program = (
        "import sys, api; api.get_metadata(); api.get_train_args(); api.get_predict_args();"
        "heavy = {'tensorflow', 'keras', 'onnxruntime', 'pyspark', 'sklearn', 'freetype'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]", finished.stderr


def test_refusal_lists_the_formats_that_the_service_and_the_guide_list() -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(b"text")
    assert f"({FORMAT_NAMES})" in caught.value.message
    assert f"({FORMAT_NAMES})" in predict_fields()["image"].metadata["description"]
    guide = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"
    *others, last = FORMAT_NAMES.split(", ")
    assert f"{', '.join(others)} and {last}, whatever the file is called" in " ".join(guide.read_text().split())


def test_the_training_form_begins_with_the_basic_options() -> None:
    arguments = api.get_train_args()
    basic = BASIC_OPTIONS[TrainConfig]
    assert len(basic) == 6
    assert tuple(arguments)[: len(basic)] == basic
    for name, field in arguments.items():
        marked = field.metadata["description"].startswith(("Advanced. ", "Deprecated: "))
        assert marked == (name not in basic), name


def test_no_option_of_a_prediction_is_advanced() -> None:
    assert not any("Advanced" in field.metadata["description"] for field in api.get_predict_args().values())


def test_one_schema_of_each_action_serves_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = AIOHTTPParser()
    monkeypatch.setattr(aiohttpparser, "parser", parser)
    arguments = Schema.from_dict({"name": fields.Str()})
    request = make_mocked_request("GET", "/")
    assert parser._get_schema(arguments, request) is not parser._get_schema(arguments, request)
    reuse_argument_schemas()
    reuse_argument_schemas()
    assert parser._get_schema(arguments, request) is parser._get_schema(arguments, request)
    other = Schema.from_dict({"name": fields.Int()})
    assert parser._get_schema(other, request) is not parser._get_schema(arguments, request)
