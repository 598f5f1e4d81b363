"""`topgraft publish` and `topgraft child-module`: publish a trained model as a module of the AI4OS hub."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.cli.options import Command, LocalPath, current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_lines, progress_display
from model.durable import to_json
from model.reading import describe, read_option_file
from model.registry import find_bundle
from model.shown import counted

if TYPE_CHECKING:
    from model.publishing.child_module import ChildModule
    from model.publishing.child_options import ChildOptions
    from model.publishing.publish import Publication

_MAX_PASSWORD_BYTES = 1 << 14

_CHILD_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("title", {"help": "Title of the module. Default: the name of the model."}),
    ("author", {"help": "Authors of the model, separated by semicolons."}),
    ("license", {"help": "SPDX identifier of the licence of the weights, such as CC-BY-4.0."}),
    ("summary", {"help": "Summary in one sentence. Default: a list of the classes."}),
    ("repository", {"help": "URL of the code repository. Default: derived from the title, in the hub's organisation."}),
    (
        "base",
        {"default": "topgraft", "show_default": True, "help": "Base image; without a slash, one of ai4oshub."},
    ),
    ("tag", {"default": "latest", "show_default": True, "help": "Tag of the base image."}),
    ("gpu_tag", {"default": "gpu", "show_default": True, "help": "GPU tag of the base image; empty for none."}),
    ("version", {"default": "1.0.0", "show_default": True, "help": "Version of the child module."}),
    ("dataset_url", {"help": "URL of the training data."}),
)


def child_options(command: Command) -> Command:
    """Decorate a command with the options that describe a child module."""
    sample = LocalPath(path_type=Path, exists=True, dir_okay=False)
    command = click.option(
        "--sample", type=sample, metavar="PHOTO", help="Photo for the test of the module. Default: a synthetic one."
    )(command)
    for name, settings in reversed(_CHILD_OPTIONS):
        option: Callable[[Command], Command] = click.option(
            f"--{name.replace('_', '-')}", name, **({"default": "", "metavar": "TEXT"} | settings)
        )
        command = option(command)
    return command


def read_child_options(given: dict[str, Any]) -> "ChildOptions":
    """Convert the options to `ChildOptions`."""
    from model.publishing.card import About
    from model.publishing.child_options import ChildOptions

    about = About(given["title"], given["author"], given["license"], given["summary"])
    names = ("repository", "base", "tag", "gpu_tag", "version", "dataset_url", "sample")
    return ChildOptions(about, **{name: given[name] for name in names})


@click.command("child-module", short_help="Write the repository of a model for the AI4OS hub.")
@click.argument("name", metavar="MODEL")
@click.option("--weights-url", required=True, metavar="URL", help="URL of the archive written by topgraft export.")
@click.option("--sha256", required=True, metavar="HEX", help="Checksum of that archive.")
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Folder of the repository.",
)
@child_options
@click.option("--git", is_flag=True, help="Initialize a git repository.")
@json_option
@workspace_option
def child_module(name: str, weights_url: str, sha256: str, out: Path, git: bool, as_json: bool, **given: Any) -> None:
    """Write the repository from which the hub builds an image of MODEL.

    It contains a Dockerfile, Jenkins files, a README with the model card, metadata, and a test of the
    served model. If it exists already, files that you have edited are kept.
    """
    bundle = find_bundle(current_workspace(), name)
    from model.publishing.child_module import write_child_module

    written = write_child_module(bundle, weights_url, sha256, out, read_child_options(given), git)
    if as_json:
        answer = {"files": list(written.files), "kept": list(written.kept), "to_do": list(written.to_do)}
        print_json({"status": "done", "model": bundle.name, "path": out} | answer)
    else:
        print_lines(child_lines(written))


@click.command(short_help="Publish a model as a module of the AI4OS hub.")
@click.argument("name", metavar="MODEL")
@click.option("--to", required=True, metavar="REMOTE", help="Nextcloud folder, as remote:path.")
@click.option(
    "--out",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Folder of the child module. Default: in published/.",
)
@click.option("--expires", default="", metavar="YYYY-MM-DD", help="Expiry date of the link. Default: none.")
@click.option(
    "--password-file",
    metavar="FILE",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help="File whose first line is the password of the link.",
)
@click.option("--replace", is_flag=True, help="Replace a version published before, whose child modules then break.")
@child_options
@click.option("--git", is_flag=True, help="Initialize a git repository in the child module.")
@click.option("--dry-run", is_flag=True, help="List the steps without doing them.")
@json_option
@workspace_option
def publish(
    name: str,
    to: str,
    out: Path | None,
    expires: str,
    password_file: Path | None,
    replace: bool,
    git: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish MODEL: upload it to Nextcloud, create and check a public link, write its child module.

    Anyone with the link can read the whole model, including the photos in its report. The command can
    be repeated: completed steps and the link are reused. A version published before stays available
    under its link. MODEL is a name, or latest.
    """
    workspace = current_workspace()
    bundle = find_bundle(workspace, name)
    from model.publishing.publish import PublishOptions, plan
    from model.publishing.publish import publish as publish_bundle

    password = _read_password(password_file) if password_file else ""
    options = PublishOptions(to, read_child_options(given), out, expires, password, git, replace)
    if dry_run:
        steps = plan(bundle, workspace, options)
        if as_json:
            print_json({"status": "planned", "model": bundle.name, "plan": steps})
        else:
            print_lines(steps)
        return
    with progress_display() as progress:
        publication = publish_bundle(bundle, workspace, options, progress)
    if as_json:
        print_json({"status": "done"} | to_json(dataclasses.asdict(publication)))
    else:
        print_lines(_publication_lines(publication))


def _read_password(file: Path) -> str:
    try:
        return read_option_file(file, _MAX_PASSWORD_BYTES).decode().partition("\n")[0].rstrip("\r")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--password-file: expected a text file, received {file}: {describe(error)}") from error


def _publication_lines(publication: "Publication") -> list[str]:
    link, archive = publication.link, publication.archive
    sent = f"{archive.size:,} bytes" if publication.sent else "already uploaded"
    lines = [
        f"{publication.place}: {sent}",
        f"{link.url}: {'created' if link.is_new else 'reused'}; the sha256 of the download is correct",
        f"  sha256 {archive.sha256}",
    ]
    lines += [f"Note: {remark}" for remark in publication.remarks]
    return lines if publication.child is None else [*lines, *child_lines(publication.child)]


def child_lines(written: "ChildModule") -> list[str]:
    """Lines that list the files written and the remaining steps."""
    lines = [f"{written.directory}: {counted(len(written.files), 'file')}"]
    lines += [f"  kept with your changes: {name}" for name in written.kept]
    return [*lines, "Remaining steps:", *(f"  {number}. {step}" for number, step in enumerate(written.to_do, start=1))]
