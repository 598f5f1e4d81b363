"""The subcommands of a group of commands, for tests that must try every one of them."""

from collections.abc import Iterable, Iterator

import click

_NAMES_OF_MODELS = {"model", "name", "named", "names"}


def leaves(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command without subcommands, after its words, such as `models list`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*above, name))
        else:
            yield (*above, name), command


def untried(group: click.Group, rows: Iterable[tuple[str, ...]], on_models: bool = False) -> set[str]:
    """The commands that no row begins with.

    Args:
        rows: arguments of tried commands.
        on_models: only the commands with an argument that is, or may be, the name of a model.
    """
    tried = list(rows)
    named = {
        words
        for words, command in leaves(group)
        if not on_models or any(item.name in _NAMES_OF_MODELS for item in command.params if _is_argument(item))
    }
    return {" ".join(words) for words in named if not any(row[: len(words)] == words for row in tried)}


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)
