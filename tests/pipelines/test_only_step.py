"""`topgraft pipeline run --only STEP`, which is the command of a pod."""

import json
from pathlib import Path

import pytest

from model.errors import ConfigError
from model.pipelines.local import run_pipeline
from model.pipelines.pipeline_file import read_pipeline
from tests.support.command import topgraft
from tests.support.notebooks import write_notebook, write_pipeline_file

STEPS = (
    "name: first, notebook: first.ipynb, outputs: [a.txt]",
    "name: second, notebook: second.ipynb, inputs: [a.txt], outputs: [b.txt], parameters: [unit]",
    "name: third, notebook: third.ipynb, inputs: [b.txt]",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    write_notebook(folder / "first.ipynb", "", "raise SystemExit(9)")
    write_notebook(folder / "second.ipynb", "unit = ''", "open('b.txt', 'w').write(open('a.txt').read() + unit)")
    write_notebook(folder / "third.ipynb", "", "raise SystemExit(9)")
    return write_pipeline_file(folder, ["unit: {type: String, default: m}"], STEPS)


@pytest.mark.slow  # kernels of Jupyter
def test_a_pod_runs_its_step_on_the_inputs_in_its_folder(file: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_text("3 ")
    command = ("pipeline", "run", file, "--only", "second", "--directory", work, "--parameter=unit=km")
    ran = topgraft(*command, "--json", "--workspace", tmp_path, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (work / "b.txt").read_text() == "3 km"
    assert [step["state"] for step in json.loads(ran.stdout)["steps"]] == ["not run", "done", "not run"]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("secnd", "--only: expected one of the steps first, second, third, received 'secnd'. Did you mean: second?"),
        ("second", "--only: expected a.txt in {work}, found none. Run first first: leave out --only"),
    ],
)
def test_a_step_that_cannot_run_is_refused(file: Path, tmp_path: Path, only: str, message: str) -> None:
    work = tmp_path / "work"
    with pytest.raises(ConfigError) as raised:
        run_pipeline(read_pipeline(file), {}, work, tmp_path, only=only)
    assert message.format(work=work) in raised.value.message


def test_only_and_from_exclude_each_other(file: Path, tmp_path: Path) -> None:
    ran = topgraft("pipeline", "run", file, "--only", "second", "--from", "first", cwd=tmp_path)
    assert (ran.returncode, "expected --from or --only" in ran.stderr) == (2, True)
