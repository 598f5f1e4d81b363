"""The commands of the real Elyra, from an environment of its own.

All run in one process, because its imports take 14 s of processor time.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.command import ROOT
from tests.support.separate_environments import separate_environment

PACKAGES = ("elyra-server==4.1.1",)
SECONDS = 600

_PROGRAM = """
import contextlib, io, json, os, pathlib, sys

from click.testing import CliRunner
from elyra.cli.pipeline_app import pipeline
from elyra.metadata.metadata_app import MetadataApp


def metadata(arguments):
    sys.argv = ["elyra-metadata", *arguments]
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            MetadataApp.main()
    except SystemExit as error:
        return error.code or 0, output.getvalue()
    return 0, output.getvalue()


def command(arguments):
    result = CliRunner().invoke(pipeline, arguments)
    return result.exit_code, result.output + (repr(result.exception) if result.exception else "")


orders, answers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
results = []
for program, arguments, variables, folder in json.loads(orders.read_text()):
    os.environ.update(variables)
    if folder:
        os.makedirs(folder, exist_ok=True)
    results.append(metadata(arguments) if program == "elyra-metadata" else command(arguments))
    for name in variables:
        del os.environ[name]
answers.write_text(json.dumps(results))
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of Elyra.

    Attributes:
        program: elyra-pipeline or elyra-metadata.
        variables: environment variables of this command.
        folder: created before the command; empty for none.
    """

    arguments: Sequence[str]
    program: str = "elyra-pipeline"
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folder: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """Exit status and output of a command."""

    exit_status: int
    output: str


def runtime_folder(home: Path) -> Path:
    """JUPYTER_RUNTIME_DIR of the commands, which Elyra needs with a runtime configuration, and does not create."""
    return home / "data" / "runtime"


def run_elyra(home: Path, work: Path, commands: Mapping[str, Command]) -> dict[str, Result]:
    """Run commands, in this order, in the folder `work`; results have the names of the commands.

    Args:
        home: folder for the settings of Jupyter. Notebooks run in the Python of the tests.
    """
    python = separate_environment("elyra", PACKAGES) / "python"
    _write_kernel(home / "kernels" / "python3")
    orders, answers = home / "orders.json", home / "answers.json"
    orders.write_text(
        json.dumps([[one.program, list(one.arguments), dict(one.variables), one.folder] for one in commands.values()])
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER", "ELYRA"))}
    environment = kept | {
        "PATH": f"{python.parent}{os.pathsep}{kept['PATH']}",
        # Its kernels come before those of the environment of Elyra.
        "JUPYTER_PATH": str(home),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(runtime_folder(home)),
        "IPYTHONDIR": str(home / "ipython"),
    }
    ran = subprocess.run(
        [python, "-c", _PROGRAM, orders, answers],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = [Result(status, output) for status, output in json.loads(answers.read_text())]
    return dict(zip(commands, results, strict=True))


def _write_kernel(folder: Path) -> None:
    """The kernel specification of the Python of the tests."""
    folder.mkdir(parents=True)
    specification = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "env": {"PYTHONPATH": str(ROOT)},
    }
    (folder / "kernel.json").write_text(json.dumps(specification))
