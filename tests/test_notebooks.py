"""The notebooks: up to date with their percent files, without outputs, and each runs on a small dataset."""

import importlib
import json
import resource
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.shapes import write_shapes

pytest.importorskip("jupytext", reason="the extra `test` installs jupytext")
papermill = pytest.importorskip("papermill", reason="the extra `test` installs papermill")

NOTEBOOKS = ROOT / "notebooks"
STEPS = ROOT / "pipelines" / "traffic-signs"
NAMES = ("explore", "train", "predictions", "explain")
STEP_NAMES = ("labeling-extraction", "synthetic-data", "transfer-learning", "comparison")
FILES = [*(NOTEBOOKS / name for name in NAMES), *(STEPS / name for name in STEP_NAMES)]
# Of the processor: seconds of the clock depend on what else the machine does.
SECONDS = 60
TRAIN_OPTIONS = {"image_size": 96, "epochs": 20}


def test_all_notebooks_are_tested() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.py")) == sorted(NAMES)
    assert sorted(path.stem for path in STEPS.glob("*.py")) == sorted(STEP_NAMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_notebook_is_up_to_date_and_has_no_outputs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    generator = importlib.import_module("write_notebooks")
    written = file.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert written == generator.notebook_text(file.with_suffix(".py")), "run: python docs/write_notebooks.py"
    assert all(not cell.get("outputs") for cell in json.loads(written)["cells"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_notebook_holds_no_logic(file: Path) -> None:
    source = file.with_suffix(".py").read_text(encoding="utf-8")
    # A given base model is imported instead of trained.
    lines = [line for line in source.splitlines() if line != "if base:"]
    assert [line for line in lines if line.startswith(("def ", "class ", "while ", "try:", "if "))] == []


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 39 photos to train on and 12 others, and the model that train.ipynb has trained there."""
    root = tmp_path_factory.mktemp("notebooks")
    (root / "models").mkdir()
    write_shapes(root / "data" / "photos", 13)
    write_shapes(root / "data" / "new-photos", 4, seed=5)
    run("train", root, options=TRAIN_OPTIONS)
    return root


@pytest.mark.slow  # kernels of Jupyter, and a whole training
def test_the_training_writes_a_model_only(workspace: Path) -> None:
    assert (workspace / "models" / "from-notebook" / "report.html").is_file()
    assert {path.split("/")[0] for path in files(workspace)} == {"data", "models"}
    written = {path for path in files(workspace / "models") if not path.startswith((".", "from-notebook/"))}
    assert written == set()


@pytest.mark.slow  # kernels of Jupyter, and a whole training
@pytest.mark.parametrize("name", ["explore", "predictions", "explain"])
def test_a_notebook_runs_shows_pictures_and_writes_nothing(name: str, workspace: Path) -> None:
    before = files(workspace)
    outputs = run(name, workspace)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert files(workspace) == before


def run(name: str, root: Path, **parameters: object) -> list[dict]:
    """Run a notebook in a kernel of its own, in the folder of the workspace; returns the outputs of all cells."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outside = root.parent / f"{root.name}-outside"
    outside.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("IPYTHONDIR", str(outside))
        changed.delenv("TOPGRAFT_HOME", raising=False)
        executed = papermill.execute_notebook(
            str(NOTEBOOKS / f"{name}.ipynb"), None, parameters, cwd=str(root), progress_bar=False
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    return [output for cell in executed.cells for output in cell.get("outputs", [])]


def files(root: Path) -> dict[str, float]:
    """Modification times of all files."""
    return {str(path.relative_to(root)): path.stat().st_mtime for path in root.rglob("*") if path.is_file()}
