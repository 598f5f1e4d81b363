"""Command line options: those all subcommands share, and those derived from a configuration class."""

import typing
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from model import schema
from model.config import RENAMED_OPTIONS, OptionInfo, options_of
from model.presets import preset_options
from model.storage.copies import local_file
from model.storage.places import is_remote, parse_place
from model.storage.settings import require_remote
from model.workspace import Workspace, find_workspace

Command = TypeVar("Command", bound=Callable[..., Any])
Config = TypeVar("Config")


class PathOrRemote(click.Path):
    """A path on this machine or `remote:path`, as a `Path` of which `is_remote` says the same as of what was typed."""

    def __init__(self, exists: bool = False, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, exists=exists, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; one on this machine is looked at as `click.Path` does."""
        return Path(value) if is_remote(str(value)) else _unmistakable(super().convert(value, param, ctx))


class FileToRead(PathOrRemote):
    """A file on this machine, which has to be there, or `remote:path` of one; see `model.storage.copies.local_file`."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)


class LocalPath(click.Path):
    """A path on this machine: `remote:path` is refused rather than taken for the name of a file here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if is_remote(str(value)):
            self.fail(
                f"expected a path on this machine, received {str(value)!r}. If that is one, write ./{value}", param, ctx
            )
        return _unmistakable(super().convert(value, param, ctx))


def _unmistakable(path: Any) -> Any:
    """A local path; absolute where pathlib has taken away the `./` that told it from `remote:path`."""
    return path.absolute() if isinstance(path, Path) and is_remote(str(path)) else path


def _remember_workspace(context: click.Context, _parameter: click.Parameter, folder: str | None) -> None:
    if folder is not None:
        context.find_root().meta["workspace"] = folder


workspace_option = click.option(
    "--workspace",
    metavar="FOLDER",
    type=LocalPath(),
    expose_value=False,
    callback=_remember_workspace,
    help="Where data/ and models/ are. Default: $TOPGRAFT_HOME, else here, else the checkout.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Answer with JSON on standard output.")

config_file_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=FileToRead(),
    help="YAML file of options, a line each, such as `epochs: 50`. The command line wins over it.",
)


def current_workspace() -> Workspace:
    """The workspace asked for by `--workspace`, before or after the subcommand's name, else the usual one."""
    return find_workspace(click.get_current_context().find_root().meta.get("workspace"))


def config_options(config_class: type, only: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Decorate a command with an option for each of the class's options, or for those named in `only`.

    A value arrives as the text that was typed, None where nothing was: `resolve` checks all of them at once.
    """
    chosen = {name: row for name, row in options_of(config_class).items() if only is None or name in only}
    hints = typing.get_type_hints(config_class)

    def decorate(command: Command) -> Command:
        for name, (field, info) in reversed(chosen.items()):
            command = _option(name, hints[name], field.default, info)(command)
        for former, current in RENAMED_OPTIONS.items():
            if current in chosen:
                command = click.option(f"--{former.replace('_', '-')}", former, type=str, hidden=True)(command)
        return command

    return decorate


def resolve(config_class: type[Config], typed: dict[str, Any], config_file: Path | None = None) -> Config:
    """The configuration: the command line over the file over the preset over the defaults, logged once.

    Raises:
        ConfigError: values cannot be used; the message names them all.
        StorageError: a file in a storage cannot be fetched.
    """
    from_file = _options_in(config_file) if config_file is not None else {}
    asked = schema.merged(from_file, typed)
    preset = preset_options(asked)
    config = schema.load(config_class, preset, asked)
    layers = (f"preset {asked.get('preset')}", preset), (str(config_file), from_file), ("command line", typed)
    schema.log_resolved(config, *layers)
    return config


def _options_in(file: Path) -> dict[str, Any]:
    with local_file(str(file)) as local:
        return schema.load_file(local)


def check_output_file(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """See, before any work is done, that a file to be written has a known ending and a folder to go to.

    Raises:
        UsageError: it has not.
        StorageError, ConfigError: it is to go to a storage that is not configured.
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise click.UsageError(f"{option}: expected a file ending in {', '.join(suffixes)}, received {str(path)!r}.")
    if is_remote(str(path)):
        require_remote(parse_place(str(path)).remote)
    elif not path.absolute().parent.is_dir():
        raise click.UsageError(f"{option}: expected an existing folder, received {str(path.parent)!r}.")


def _option(name: str, hint: Any, default: Any, info: OptionInfo) -> Callable[[Command], Command]:
    flag = name.replace("_", "-")
    if hint is bool:
        return click.option(f"--{flag}/--no-{flag}", name, default=None, help=_help(default, info))
    return click.option(f"--{flag}", name, type=str, metavar=_metavar(hint, info), help=_help(default, info))


def _metavar(hint: Any, info: OptionInfo) -> str:
    if info.choices is not None and len(info.choices) <= 5:
        return "|".join(info.choices)
    numbers = {int: "INTEGER", float: "NUMBER"}
    return next((text for kind, text in numbers.items() if hint is kind or kind in typing.get_args(hint)), "TEXT")


def _help(default: Any, info: OptionInfo) -> str:
    facts = [f"default: {default}"] if default not in (None, "") else []
    if info.minimum is not None and info.maximum is not None:
        facts.append(f"{info.minimum:g} to {info.maximum:g}")
    return f"{info.help}  [{', '.join(facts)}]" if facts else info.help
