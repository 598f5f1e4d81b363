"""Runs of pipelines on this machine, with real notebooks: skipped steps, failures, kills and locks."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from model.errors import ConfigError, StepError
from model.locks import FileLock
from model.pipelines.local import PipelineRun, run_pipeline
from model.pipelines.pipeline_file import read_pipeline
from tests.support.command import COMMAND, environment_of_tests, topgraft
from tests.support.notebooks import write_notebook, write_pipeline_file
from tests.support.waiting import wait_until

pytest.importorskip("doit", reason="the extra `test` installs doit")
pytest.importorskip("papermill", reason="the extra `test` installs papermill")

LOG = "open('log', 'a').write({name!r} + ' ')\n"
STEPS = (
    "name: draw, notebook: draw.ipynb, outputs: [new signs/], parameters: [size]",
    "name: count, notebook: count.ipynb, inputs: [new signs/], outputs: [count.txt], parameters: [unit]",
    "name: print, notebook: print.ipynb, inputs: [count.txt], outputs: [page.html]",
)
# Of `draw`, sizes of the same ten give the same signs.
DRAW = "import pathlib\npathlib.Path('new signs').mkdir()\npathlib.Path('new signs/a').write_text('o' * (size // 10))"
COUNT = "import pathlib\npathlib.Path('count.txt').write_text(f\"{len(open('new signs/a').read())} {unit}\")"
PRINT = "import pathlib\npathlib.Path('page.html').write_text(open('count.txt').read())"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline of three steps in a folder with a space in its name; each step writes its name to `log`."""
    folder = tmp_path / "my steps"
    folder.mkdir()
    for name, parameters, code in (
        ("draw", "size = 10", DRAW),
        ("count", "unit = ''", COUNT),
        ("print", "", PRINT),
    ):
        write_notebook(folder / f"{name}.ipynb", parameters, LOG.format(name=name) + code)
    return write_pipeline_file(
        folder, ["size: {type: Integer, default: 10}", "unit: {type: String, default: signs}"], STEPS
    )


def run(file: Path, start: str = "", **given: str) -> PipelineRun:
    """Run the pipeline in a folder next to it."""
    return run_pipeline(read_pipeline(file), given, working_folder(file), file.parent, start)


def working_folder(file: Path) -> Path:
    return file.parent.parent / "run of it"


def states(result: PipelineRun) -> list[str]:
    return [record.state for record in result.steps]


def logged(file: Path) -> list[str]:
    """Names of the steps in the order in which they ran."""
    return (working_folder(file) / "log").read_text().split()


@pytest.mark.slow  # kernels of Jupyter
def test_a_step_runs_only_if_something_that_it_reads_changed(file: Path) -> None:
    assert states(run(file)) == ["done", "done", "done"]
    assert states(run(file)) == ["unchanged", "unchanged", "unchanged"]
    # Its output is the same: the steps after it are not run.
    assert states(run(file, size="11")) == ["done", "unchanged", "unchanged"]
    assert states(run(file, size="11", unit="boards")) == ["unchanged", "done", "done"]
    (working_folder(file) / "page.html").unlink()
    assert states(run(file, size="11", unit="boards")) == ["unchanged", "unchanged", "done"]
    assert states(run(file, "count", size="11", unit="boards")) == ["not run", "done", "unchanged"]
    assert (working_folder(file) / "page.html").read_text() == "1 boards"
    file.write_text(file.read_text().replace("outputs: [page.html]", "outputs: [page.html], environment: {UNIT: m}"))
    assert states(run(file, size="11", unit="boards")) == ["unchanged", "unchanged", "done"]
    written = json.loads((working_folder(file) / "run.json").read_text())
    assert written["state"] == "done" and written["parameters"]["unit"] == {"value": "boards", "source": "command line"}
    assert written["steps"][1]["outputs"]["count.txt"]["size"] == len("1 boards")


@pytest.mark.slow  # kernels of Jupyter
@pytest.mark.parametrize(
    ("code", "expected", "status"),
    [
        ("from model.errors import DatasetError\nraise DatasetError('no photos')", "DatasetError: no photos", 3),
        ("raise SystemExit(7)", "SystemExit: 7", 7),
        ("import os\nos.kill(os.getpid(), 9)", "the kernel ended", 1),
    ],
)
def test_a_notebook_that_fails_in_cell_3_names_it_with_its_output_and_is_resumed(
    file: Path, code: str, expected: str, status: int
) -> None:
    notebook, good = file.parent / "count.ipynb", (file.parent / "count.ipynb").read_text()
    write_notebook(notebook, "unit = ''", "print('2 photos read')", f"print('almost there', flush=True)\n{code}", "1/0")
    command = ("pipeline", "run", file, "--directory", working_folder(file), "--json", "--workspace", file.parent)
    failed = topgraft(*command, cwd=file.parent)
    assert failed.returncode == status
    assert f"step count failed in code cell 3 of {notebook}: {expected}" in failed.stderr
    assert "2/3 count: failed in" in failed.stderr
    if "SIGKILL" not in expected and "kernel" not in expected:
        assert "almost there" in failed.stderr and "2 photos read" not in failed.stderr
    assert json.loads(failed.stdout)["exit_status"] == status
    written = json.loads((working_folder(file) / "run.json").read_text())
    assert written["state"] == "failed" and written["exit_status"] == status
    assert [step["state"] for step in written["steps"]] == ["done", "failed", "pending"]
    assert "code cell 3" in written["steps"][1]["error"]
    notebook.write_text(good)
    resumed = topgraft(*command, cwd=file.parent)
    assert resumed.returncode == 0, resumed.stderr
    assert [step["state"] for step in json.loads(resumed.stdout)["steps"]] == ["unchanged", "done", "done"]


@pytest.mark.slow  # kernels of Jupyter
def test_an_output_that_a_step_does_not_write_is_an_error(file: Path) -> None:
    write_notebook(file.parent / "draw.ipynb", "size = 1", "import os\nos.mkdir('new signs')")
    with pytest.raises(StepError, match=r"step draw: expected the outputs new signs/ in .*run of it after its 2 code"):
        run(file)
    # What an earlier run has left does not count as written.
    (working_folder(file) / "new signs" / "a").write_text("o")
    write_notebook(file.parent / "draw.ipynb", "size = 1", "pass")
    with pytest.raises(StepError, match="expected the outputs new signs/"):
        run(file)


@pytest.mark.slow  # kernels of Jupyter
def test_a_run_killed_in_each_step_is_resumed_by_the_same_command(file: Path) -> None:
    folder = working_folder(file)
    folder.mkdir()
    names = ("draw", "count", "print")
    for name in names:
        notebook = file.parent / f"{name}.ipynb"
        wait = f"import os, time\nwhile not os.path.exists('go-{name}'): time.sleep(0.05)\n"
        content = json.loads(notebook.read_text())
        content["cells"][1]["source"] = content["cells"][1]["source"].replace("\n", f"\n{wait}", 1)
        notebook.write_text(json.dumps(content))
    for name in names:
        kill_when_last_in_log(name, file)
        assert json.loads((folder / "run.json").read_text())["state"] == "running"
        # The next run finishes this step, and is killed in the step after it.
        (folder / f"go-{name}").touch()
    assert states(run(file)) == ["unchanged", "unchanged", "done"]
    # Each step that was killed ran twice, and no complete one again.
    assert logged(file) == ["draw", "draw", "count", "count", "print", "print"]


def kill_when_last_in_log(name: str, file: Path) -> None:
    """Start a run, kill it with SIGKILL in the step of this name, and wait until its kernel has ended, too."""
    log = working_folder(file) / "log"
    runs = logged(file).count(name) if log.exists() else 0
    command = ("pipeline", "run", str(file), "--directory", str(working_folder(file)), "--workspace", str(file.parent))
    child = subprocess.Popen(
        [*COMMAND, *command], cwd=file.parent, env=environment_of_tests(file.parent), stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: log.exists() and logged(file).count(name) > runs, 120, child)
        kernels = processes_in(working_folder(file))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert kernels
    wait_until(lambda: not any(os.path.exists(f"/proc/{kernel}") for kernel in kernels), 30)


def processes_in(folder: Path) -> list[str]:
    """IDs of the processes whose working folder this is: kernels."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_two_runs_at_once_in_a_folder_are_refused(file: Path) -> None:
    state = working_folder(file) / ".steps"
    state.mkdir(parents=True)
    with (
        FileLock.take(state / "lock", "none"),
        pytest.raises(ConfigError, match="another run of a pipeline uses this folder"),
    ):
        run(file)
    assert not (working_folder(file) / "run.json").exists()


@pytest.mark.parametrize(
    ("start", "given", "expected"),
    [
        ("", {"sizes": "3"}, "-p sizes: expected one of the parameters size, unit. Did you mean: size?"),
        ("", {"size": "big"}, "-p size: expected a whole number (Integer), received 'big'."),
        ("prnt", {}, "--from: expected one of the steps draw, count, print, received 'prnt'. Did you mean: print?"),
        ("print", {}, "expected count.txt in {folder}, found none. Run count first: leave out --from"),
    ],
)
def test_what_cannot_run_is_refused_before_a_step_runs(
    file: Path, start: str, given: dict[str, str], expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        run(file, start, **given)
    assert expected.format(folder=working_folder(file)) in raised.value.message
    assert not (working_folder(file) / "log").exists() and not (working_folder(file) / "run.json").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_in_words(file: Path) -> None:
    working_folder(file).write_text("mine")
    with pytest.raises(ConfigError) as raised:
        run(file)
    expected = f"expected a folder for the run, received '{working_folder(file)}': Not a directory"
    assert raised.value.message == expected and working_folder(file).read_text() == "mine"


def test_a_notebook_with_another_parameter_than_its_step_is_refused_before_a_step_runs(file: Path) -> None:
    write_notebook(file.parent / "count.ipynb", "units = ''", COUNT)
    with pytest.raises(ConfigError, match=r"count.ipynb: expected a cell with the tag 'parameters' that assigns unit"):
        run(file)
    assert not working_folder(file).exists()
