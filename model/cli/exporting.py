"""`topgraft export`: export a trained model as an archive or in another format."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.bundle import Bundle
from model.cli.options import PathOrRemote, current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_line, print_text, progress_display
from model.received import quoted
from model.registry import find_bundle
from model.scratch import scratch_folder
from model.shown import counted
from model.storage import is_remote, open_storage, parse_place

if TYPE_CHECKING:
    from model.publishing.archive import Archive

ARCHIVE = "archive"
# Those of `model.export`, which the description of the command does not load.
FORMATS = (ARCHIVE, "onnx", "saved_model", "litert", "keras")


@click.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default=ARCHIVE, show_default=True, help="Format to export to."
)
@click.option(
    "--output",
    metavar="PATH",
    type=PathOrRemote(),
    help="File of the archive (also remote:path), or folder for the other formats. Default: MODEL.tar.xz, or "
    "MODEL-FORMAT, in the current folder.",
)
@json_option
@workspace_option
def export(name: str, form: str, output: Path | None, as_json: bool) -> None:
    """Export a trained model. MODEL is a name, or latest.

    \b
    archive      MODEL.tar.xz and MODEL.tar.xz.sha256: the whole model, for topgraft import. The
                 same model always gives the same bytes.
    onnx         for ONNX Runtime
    saved_model  for TensorFlow Serving
    litert       for LiteRT (TensorFlow Lite), on phones and small boards
    keras        for Keras 3

    The last four are written only if their predictions equal those of the model. The folder also
    contains the class names and an example program.
    """
    bundle = find_bundle(current_workspace(), name)
    answer = _export_archive(bundle, output) if form == ARCHIVE else _export_form(bundle, form, output)
    if as_json:
        print_json({"status": "done", "model": bundle.name, "format": form} | answer)


def _export_archive(bundle: Bundle, output: Path | None) -> dict[str, Any]:
    from model.publishing.archive import SUFFIX, write_archive

    path = output or Path(bundle.name + SUFFIX)
    has_folder = is_remote(str(path)) or path.absolute().parent.is_dir()
    if not path.name.endswith(SUFFIX) or not has_folder or path.is_dir():
        raise click.UsageError(
            f"--output: expected a file {SUFFIX} in an existing folder, received {quoted(str(path))}."
        )
    archive = _archive_in_storage(bundle, str(path)) if is_remote(str(path)) else write_archive(bundle, path)
    print_line(f"{archive.path}: {archive.size:,} bytes, {counted(len(archive.files), 'file')}", err=True)
    print_line(f"  sha256 {archive.sha256}", err=True)
    named = path if is_remote(str(path)) else f"./{path.name}" if is_remote(path.name) else path.name
    print_line(f"To import it elsewhere: topgraft import {named}", err=True)
    return {"path": archive.path, "sha256": archive.sha256, "size": archive.size, "files": list(archive.files)}


def _archive_in_storage(bundle: Bundle, where: str) -> "Archive":
    """Write the archive and its checksum to remote storage, as `topgraft push` does, under the given name."""
    from model.publishing.archive import write_archive
    from model.publishing.upload import require_space_for, send_archive

    place = parse_place(where)
    storage = open_storage(str(place.parent))
    require_space_for(bundle, storage)
    with scratch_folder("export") as directory, progress_display() as progress:
        archive = write_archive(bundle, directory / place.name)
        send_archive(archive, storage, progress)
    return dataclasses.replace(archive, path=Path(where))


def _export_form(bundle: Bundle, form: str, output: Path | None) -> dict[str, Any]:
    if output is not None and is_remote(str(output)):
        raise click.UsageError(
            f"--output: expected a folder on this machine for {form}, received {quoted(str(output))}. Only the archive "
            "can be written to remote storage."
        )
    from model.export.formats import export_form

    exported = export_form(bundle, form, output or Path(f"{bundle.name}-{form}"))
    print_line(
        f"{exported.directory}: probabilities differ from {bundle.name} by at most {exported.max_difference:.1e} on "
        f"{exported.compared_on}",
        err=True,
    )
    print_line(f"To test it: python {exported.directory / exported.program} PHOTO. The program:", err=True)
    print_text(f"\n{exported.usage}", err=True)
    return {
        "path": exported.directory,
        "max_difference": exported.max_difference,
        "compared_on": exported.compared_on,
        "usage": exported.usage,
    }
