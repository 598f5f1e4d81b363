"""`topgraft publish`, and `child-module`: the repository with which the hub builds an image of a trained model."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from model.cli.options import Command, LocalPath, current_workspace, json_option, workspace_option
from model.cli.output import print_json, progress_display
from model.durable import to_json
from model.registry import find_bundle

if TYPE_CHECKING:
    from model.publishing.child_module import ChildModule
    from model.publishing.child_options import ChildOptions
    from model.publishing.publish import Publication

_CHILD_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("title", {"help": "For people. Default: the model's name."}),
    ("author", {"help": "Who made the model; several with ; between."}),
    ("license", {"help": "Of the weights, as SPDX has it, such as CC-BY-4.0."}),
    ("summary", {"help": "One sentence. Default: one that names the classes."}),
    ("repository", {"help": "URL of its code. Default: one of its title in the hub."}),
    (
        "base",
        {"default": "topgraft", "show_default": True, "help": "Image to build on; without a / one of ai4oshub."},
    ),
    ("tag", {"default": "latest", "show_default": True, "help": "Its tag."}),
    ("gpu_tag", {"default": "gpu", "show_default": True, "help": "Its tag for GPUs; empty for none."}),
    ("version", {"default": "1.0.0", "show_default": True, "help": "Of the child module."}),
    ("dataset_url", {"help": "Where the training data can be had."}),
)


def child_options(command: Command) -> Command:
    """Decorate a command with what only a person can say of a child module."""
    sample = LocalPath(path_type=Path, exists=True, dir_okay=False)
    command = click.option("--sample", type=sample, metavar="PHOTO", help="For its test. Default: a drawn one.")(
        command
    )
    for name, settings in reversed(_CHILD_OPTIONS):
        option: Callable[[Command], Command] = click.option(
            f"--{name.replace('_', '-')}", name, **({"default": "", "metavar": "TEXT"} | settings)
        )
        command = option(command)
    return command


def read_child_options(given: dict[str, Any]) -> "ChildOptions":
    """These options as the library takes them."""
    from model.publishing.card import About
    from model.publishing.child_options import ChildOptions

    about = About(given["title"], given["author"], given["license"], given["summary"])
    names = ("repository", "base", "tag", "gpu_tag", "version", "dataset_url", "sample")
    return ChildOptions(about, **{name: given[name] for name in names})


@click.command("child-module")
@click.argument("name", metavar="MODEL")
@click.option("--weights-url", required=True, metavar="URL", help="Of the model's archive: topgraft export makes it.")
@click.option("--sha256", required=True, metavar="HEX", help="Of that archive.")
@click.option("--out", required=True, metavar="DIR", type=LocalPath(path_type=Path, file_okay=False), help="Where to.")
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


@click.command()
@click.argument("name", metavar="MODEL")
@click.option("--to", required=True, metavar="REMOTE", help="Folder in a Nextcloud, as remote:path.")
@click.option(
    "--out",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Of the child module. Default: in published/.",
)
@click.option("--expires", default="", metavar="YYYY-MM-DD", help="Last day of the link. Default: it does not end.")
@click.option("--password-file", metavar="FILE", type=click.File(), help="Password of the link: first line of FILE.")
@child_options
@click.option("--git", is_flag=True, help="Make the child module a git repository.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
@workspace_option
def publish(
    name: str,
    to: str,
    out: Path | None,
    expires: str,
    password_file: IO[str] | None,
    git: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish MODEL: send it to a Nextcloud, link it, see that the link works, write its child module.

    Everybody who has the link can read all of the model, with the photos that its report shows. It can
    be repeated: what is done already is found and kept, the link too. MODEL is a name, or latest.
    """
    workspace = current_workspace()
    bundle = find_bundle(workspace, name)
    from model.publishing.publish import PublishOptions, plan
    from model.publishing.publish import publish as publish_bundle

    password = password_file.readline().rstrip("\n") if password_file else ""
    options = PublishOptions(to, read_child_options(given), out, expires, password, git)
    if dry_run:
        steps = plan(bundle, workspace, options)
        if as_json:
            print_json({"status": "planned", "model": bundle.name, "plan": steps})
        else:
            click.echo("\n".join(steps))
        return
    with progress_display() as progress:
        publication = publish_bundle(bundle, workspace, options, progress)
    if as_json:
        print_json({"status": "done"} | to_json(dataclasses.asdict(publication)))
    else:
        click.echo("\n".join(_publication_lines(publication)))


def _publication_lines(publication: "Publication") -> list[str]:
    link, archive = publication.link, publication.archive
    sent = f"{archive.size:,} bytes" if publication.sent else "there already"
    lines = [
        f"{publication.place}: {sent}",
        f"{link.url}: {'made now' if link.is_new else 'there already'}; what it answers has the right sha256",
        f"  sha256 {archive.sha256}",
    ]
    lines += [f"Note: {remark}" for remark in publication.remarks]
    return lines if publication.child is None else [*lines, *child_lines(publication.child)]


def child_lines(written: "ChildModule") -> list[str]:
    """What was written, and what is left to do."""
    lines = [f"{written.directory}: {len(written.files)} files"]
    lines += [f"  kept as you have changed it: {name}" for name in written.kept]
    return [*lines, "Left to do:", *(f"  {number}. {step}" for number, step in enumerate(written.to_do, start=1))]
