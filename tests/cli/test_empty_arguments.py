"""Empty arguments are refused by every command: an unset variable of a shell is not the current folder."""

import click
import pytest

from model.cli.command import main, topgraft
from model.cli.options import LocalPath, PathOrRemote
from tests.support.subcommands import leaves

ARGUMENTS = [
    (words, position, len(arguments))
    for words, command in leaves(topgraft)
    if (arguments := [one for one in command.params if isinstance(one, click.Argument)])
    for position in range(len(arguments))
]
OPTIONS = [
    (words, parameter.opts[0])
    for words, command in leaves(topgraft)
    for parameter in command.params
    if isinstance(parameter, click.Option) and isinstance(parameter.type, (LocalPath, PathOrRemote))
]


@pytest.mark.parametrize(("words", "position", "count"), ARGUMENTS)
def test_an_empty_argument_is_refused(
    words: tuple[str, ...], position: int, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    values = ["" if number == position else "x" for number in range(count)]
    assert main([*words, *values]) == 2
    assert "expected a value, received ''" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "option"), OPTIONS)
def test_an_empty_path_of_an_option_is_refused(
    words: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, option, ""]) == 2
    assert "expected a value, received ''" in capsys.readouterr().err
