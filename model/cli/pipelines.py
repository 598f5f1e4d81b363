"""`topgraft pipeline`: run the steps of a pipeline on this machine."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.cli.options import LocalPath, current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_line, print_lines, status_display
from model.cli.pipeline_export import export_command
from model.received import quoted
from model.shown import counted

if TYPE_CHECKING:
    from model.pipelines.local import PipelineRun, StepRecord
    from model.pipelines.steps import Pipeline

RUNS = "runs"


@click.group(short_help="Run notebooks as the steps of a pipeline.")
def pipeline() -> None:
    """Run notebooks as the steps of a pipeline.

    PIPELINE is a file pipeline.yaml, its folder, or the name of a pipeline of Topgraft: see topgraft
    pipeline list.
    """


@pipeline.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the pipelines of Topgraft: folder, steps with their outputs, parameters with their defaults.

    Copy the folder of a pipeline to change it: a file pipeline.yaml is run by its path.
    """
    from model.pipelines.pipeline_file import included_pipelines, read_pipeline

    found = [read_pipeline(file) for file in included_pipelines().values()]
    if as_json:
        print_json({"pipelines": [_described(one) for one in found]})
        return
    print_lines(itertools.chain.from_iterable(map(_listed, found)))


@pipeline.command("run")
@click.argument("name", metavar="PIPELINE")
@click.option(
    "-p",
    "--parameter",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="Value of a parameter. Default: the environment variable of its name, else its default.",
)
@click.option("--from", "start", default="", metavar="STEP", help="Run this step, and only those that depend on it.")
@click.option("--only", default="", metavar="STEP", help="Run this step only, as a pod of a cluster does.")
@click.option(
    "--directory",
    metavar="FOLDER",
    type=LocalPath(file_okay=False, path_type=Path),
    help=f"Folder for the outputs and the executed notebooks. Default: {RUNS}/NAME in the workspace.",
)
@json_option
@workspace_option
def run_command(
    name: str, given: tuple[str, ...], start: str, only: str, directory: Path | None, as_json: bool
) -> None:
    """Run the steps of a pipeline that changed since they were last complete.

    The same command resumes a run that failed or was killed. The exit status is that of the failed
    step.
    """
    from model.pipelines.local import RUN_FILE, run_pipeline
    from model.pipelines.pipeline_file import find_pipeline, read_pipeline

    if start and only:
        raise click.UsageError("expected --from or --only, received both")
    parameters = _parameters(given)
    found = read_pipeline(find_pipeline(name))
    root = current_workspace().root
    folder = (directory or root / RUNS / found.name).absolute()
    with status_display() as show:
        numbers = {step.name: f"{number}/{len(found.steps)}" for number, step in enumerate(found.steps, 1)}

        def on_start(record: "StepRecord") -> None:
            show(f"{numbers[record.name]} {record.name}")

        def on_end(record: "StepRecord") -> None:
            show("")
            print_line(f"{numbers[record.name]} {_progress_line(record)}", err=True)

        result = run_pipeline(found, parameters, folder, root, start, only, on_start, on_end)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(_lines(result, folder / RUN_FILE))


def _parameters(given: tuple[str, ...]) -> dict[str, str]:
    """Names and texts of `-p NAME=VALUE`.

    Raises:
        UsageError: a text without `=`, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.UsageError(f"-p: expected NAME=VALUE, received {quoted(text)}")
        if name in found:
            raise click.UsageError(f"-p {name}: given twice")
        found[name] = value
    return found


def _progress_line(record: "StepRecord") -> str:
    sent = f"; sent {', '.join(record.sent)}" if record.sent else ""
    if record.state == "unchanged":
        return f"{record.name}: unchanged{sent}"
    line = f"{record.name}: {record.state} in {record.seconds or 0:.1f} s"
    sizes = [f"{name} ({content.size:,} bytes)" for name, content in record.outputs.items()]
    return (f"{line}: {', '.join(sizes)}" if sizes else line) + sent


def _lines(result: "PipelineRun", run_file: Path) -> list[str]:
    ran = [record.name for record in result.steps if record.state == "done"]
    unchanged = [record.name for record in result.steps if record.state == "unchanged"]
    return [
        f"{result.pipeline}: {counted(len(ran), 'step')} run, {len(unchanged)} unchanged, in {result.seconds:.1f} s",
        f"  outputs in {result.folder}",
        *([f"  sent to {result.destination}"] if result.destination else []),
        f"  details in {run_file}",
    ]


def _listed(one: "Pipeline") -> Iterator[str]:
    yield f"{one.name}: {one.description}"
    yield f"  folder: {one.file.parent}"
    yield "  steps:"
    for step in one.steps:
        yield f"    {step.name}: {step.notebook} writes {', '.join(step.outputs) or 'nothing'}"
    yield "  parameters:"
    for each in one.parameters:
        yield f"    {each.name}={'' if each.default is None else each.default}: {each.description}"


def _described(one: "Pipeline") -> dict[str, object]:
    return {
        "name": one.name,
        "description": one.description,
        "file": one.file,
        "steps": [step.name for step in one.steps],
        "parameters": {
            each.name: {"type": each.type, "default": each.default, "description": each.description}
            for each in one.parameters
        },
    }


pipeline.add_command(export_command)
