"""Presets: contents of the files, and precedence of several values for an option."""

import re
from pathlib import Path

import click
import pytest
import yaml

from model import schema
from model.cli.options import resolve
from model.config import NO_PRESET, PRESETS, TrainConfig
from model.errors import ConfigError
from model.presets import changed_options, preset_options, preset_path, train_config

ROOT = Path(__file__).resolve().parent.parent
NAMES = [name for name in PRESETS if name != NO_PRESET]


def test_every_preset_has_a_file_and_every_file_is_a_preset():
    assert sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_states_command_and_results_and_sets_existing_options(name):
    text = preset_path(name).read_text(encoding="utf-8")
    assert text.startswith(f"# topgraft train --preset {name} --dataset ")
    [measured] = re.findall(r"^# measured: .*$", text, re.M)
    assert len(re.findall(r"0\.\d{3} \(0\.\d{3} to [01]\.\d{3}\)", measured)) == 2, "run: python -m benchmarks presets"
    options = preset_options({"preset": name})
    assert options and schema.load(TrainConfig, options) != TrainConfig()


def test_options_override_the_file_and_the_file_the_preset(tmp_path):
    preset = preset_options({"preset": "balanced"})
    assert {"imbalance", "resize"} <= preset.keys()
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"preset": "balanced", "resize": "crop", "imbalance": "none"}))
    with click.Context(click.Command("train")):
        config = resolve(TrainConfig, {"imbalance": "sampling", "resize": None}, file)
    assert (config.imbalance, config.resize, config.preset) == ("sampling", "crop", "balanced")
    others = preset.keys() - {"imbalance", "resize"}
    assert {name: getattr(config, name) for name in others} == {name: preset[name] for name in others}


def test_a_form_that_sends_every_default_leaves_the_preset_its_options():
    sent = {name: getattr(TrainConfig(), name) for name in vars(TrainConfig())} | {"preset": "balanced", "epochs": 7}
    assert changed_options(sent) == {"preset": "balanced", "epochs": 7}
    config = train_config(changed_options(sent))
    assert config.epochs == 7 and config.imbalance == preset_options(sent)["imbalance"] != TrainConfig.imbalance


def test_the_last_value_overrides_the_first_and_the_preset():
    config = train_config({"preset": "balanced", "resize": "crop", "epochs": 7}, {"resize": "pad", "epochs": None})
    assert (config.preset, config.resize, config.epochs) == ("balanced", "pad", 7)


def test_an_unknown_preset_is_refused_with_a_list_of_presets():
    with pytest.raises(ConfigError, match="quick, balanced, best, plankton, imbalanced, received 'fastest'"):
        preset_options({"preset": "fastest"})
