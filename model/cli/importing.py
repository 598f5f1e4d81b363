"""`topgraft import`: import a model exported by Topgraft or trained by imgclas."""

import click

from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_lines, progress_display
from model.measurements import leading_accuracy
from model.shown import counted
from model.training_result import ImportResult


@click.command("import")
@click.argument("source", metavar="SOURCE", type=str)
@click.option("--name", default="", metavar="TEXT", help="Name of the new model. Default: name of the folder.")
@click.option("--sha256", default="", metavar="HEX", help="Expected checksum. Default: from ARCHIVE.sha256.")
@json_option
@workspace_option
def import_command(source: str, name: str, sha256: str, as_json: bool) -> None:
    """Import a model that was trained elsewhere.

    SOURCE is an archive written by topgraft export, or a model trained by imgclas: its folder, with
    conf/, ckpts/ and dataset_files/, or a .tar.xz, .tar.gz, .tar or .zip of it. It may be a path,
    https://..., or remote:path. All content is checked and treated as data, never as code.
    """
    workspace = current_workspace()
    from model.runs.import_run import import_model

    with progress_display() as progress:
        result = import_model(source, workspace, name, sha256, progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(_lines(result))


def _lines(result: ImportResult) -> list[str]:
    lines = [f"Warning: {warning}." for warning in result.warnings]
    lines.append(f"Imported {result.model} in {result.seconds:.0f} s: {result.path}")
    size = result.image_size
    lines.append(f"  {result.backbone}, {counted(result.classes, 'class')}, photos of {size} by {size} pixels")
    if result.max_difference is not None:
        lines.append(f"  maximum difference in probability from the original network: {result.max_difference:.1e}")
    accuracy = leading_accuracy(result.metrics)
    if accuracy is not None:
        lines.append(f"  measured by the original training: accuracy {accuracy}")
    return lines
