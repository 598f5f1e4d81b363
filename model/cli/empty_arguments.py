"""Empty arguments, as an unset variable of a shell gives them: refused, where a path would be the current folder."""

from typing import Any

import click


def refuse_empty_arguments(command: click.Command) -> None:
    """Let a command and its subcommands refuse empty arguments."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            parameter.callback = _checked
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            refuse_empty_arguments(subcommand)


def check_not_empty(parameter: click.Parameter | None, value: Any) -> None:
    """Check the typed text of a parameter.

    Raises:
        BadParameter: it is empty.
    """
    if value == "":
        raise click.BadParameter("expected a value, received ''. For the current folder, write a dot.", param=parameter)


def _checked(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    for text in value if isinstance(value, tuple) else (value,):
        check_not_empty(parameter, text)
    return value
