"""Command line options: shared by subcommands, or derived from a configuration class."""

import math
import os
import typing
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from model import schema
from model.cli.empty_arguments import check_not_empty
from model.config import DEFAULT_CHUNK, ENGINES, RENAMED_OPTIONS, options_of
from model.option import OptionInfo
from model.presets import preset_options
from model.received import quoted
from model.scratch import remove_leftovers
from model.sharing import share_with_group
from model.storage.copies import local_file
from model.storage.places import is_remote, parse_place
from model.storage.settings import require_remote
from model.workspace import Workspace, find_workspace

Command = TypeVar("Command", bound=Callable[..., Any])
Config = TypeVar("Config")


class PathOrRemote(click.Path):
    """Local path or `remote:path`, as a `Path` for which `is_remote` gives the same result as for the typed text."""

    def __init__(self, exists: bool = False, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, exists=exists, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a `Path`; a local path is checked by `click.Path`."""
        check_not_empty(param, value)
        return Path(value) if is_remote(str(value)) else _unmistakable(super().convert(value, param, ctx))


class FiniteRange(click.FloatRange):
    """Number in a range; `nan` is in none, although no comparison says so."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a float."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a number, received {quoted(str(value))}.", param, ctx)
        return number


class OutputPlace(PathOrRemote):
    """`PathOrRemote`, or an address such as `s3://bucket/folder`, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a `Path`, unless it is an address."""
        return value if "://" in str(value) else super().convert(value, param, ctx)


class FileToRead(PathOrRemote):
    """Existing local file, or `remote:path` of a file; see `model.storage.copies.local_file`."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)


class LocalPath(click.Path):
    """Local path; `remote:path` is refused instead of being treated as a file name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a local path."""
        check_not_empty(param, value)
        if is_remote(str(value)):
            self.fail(
                f"expected a path on this machine, received {quoted(str(value))}. If it is one, write ./{value}",
                param,
                ctx,
            )
        return _unmistakable(super().convert(value, param, ctx))


def _unmistakable(path: Any) -> Any:
    """Return a local path; absolute if pathlib has removed the `./` that distinguishes it from `remote:path`."""
    return path.absolute() if isinstance(path, Path) and is_remote(str(path)) else path


def _remember_workspace(context: click.Context, _parameter: click.Parameter, folder: str | None) -> None:
    if folder is not None:
        context.find_root().meta["workspace"] = folder


class AdvancedOption(click.Option):
    """Option that most users leave at its default."""


class TrainingCommand(click.Command):
    """Command whose `--help` lists the advanced options in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, the advanced ones last."""
        parameters = self.get_params(ctx)
        advanced = [one for one in parameters if isinstance(one, AdvancedOption)]
        basic = [one for one in parameters if one not in advanced]
        for title, section in (("Options", basic), ("Advanced options", advanced)):
            records = [record for one in section if (record := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


workspace_option = click.option(
    "--workspace",
    metavar="FOLDER",
    type=LocalPath(),
    expose_value=False,
    callback=_remember_workspace,
    help="Folder with data/ and models/. Default: $TOPGRAFT_HOME, the current folder, or the checkout.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output.")

config_file_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=FileToRead(),
    help="YAML file of options, one per line, such as `epochs: 50`. The command line overrides it.",
)


def engine_options(purpose: str, default: str | None = None) -> Callable[[Command], Command]:
    """Decorate a command with the options of work in chunks: `max_photos`, `engine`, `master` and `overwrite`.

    Args:
        purpose: help text of `--engine`.
        default: the engine without this option.
    """
    options = (
        click.option(
            "--engine", type=click.Choice(ENGINES), default=default, show_default=default is not None, help=purpose
        ),
        click.option(
            "--master",
            default="",
            metavar="URL",
            help="Master of Spark, such as spark://HOST:7077 or yarn.  [default: that of spark-submit, or this "
            "machine]",
        ),
        click.option(
            "--chunk",
            "max_photos",
            type=click.IntRange(1, 100_000),
            default=DEFAULT_CHUNK,
            show_default=True,
            metavar="N",
            help="Maximum number of photos of a part.",
        ),
        click.option("--overwrite", is_flag=True, help="Remove the parts of another run first."),
    )

    def decorate(command: Command) -> Command:
        for decorator in reversed(options):
            command = decorator(command)
        return command

    return decorate


def check_engine_options(engine: str | None, master: str, by_features: bool = False) -> None:
    """Check that the options of `engine_options` are typed with an engine that uses them.

    Args:
        by_features: parts are written without an engine, which `--overwrite` removes as well.

    Raises:
        UsageError: one of them has no effect.
    """
    source = click.get_current_context().get_parameter_source
    for name, flag in (("max_photos", "--chunk"), ("overwrite", "--overwrite")):
        if by_features and name == "overwrite":
            continue
        if engine is None and source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{flag}: expected it with --engine only.")
    if master and engine != "spark":
        raise click.UsageError("--master: expected it with --engine spark only.")


def current_workspace() -> Workspace:
    """Workspace given by `--workspace`, before or after the subcommand, else the default workspace.

    The first call prepares it: what the command writes can be shared with its group, and files that killed processes
    left are removed.
    """
    meta = click.get_current_context().find_root().meta
    if "current_workspace" not in meta:
        workspace = find_workspace(meta.get("workspace"))
        share_with_group(workspace)
        remove_leftovers(workspace)
        meta["current_workspace"] = workspace
    found: Workspace = meta["current_workspace"]
    return found


def config_options(config_class: type, only: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Decorate a command with the options of a configuration class, or those named in `only`.

    Values are the typed texts, None if absent. `resolve` checks all of them together.
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
    """Resolve the configuration and log it: command line over file over preset over defaults.

    Raises:
        ConfigError: invalid values; the message lists all of them.
        StorageError: a remote file cannot be downloaded.
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
    """Check, before any work is done, that an output file has a supported suffix and a folder that can be written to.

    Raises:
        UsageError: the suffix or the path is wrong.
        StorageError, ConfigError: the remote storage is not configured.
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise click.UsageError(
            f"{option}: expected a file ending in {', '.join(suffixes)}, received {quoted(str(path))}."
        )
    if is_remote(str(path)):
        require_remote(parse_place(str(path)).remote)
        return
    try:
        if path.is_dir():
            raise click.UsageError(f"{option}: expected a file, received the folder {quoted(str(path))}.")
        if not path.absolute().parent.is_dir():
            raise click.UsageError(f"{option}: expected an existing folder, received {quoted(str(path.parent))}.")
    except OSError as error:
        raise click.UsageError(
            f"{option}: expected a path with shorter names, received {quoted(str(path))}: {error.strerror}."
        ) from error
    if not os.access(path.absolute().parent, os.W_OK):
        raise click.UsageError(
            f"{option}: expected a folder that can be written to, received {quoted(str(path.parent))}."
        )


def _option(name: str, hint: Any, default: Any, info: OptionInfo) -> Callable[[Command], Command]:
    flag = name.replace("_", "-")
    kind = AdvancedOption if info.advanced else click.Option
    if hint is bool:
        return click.option(f"--{flag}/--no-{flag}", name, cls=kind, default=None, help=_help(default, info))
    return click.option(f"--{flag}", name, cls=kind, type=str, metavar=_metavar(hint, info), help=_help(default, info))


def _metavar(hint: Any, info: OptionInfo) -> str:
    if info.choices is not None and len(info.choices) <= 5:
        return "|".join(info.choices)
    numbers = {int: "INTEGER", float: "NUMBER"}
    return next((text for kind, text in numbers.items() if hint is kind or kind in typing.get_args(hint)), "TEXT")


def _help(default: Any, info: OptionInfo) -> str:
    facts = [f"default: {default}"] if default not in (None, "") else []
    if info.minimum is not None and info.maximum is not None:
        facts.append(f"{info.minimum:.10g} to {info.maximum:.10g}")
    return f"{info.help}  [{', '.join(facts)}]" if facts else info.help
