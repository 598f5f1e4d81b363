"""`topgraft pipeline export`: a pipeline as a file of Elyra or Argo Workflows."""

import shlex
from pathlib import Path

import click

from model.cli.options import LocalPath, json_option
from model.cli.output import EXIT_LIMIT, print_json, print_line
from model.received import quoted


@click.command("export")
@click.argument("name", metavar="PIPELINE")
@click.option("--to", "form", type=click.Choice(["elyra", "argo"]), required=True, help="The file to write.")
@click.option(
    "--output",
    metavar="FILE",
    type=LocalPath(dir_okay=False, path_type=Path),
    help="Default: NAME.pipeline or NAME.argo.yaml in the folder of the pipeline.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with status 6 if the file is missing or differs.")
@json_option
def export_command(name: str, form: str, output: Path | None, check: bool, as_json: bool) -> None:
    """Write a pipeline as a file for Elyra, or as documents for Argo Workflows.

    The same pipeline gives the same bytes. Only a file that this command wrote is replaced. Elyra
    finds the notebooks only if the file is in the folder of the pipeline.
    """
    from model import durable
    from model.pipelines.exports import check_own, export_text, exported_file, is_current
    from model.pipelines.pipeline_file import find_pipeline, read_pipeline

    found = read_pipeline(find_pipeline(name))
    path = output or exported_file(found, form)
    text = export_text(found, form)
    current = is_current(path, text)
    if not check and not current:
        check_own(path, form)
        durable.write_text(path, text)
    if as_json:
        print_json({"pipeline": found.name, "to": form, "file": str(path), "changed": not current})
    elif not check:
        print_line(f"{path}: {'unchanged' if current else 'written'}")
    if check and not current:
        problem = "differs from" if path.exists() else "is missing for"
        command = ["topgraft", "pipeline", "export", name, "--to", form]
        if output is not None:
            command += ["--output", str(output)]
        remedy = " ".join(shlex.quote(quoted(part)[1:-1]) for part in command)
        print_line(f"{path} {problem} {found.file}. Write it with: {remedy}", err=True)
        click.get_current_context().exit(EXIT_LIMIT)
