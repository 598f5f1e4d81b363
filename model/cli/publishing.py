"""`topgraft child-module`: the repository with which the hub builds an image of a trained model."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.bundle import find_bundle
from model.cli.options import Command, current_workspace, json_option, workspace_option
from model.cli.output import print_json

if TYPE_CHECKING:
    from model.publishing.child_module import ChildModule, ChildOptions

_CHILD_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("title", {"help": "For people. Default: the model's name."}),
    ("author", {"help": "Who made the model; several with ; between."}),
    ("license", {"help": "Of the weights, as SPDX has it, such as CC-BY-4.0."}),
    ("summary", {"help": "One sentence. Default: one that names the classes."}),
    ("repository", {"help": "URL of its code. Default: one of its title in the hub."}),
    ("base", {"default": "topgraft", "show_default": True, "help": "Image to build on; of ai4oshub without a /."}),
    ("tag", {"default": "latest", "show_default": True, "help": "Its tag."}),
    ("gpu_tag", {"default": "gpu", "show_default": True, "help": "Its tag for GPUs; empty for none."}),
    ("version", {"default": "1.0.0", "show_default": True, "help": "Of the child module."}),
    ("dataset_url", {"help": "Where the training data can be had."}),
)


def child_options(command: Command) -> Command:
    """Decorate a command with what only a person can say of a child module."""
    sample = click.Path(path_type=Path, exists=True, dir_okay=False)
    command = click.option("--sample", type=sample, metavar="PHOTO", help="For its test. Default: a drawn one.")(
        command
    )
    for name, settings in reversed(_CHILD_OPTIONS):
        option: Callable[[Command], Command] = click.option(
            f"--{name.replace('_', '-')}", name, **({"default": "", "metavar": "TEXT"} | settings)
        )
        command = option(command)
    return command


def read_child_options(given: dict[str, Any], expires: str = "") -> "ChildOptions":
    """These options as the library takes them."""
    from model.publishing.card import About
    from model.publishing.child_module import ChildOptions

    about = About(given["title"], given["author"], given["license"], given["summary"])
    names = ("repository", "base", "tag", "gpu_tag", "version", "dataset_url", "sample")
    return ChildOptions(about, **{name: given[name] for name in names}, expires=expires)


@click.command("child-module")
@click.argument("name", metavar="MODEL")
@click.option("--weights-url", required=True, metavar="URL", help="Of the model's archive: topgraft export makes it.")
@click.option("--sha256", required=True, metavar="HEX", help="Of that archive.")
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False), help="Where to.")
@child_options
@click.option("--git", is_flag=True, help="Make it a git repository.")
@json_option
@workspace_option
def child_module(name: str, weights_url: str, sha256: str, out: Path, git: bool, as_json: bool, **given: Any) -> None:
    """Write the repository with which the hub builds an image of MODEL.

    Dockerfile, Jenkins files, README with the model's card, metadata, and a test that the served
    model answers. Written again, it keeps what you have changed in it.
    """
    bundle = find_bundle(current_workspace(), name)
    from model.publishing.child_module import write_child_module

    written = write_child_module(bundle, weights_url, sha256, out, read_child_options(given), git)
    if as_json:
        answer = {"files": list(written.files), "kept": list(written.kept), "to_do": list(written.to_do)}
        print_json({"status": "done", "model": bundle.name, "path": out} | answer)
    else:
        click.echo("\n".join(child_lines(written)))


def child_lines(written: "ChildModule") -> list[str]:
    """What was written, and what is left to do."""
    lines = [f"{written.directory}: {len(written.files)} files"]
    lines += [f"  kept as you have changed it: {name}" for name in written.kept]
    return [*lines, "Left to do:", *(f"  {number}. {step}" for number, step in enumerate(written.to_do, start=1))]
