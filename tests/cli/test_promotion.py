"""`topgraft models promote` and `rollback`: choose the latest model."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.bundle_files import ONNX_MODEL
from model.cli.command import main
from model.errors import ConfigError
from model.promotion import PROMOTED, promote, read_history, roll_back
from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.small_model import write_small_model

Ask = Callable[..., int]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three models, `c` the newest, in the workspace of the command."""
    for name in "abc":
        write_small_model(tmp_path / "models" / name)
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    return tmp_path / "models"


def latest(models: Path) -> str:
    return find_bundle(Workspace(models.parent)).name


def test_rollback_restores_the_previous_promotion(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "a", "promoted": True}
    assert main(["models", "promote", "b"]) == 0
    assert latest(models) == "b"
    assert main(["models", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out) if row["promoted"]] == ["b"]
    assert main(["models", "rollback", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "a", "promoted": True}
    assert latest(models) == "a"
    assert main(["models", "rollback", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "c", "promoted": False}
    assert main(["models", "rollback"]) == 2
    assert "newest" in capsys.readouterr().err
    assert [entry.action for entry in read_history(Workspace(models.parent))] == ["promote"] * 2 + ["rollback"] * 2


def test_a_model_that_is_unknown_or_damaged_is_not_promoted(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((models / "a" / ONNX_MODEL).read_bytes())
    content[-1] ^= 1
    (models / "a" / ONNX_MODEL).write_bytes(content)
    assert main(["models", "promote", "a"]) == 4
    assert "sha256" in capsys.readouterr().err
    assert main(["models", "promote", "nosuch"]) == 4
    assert not (models / PROMOTED).exists()


def test_a_removed_promoted_model_is_skipped_with_a_warning(
    models: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["models", "promote", "a"]) == 0
    shutil.rmtree(models / "a")
    assert latest(models) == "c"
    assert "promoted model a does not exist any more" in caplog.text
    assert main(["models", "list"]) == 0
    assert "promoted model a does not exist any more" in capsys.readouterr().err


def test_a_damaged_history_is_never_overwritten(models: Path) -> None:
    workspace = Workspace(models.parent)
    for content in ("{", "[]", '{"history": [{"time": "", "action": "demote", "model": "a"}]}', '{"history": [1]}'):
        (models / PROMOTED).write_text(content)
        with pytest.raises(ConfigError, match=PROMOTED):
            promote(workspace, "b")
        with pytest.raises(ConfigError, match=PROMOTED):
            roll_back(workspace)
        assert (models / PROMOTED).read_text() == content
        assert latest(models) == "c"


def test_concurrent_promotions_are_all_kept(models: Path) -> None:
    workspace = Workspace(models.parent)
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda name: promote(workspace, name), "abcabcabcabcabcabc"))
    assert len(read_history(workspace)) == 18
    assert not [path for path in models.iterdir() if path.name.startswith(".")]
