"""Options derived from a configuration class, and the configuration resolved from them."""

import dataclasses
import logging
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from model import schema
from model.cli.command import topgraft
from model.cli.options import config_file_option, config_options, resolve
from model.config import PredictConfig, TrainConfig, options_of
from model.errors import ConfigError
from model.option import option
from tests.support.subcommands import leaves


@dataclasses.dataclass(frozen=True)
class Recipe:
    sugar: bool = option(False, "Whether it is sweet.")
    eggs: int = option(2, "How many eggs.", minimum=0, maximum=12)
    flour: float | None = option(None, "Flour in kilograms.", minimum=0.0, maximum=5.0)
    shape: str = option("round", "The shape.", choices=("round", "square"))
    oven_name: str = option("", "Which oven.")


def parse(*arguments: str, only: Sequence[str] | None = None) -> Recipe:
    received: list[Recipe] = []

    @click.command()
    @config_options(Recipe, only=only)
    @config_file_option
    def bake(config_file: Path | None, **typed: Any) -> None:
        received.append(resolve(Recipe, typed, config_file))

    bake.main(list(arguments), standalone_mode=False)
    return received[0]


def test_without_options_the_defaults_apply() -> None:
    assert parse() == Recipe()


def test_values_are_converted_to_their_types() -> None:
    typed = parse("--sugar", "--eggs", "3", "--flour", "0.5", "--shape", "square", "--oven-name", "left")
    assert typed == Recipe(sugar=True, eggs=3, flour=0.5, shape="square", oven_name="left")


def test_all_invalid_values_are_reported_together() -> None:
    with pytest.raises(ConfigError) as refused:
        parse("--eggs", "13", "--flour", "some", "--shape", "oval")
    assert all(name in refused.value.message for name in ("eggs", "flour", "shape"))


def test_only_the_chosen_options_exist() -> None:
    assert parse("--eggs", "3", only=["eggs"]).eggs == 3
    with pytest.raises(click.NoSuchOption):
        parse("--shape", "square", only=["eggs"])


def test_the_command_line_overrides_the_file_and_the_file_the_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("eggs: 5\nsugar: true\nshape: square\n", encoding="utf-8")
    with caplog.at_level(logging.INFO):
        typed = parse("--config", str(file), "--eggs", "6", "--no-sugar")
    assert typed == Recipe(eggs=6, sugar=False, shape="square")
    assert [record.getMessage() for record in caplog.records] == [
        "sugar = False (command line)",
        "eggs = 6 (command line)",
        "flour = None (default)",
        f"shape = 'square' ({file})",
        "oven_name = '' (default)",
    ]


def test_every_option_of_a_training_is_on_the_command_line() -> None:
    from model.cli.training import train

    offered = {parameter.name for parameter in train.params}
    assert {field.name for field in dataclasses.fields(TrainConfig)} <= offered


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_no_number_of_a_command_may_be_infinite_or_undefined(value: str) -> None:
    options = [one for _, command in leaves(topgraft) for one in command.params]
    numbers = [one for one in options if isinstance(one.type, click.types.FloatParamType)]
    assert {one.name for one in numbers} >= {"min_accuracy", "max_regression", "margin"}
    for one in numbers:
        with pytest.raises(click.BadParameter):
            one.type.convert(value, one, click.Context(topgraft))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", float("nan"), float("inf")])
@pytest.mark.parametrize("config", [TrainConfig, PredictConfig])
def test_no_number_of_a_configuration_may_be_infinite_or_undefined(config: type, value: str | float) -> None:
    hints = typing.get_type_hints(config)
    numbers = [name for name in options_of(config) if float in (hints[name], *typing.get_args(hints[name]))]
    for name in numbers:
        with pytest.raises(ConfigError, match=name):
            schema.load(config, {name: value})
    assert numbers or config is PredictConfig
