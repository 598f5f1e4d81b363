"""Files given as options: remote ones are read where supported and refused elsewhere."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from model.cli.command import topgraft
from model.errors import ConfigError, ModelDamagedError, StorageNotFoundError, StorageSettingsError
from model.importing.sources import local_source
from model.storage import is_remote
from tests.support.small_model import write_model


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this machine as the storage `kept:`, for rclone to read and write; and here an empty folder."""
    monkeypatch.setenv("RCLONE_CONFIG_KEPT_TYPE", "alias")
    monkeypatch.setenv("RCLONE_CONFIG_KEPT_REMOTE", str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "kept"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with the model `pets`."""
    write_model(tmp_path / "home" / "models" / "pets")
    return tmp_path / "home"


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(topgraft, [*arguments, "--workspace", str(home)], catch_exceptions=False)


def test_options_are_read_from_a_remote_file(kept: Path, home: Path) -> None:
    (kept / "pets.yaml").write_text("top_k: a dozen\n")
    with pytest.raises(ConfigError, match="a dozen"):
        run(home, "predict", "pets", "1.jpg", "--config", "kept:pets.yaml")
    with pytest.raises(StorageNotFoundError, match=r"kept:none\.yaml"):
        run(home, "predict", "pets", "1.jpg", "--config", "kept:none.yaml")
    assert "does not exist" in run(home, "predict", "pets", "1.jpg", "--config", "none.yaml").output


def test_a_model_is_exported_to_a_remote_and_its_checksum_verified(kept: Path, home: Path) -> None:
    ran = run(home, "export", "pets", "--output", "kept:models/other.tar.xz", "--json")
    answer = json.loads(ran.stdout)
    assert answer["path"] == "kept:models/other.tar.xz" and "topgraft import kept:models/other.tar.xz" in ran.stderr
    assert sorted(os.listdir(kept / "models")) == ["other.tar.xz", "other.tar.xz.sha256"]
    assert os.listdir() == []
    with local_source("kept:models/other.tar.xz") as path:
        assert path.stat().st_size == answer["size"]
    (kept / "models" / "other.tar.xz.sha256").write_text(f"{'0' * 64}  other.tar.xz\n")
    with pytest.raises(ModelDamagedError, match="expected the sha256 0000"), local_source("kept:models/other.tar.xz"):
        pass
    (kept / "models" / "other.tar.xz.sha256").unlink()
    with local_source("kept:models/other.tar.xz") as path:
        assert path.is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "pets", "--format", "onnx", "--output", "kept:pets-onnx"),
        ("child-module", "pets", "--weights-url", "https://h/x", "--sha256", "0", "--out", "kept:child"),
        (
            "child-module",
            "pets",
            "--weights-url",
            "https://h/x",
            "--sha256",
            "0",
            "--out",
            "o",
            "--sample",
            "kept:1.jpg",
        ),
        ("publish", "pets", "--to", "kept:models", "--out", "kept:child"),
        ("pull", "kept:photos", "kept:elsewhere"),
    ],
)
def test_a_remote_is_refused_where_a_local_path_is_required(arguments: tuple[str, ...], kept: Path, home: Path) -> None:
    ran = run(home, *arguments)
    assert ran.exit_code == 2 and "on this machine" in ran.output and os.listdir() == os.listdir(kept) == []


def test_a_remote_workspace_is_refused(kept: Path) -> None:
    ran = CliRunner().invoke(topgraft, ["models", "list", "--workspace", "kept:home"])
    assert ran.exit_code == 2 and "./kept:home" in ran.output


def test_an_output_to_an_unconfigured_remote_is_refused_before_any_work(home: Path) -> None:
    with pytest.raises(StorageSettingsError, match="RCLONE_CONFIG_NOWHERE_TYPE"):
        run(home, "tune", "--dataset", "none", "--output", "nowhere:pets.yaml")


def options_with_paths() -> dict[str, click.Path]:
    """The options and arguments of all commands that a command receives as a `Path`."""
    return {
        f"{name} {parameter.name}": parameter.type
        for name, command in topgraft.commands.items()
        for parameter in command.params
        if isinstance(parameter.type, click.Path) and parameter.type.type is Path
    }


@pytest.mark.parametrize("option", options_with_paths())
def test_a_local_file_with_a_colon_is_named_with_a_dot_and_a_slash(option: str, kept: Path) -> None:
    takes = options_with_paths()[option]
    named = Path("kept:1.yaml")
    named.mkdir() if not takes.file_okay else named.touch()
    path = takes.convert("./kept:1.yaml", None, None)
    assert not is_remote(str(path)) and path.samefile("./kept:1.yaml")


def test_an_archive_with_a_colon_in_its_name_is_exported_locally(kept: Path, home: Path) -> None:
    ran = run(home, "export", "pets", "--output", "./kept:1.tar.xz")
    assert sorted(os.listdir()) == ["kept:1.tar.xz", "kept:1.tar.xz.sha256"] and os.listdir(kept) == []
    assert "topgraft import ./kept:1.tar.xz" in ran.stderr


def test_options_are_read_from_a_file_with_a_colon_in_its_name(kept: Path, home: Path) -> None:
    Path("kept:1.yaml").write_text("top_k: a dozen\n")
    with pytest.raises(ConfigError, match="a dozen"):
        run(home, "predict", "pets", "1.jpg", "--config", "./kept:1.yaml")
