"""`import topgraft`: its names, the examples in its docstrings, and the code on the pages."""

import doctest
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import model
import topgraft
from model.errors import ConfigError, TopgraftError
from model.runs import start_run
from model.serving.predictor import Predictor
from tests.support.caches import new_cache
from tests.support.shapes import draw_shape, write_shapes

ROOT = Path(__file__).resolve().parent.parent
README, PYTHON_PAGE = ROOT / "README.md", ROOT / "docs" / "python.md"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> topgraft.Workspace:
    """A workspace with photos to train on and others to classify, and an interrupted training."""
    root = tmp_path_factory.mktemp("work")
    (root / "models").mkdir()
    write_shapes(root / "data" / "photos", 12)
    write_shapes(root / "data" / "new-photos", 2, seed=5)
    rng = np.random.default_rng(9)
    for name, shape in (("photo.jpg", "circle"), ("other.jpg", "square"), ("new-photo.jpg", "triangle")):
        draw_shape(shape, rng).save(root / name, quality=90)
    _write_labelled_photos(root)
    for name in ("circle", "square"):
        (root / "cutouts" / name).mkdir(parents=True)
        cutout = Image.new("RGBA", (60, 60))
        ImageDraw.Draw(cutout).ellipse((5, 5, 55, 55), (200, 80, 40, 255))
        cutout.save(root / "cutouts" / name / "cutout.png")
    workspace = topgraft.Workspace(root)
    run = start_run(topgraft.TrainConfig(dataset="photos", name="interrupted", image_size=96), workspace)
    with run.lock:
        run.end("interrupted", "The machine was switched off.")
    return workspace


def _write_labelled_photos(root: Path) -> None:
    """labels.json, an export of Label Studio with choices, and its photos in `labelled`."""
    (root / "labelled").mkdir()
    tasks = []
    for number in range(12):
        shape = ("circle", "square", "triangle")[number % 3]
        draw_shape(shape, np.random.default_rng(number)).save(root / "labelled" / f"{number}.jpg")
        result = {"type": "choices", "from_name": "shape", "to_name": "image", "value": {"choices": [shape]}}
        tasks.append(
            {
                "id": number,
                "data": {"image": f"/data/upload/1/0a1b2c3d-{number}.jpg"},
                "annotations": [{"id": number, "completed_by": 1, "result": [{"id": "r", **result}]}],
            }
        )
    (root / "labels.json").write_text(json.dumps(tasks), encoding="utf-8")


@pytest.fixture
def in_workspace(workspace: topgraft.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> topgraft.Workspace:
    """The workspace as the current directory."""
    monkeypatch.chdir(workspace.root)
    monkeypatch.delenv("TOPGRAFT_HOME", raising=False)
    monkeypatch.setenv("TOPGRAFT_CACHE", str(new_cache(workspace.root / "cache")))
    return workspace


def test_the_public_names_are_complete_and_sorted() -> None:
    assert topgraft.__all__ == sorted(topgraft.__all__)
    assert dir(topgraft) == topgraft.__all__
    for name in topgraft.__all__:
        assert getattr(topgraft, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        topgraft.fit  # noqa: B018
    assert topgraft.__version__ == model.__version__


def test_each_public_function_has_an_example() -> None:
    functions = [value for name in topgraft.__all__ if inspect.isfunction(value := getattr(topgraft, name))]
    assert [function.__name__ for function in functions if ">>> " not in str(function.__doc__)] == []


def failures_of(*documented: Any) -> int:
    """Run the examples in docstrings; what fails is printed."""
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for thing in documented:
        [example] = finder.find(thing, globs={"topgraft": topgraft})
        assert example.examples, thing
        runner.run(example)
    return runner.summarize(verbose=False).failed


@pytest.mark.slow
def test_the_examples_in_the_docstrings_run(in_workspace: topgraft.Workspace) -> None:
    # The first trains the model that the others use.
    one_model = (topgraft.train, topgraft.load, topgraft.predict, topgraft.evaluate, topgraft.check, Predictor.predict)
    archives = (topgraft.export_model, topgraft.import_model, topgraft.pack)
    assert failures_of(*one_model, topgraft.compare, *archives) == 0


def test_the_examples_of_datasets_in_the_docstrings_run(in_workspace: topgraft.Workspace) -> None:
    assert failures_of(topgraft.import_labels, topgraft.synthesize, topgraft.send_files, topgraft.featurize) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topgraft.import_labels("none.json", "out"), "source: no such file or folder: 'none.json'"),
        (
            lambda: topgraft.import_labels("labels.json", "out", epochs=3),
            "epochs: expected one of the options val_fraction",
        ),
        (
            lambda: topgraft.synthesize("cutouts", "procedural", "out", dataset="photos", epochs=3),
            "epochs: expected one of",
        ),
        (lambda: topgraft.pack("none", "none.tar"), "pack: expected a folder, received 'none'"),
        (lambda: topgraft.send_files(["none.csv"], "out"), "send_files: expected a file, found none: 'none.csv'"),
        (
            lambda: topgraft.send_files(["labels.json", "./labels.json"], "out"),
            "send_files: expected different file names, received 'labels.json' twice.",
        ),
        (lambda: topgraft.export_model("latest", "a.zip"), "expected a file ending in .tar.xz, received 'a.zip'"),
    ],
)
def test_arguments_of_data_functions_that_cannot_be_used_are_refused(
    in_workspace: topgraft.Workspace, call: Callable[[], object], message: str
) -> None:
    with pytest.raises(TopgraftError, match=re.escape(message)):
        call()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resume", "tune"])
def test_the_slow_examples_that_train_run(in_workspace: topgraft.Workspace, name: str) -> None:
    assert failures_of(getattr(topgraft, name)) == 0


def run_blocks(page: Path) -> dict[str, Any]:
    """Run the Python code on a page, block by block; the names that it defined."""
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for number, block in enumerate(blocks, 1):
        # A short search is enough to see that the code runs.
        exec(compile(block.replace("minutes=5", "minutes=0.1"), f"{page.name}, block {number}", "exec"), names)
    return names


@pytest.mark.slow
def test_the_code_on_the_python_page_runs(in_workspace: topgraft.Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_blocks(PYTHON_PAGE)
    assert names["result"].model == "tuned" and names["model"].bundle.name == "tuned"
    assert len(names["predictions"]) == 6
    printed = capsys.readouterr().out
    assert "Ready to train." in printed and "Did you mean: epochs" in printed and "check 36/36" in printed


@pytest.mark.slow
def test_the_code_in_the_readme_runs(in_workspace: topgraft.Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run_blocks(README)
    assert capsys.readouterr().out.splitlines()[-1] == "triangle"


def test_options_of_another_type_are_refused(in_workspace: topgraft.Workspace) -> None:
    with pytest.raises(ConfigError, match="epochs: expected one of the options images_directory"):
        topgraft.evaluate("latest", "photos", epochs=3)
