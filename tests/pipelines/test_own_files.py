"""Files of the user in the working folder of a run: they are never replaced."""

from pathlib import Path

import pytest

from model.errors import ConfigError, StepError
from model.pipelines.local import PipelineRun, run_pipeline
from model.pipelines.own_files import OwnFiles
from model.pipelines.pipeline_file import read_pipeline
from tests.support.notebooks import write_notebook, write_pipeline_file

pytest.importorskip("doit", reason="the extra `test` installs doit")
pytest.importorskip("papermill", reason="the extra `test` installs papermill")

STEPS = (
    "name: first, notebook: first.ipynb, outputs: [results.csv, out/], parameters: [photos], reads: [photos]",
    "name: second, notebook: second.ipynb, inputs: [results.csv], outputs: [deep/page.html]",
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user, with a pipeline in the folder next to it whose notebooks write the outputs."""
    steps = tmp_path / "steps"
    steps.mkdir()
    write_notebook(
        steps / "first.ipynb",
        "photos = ''",
        "import os, pathlib\nos.makedirs('out', exist_ok=True)\n"
        "pathlib.Path('out/a').touch()\npathlib.Path('results.csv').touch()",
    )
    write_notebook(
        steps / "second.ipynb", "", "import os\nos.makedirs('deep', exist_ok=True)\nopen('deep/page.html', 'w')"
    )
    write_pipeline_file(steps, ["photos: {type: String, default: ''}"], STEPS)
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def run(mine: Path, start: str = "", only: str = "", **given: str) -> PipelineRun:
    pipeline = read_pipeline(mine.parent / "steps" / "pipeline.yaml")
    return run_pipeline(pipeline, given, mine, mine.parent, start, only)


@pytest.mark.parametrize(
    "name", ["results.csv", "out/photo.jpg", "deep/page.html", "run.json", "notebooks/second.ipynb"]
)
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_file_of_the_user_is_kept_and_the_run_refused(mine: Path, name: str, attempts: int) -> None:
    (mine / name).parent.mkdir(exist_ok=True)
    (mine / name).write_text("mine")
    for _ in range(attempts):
        with pytest.raises(ConfigError, match=rf"already has {name.split('/photo')[0]}.*--directory"):
            run(mine)
    assert (mine / name).read_text() == "mine"
    assert {path.name for path in mine.iterdir()} == {name.split("/")[0], ".steps"}


def test_a_link_of_the_user_is_kept(mine: Path) -> None:
    (mine / "results.csv").symlink_to("gone")
    with pytest.raises(ConfigError, match=r"already has results\.csv"):
        run(mine)
    assert (mine / "results.csv").is_symlink()


@pytest.mark.parametrize("text", ["results.csv", "out", "out/a"])
def test_an_output_of_the_run_is_no_value_of_a_parameter(mine: Path, text: str) -> None:
    (mine / "out").mkdir()
    for name in ("out/a", "results.csv"):
        (mine / name).touch()
    (mine / ".steps").mkdir()
    OwnFiles(mine, mine / ".steps" / "written.json").add(["out/", "results.csv"])
    with pytest.raises(ConfigError, match="-p photos: expected a file or folder that this run does not replace"):
        run(mine, photos=str(mine / text))
    assert (mine / "out" / "a").exists() and (mine / "results.csv").exists()


def test_a_link_to_nothing_in_an_input_is_named_without_the_number_of_the_error(mine: Path) -> None:
    photos = mine.parent / "photos"
    photos.mkdir()
    (photos / "a.jpg").symlink_to("gone")
    with pytest.raises(StepError) as raised:
        run(mine, photos=str(photos))
    expected = f"step first: an input cannot be read: No such file or directory: '{photos / 'a.jpg'}'"
    assert raised.value.message == expected


@pytest.mark.slow  # kernels of Jupyter
def test_files_of_earlier_runs_are_replaced_and_those_of_other_steps_not_touched(mine: Path) -> None:
    (mine / "deep").mkdir()
    (mine / "deep" / "page.html").write_text("mine")
    assert run(mine, only="first").state == "done"
    assert run(mine, only="first").state == "done"
    with pytest.raises(ConfigError, match=r"already has deep/page\.html"):
        run(mine, start="second")
    assert (mine / "deep" / "page.html").read_text() == "mine"
