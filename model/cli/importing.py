"""`topgraft import`: a model that another module has trained."""

from pathlib import Path
from typing import Any

import click

from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import accuracy_line, print_json


@click.command("import")
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--name", default="", metavar="TEXT", help="Name of the new model. Default: that of the folder.")
@json_option
@workspace_option
def import_command(source: Path, name: str, as_json: bool) -> None:
    """Import a model trained by imgclas.

    SOURCE is its folder, with conf/, ckpts/ and dataset_files/, or a .tar.xz, .tar.gz, .tar or
    .zip of it. The new model answers as the original does on a photo brought to its size.
    """
    workspace = current_workspace()
    from model.training.tensorflow_import import import_tensorflow

    import_tensorflow()
    from model.training.imports.importing import import_model

    result = import_model(source, workspace, name)
    if as_json:
        print_json(result)
    else:
        click.echo("\n".join(_lines(result)))


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [f"Warning: {warning}." for warning in result["warnings"]]
    lines.append(f"Imported {result['model']} in {result['seconds']:.0f} s: {result['path']}")
    size = result["image_size"]
    lines.append(f"  {result['backbone']}, {result['classes']} classes, photos of {size} by {size} pixels")
    lines.append(f"  largest difference of a probability to the original network: {result['max_difference']:.1e}")
    if "val" in result["metrics"]:
        lines.append(f"  val, as its training measured: {accuracy_line(result['metrics']['val'])}")
    return lines
