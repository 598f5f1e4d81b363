"""Imports requested as trainings: from Swagger UI, or by the train command of a batch job."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import psutil
import pytest

from model.cli import main
from model.config import TrainConfig
from model.errors import ConfigError, ModelError
from model.registry import find_bundle, model_names
from model.runs.import_process import import_in_child
from model.workspace import Workspace
from tests.support.imgclas_models import NAME, small_network, write_folder
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return small_network()


@pytest.fixture
def folder(tmp_path: Path, network: keras.Model) -> Path:
    """A folder that can be imported."""
    return write_folder(tmp_path / NAME, network)


@pytest.mark.slow
def test_the_train_option_import_from_imports_a_model(
    workspace: Workspace, folder: Path, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import plugin

    monkeypatch.setenv("TOPGRAFT_HOME", str(workspace.root))
    monkeypatch.setenv("TOPGRAFT_TENSORBOARD", "0")
    result = plugin.train(import_from=str(folder), name="terns")
    assert (result["status"], result["model"], result["imported_from"]) == ("done", "terns", str(folder))
    find_bundle(workspace, "terns").verify()
    with pytest.raises(ConfigError, match="terns"):
        plugin.train(import_from=str(folder), name="terns")


def test_the_train_command_imports_a_model(
    workspace: Workspace, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--import-from", str(folder), "--name", "terns", "--workspace", str(workspace.root)]
    assert main(arguments) == 0
    assert "Imported terns in" in capfd.readouterr().out
    find_bundle(workspace, "terns").verify()


def test_importing_something_else_is_an_error_as_in_the_command(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found nothing"):
        import_in_child(TrainConfig(import_from=str(tmp_path / "nothing")), workspace)
    assert model_names(workspace) == []


def test_a_service_imports_from_no_url(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="topgraft import URL"):
        import_in_child(TrainConfig(import_from="https://127.0.0.1/model.tar.xz"), workspace)


def test_the_import_process_ends_with_its_parent(workspace: Workspace, folder: Path) -> None:
    code = (
        "import json, sys\nfrom pathlib import Path\n"
        "from model.config import TrainConfig\nfrom model.runs.import_process import import_in_child\n"
        "from model.workspace import Workspace\n"
        "import_in_child(TrainConfig(**json.loads(sys.argv[2])), Workspace(Path(sys.argv[1])))\n"
    )
    options = json.dumps({"import_from": str(folder), "name": "terns"})
    parent = subprocess.Popen([sys.executable, "-c", code, str(workspace.root), options])
    children = wait_until(psutil.Process(parent.pid).children, 60)
    parent.kill()
    parent.wait()
    psutil.wait_procs(children, timeout=5)
    assert not children[0].is_running()
    assert model_names(workspace) == []
