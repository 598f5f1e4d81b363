"""Former names of options: accepted from every source, with a deprecation warning."""

import logging

import pytest
from click.testing import CliRunner

from api.schemas import train_fields
from model import schema
from model.cli.command import topgraft
from model.config import RENAMED_OPTIONS, PredictConfig, TrainConfig, options_of
from model.presets import changed_options


def test_a_former_name_never_is_the_name_of_an_option() -> None:
    options = options_of(TrainConfig) | options_of(PredictConfig)
    assert not RENAMED_OPTIONS.keys() & options.keys()
    assert set(RENAMED_OPTIONS.values()) <= options.keys()


def test_a_former_name_is_accepted_with_a_deprecation_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config = schema.load(TrainConfig, {"wanted_accuracy": "0.8"})
        schema.log_resolved(config, ("a file", {"wanted_accuracy": "0.8"}))
    assert config.target_accuracy == 0.8
    assert caplog.text.count("wanted_accuracy is deprecated: use target_accuracy") == 1


def test_the_current_name_takes_precedence_in_the_same_layer_and_a_later_layer_over_an_earlier_one() -> None:
    assert schema.load(TrainConfig, {"target_accuracy": 0.9, "wanted_accuracy": 0.8}).target_accuracy == 0.9
    assert schema.load(TrainConfig, {"target_accuracy": 0.9}, {"wanted_accuracy": 0.8}).target_accuracy == 0.8


def test_a_bad_value_of_a_former_name_is_refused_under_the_current_name() -> None:
    with pytest.raises(schema.ConfigError, match=r"target_accuracy: Must be greater than or equal to 0\.5"):
        schema.load(TrainConfig, {"wanted_accuracy": 0.2})


def test_a_form_may_send_a_former_name_and_need_not() -> None:
    former = train_fields()["wanted_accuracy"]
    assert former.metadata["description"] == "Deprecated: use target_accuracy."
    sent = {name: field.load_default for name, field in train_fields().items()}
    assert schema.load(TrainConfig, changed_options(sent)) == TrainConfig()
    assert schema.load(TrainConfig, changed_options(sent | {"wanted_accuracy": 0.8})).target_accuracy == 0.8


def test_the_command_accepts_a_former_name_but_does_not_show_it() -> None:
    assert "--wanted-accuracy" not in CliRunner().invoke(topgraft, ["train", "--help"]).output
    refused = CliRunner().invoke(topgraft, ["train", "--wanted-accuracy", "0.2"])
    assert "target_accuracy: Must be greater than or equal to 0.5" in str(refused.exception)
