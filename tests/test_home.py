"""Folders of the user, with and without a home folder that can be written to."""

import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model import home
from model.environment import CACHE, KERAS_HOME
from model.environment_variable import Variable
from model.errors import ConfigError
from model.home import expand_home, folder_in_home, prepare_home, prepare_keras
from model.networks.keras_weights import weights_directory
from model.storage import open_storage
from model.workspace import Workspace, cache_directory, find_workspace

FOLDERS = [CACHE, KERAS_HOME]


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test, in which private folders are made."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for variable in FOLDERS:
        monkeypatch.delenv(variable.name, raising=False)
    _forget()
    yield folder / f"topgraft-home-{os.geteuid()}"
    _forget()


def _forget() -> None:
    home._replacement.cache_clear()
    home._private_folder.cache_clear()


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user ID without a name."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])


def is_private(folder: Path) -> bool:
    return stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", FOLDERS, ids=lambda variable: variable.name)
def test_folders_are_in_the_home_folder(
    variable: Variable[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_in_home(variable) == variable.default.expanduser()
    assert tmp_path in folder_in_home(variable).parents


@pytest.mark.parametrize("variable", FOLDERS, ids=lambda variable: variable.name)
@pytest.mark.parametrize("kind", ["unknown", "not a folder", "not writable"])
def test_private_temporary_folders_are_used_without_a_home_folder(
    kind: str,
    variable: Variable[Path],
    private: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if kind == "unknown":
        without_home(monkeypatch)
    elif kind == "not a folder":
        (tmp_path / "home").touch()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    else:
        monkeypatch.setenv("HOME", "/proc/1")
    caplog.set_level(logging.WARNING)
    assert folder_in_home(variable) == folder_in_home(variable) == private / variable.name.lower()
    assert is_private(private)
    [message] = caplog.messages
    assert f"Set {variable.name} to a folder that lasts." in message


def test_a_private_folder_that_another_user_made_first_is_not_used(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private.mkdir(mode=0o777)
    private.chmod(0o777)
    without_home(monkeypatch)
    found = cache_directory()
    assert private not in found.parents and is_private(found.parent)


def test_a_link_in_place_of_the_private_folder_is_not_followed(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private.symlink_to(tmp_path, target_is_directory=True)
    without_home(monkeypatch)
    assert private not in cache_directory().parents and is_private(cache_directory().parent)


def test_a_chosen_folder_is_kept_even_if_it_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE.name, "/proc/1/cache")
    assert cache_directory() == Path("/proc/1/cache")


def test_without_any_writable_folder_the_message_names_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_home(monkeypatch)
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"Set TOPGRAFT_CACHE .* and TMPDIR"):
        cache_directory()


@pytest.mark.parametrize(
    "read",
    [
        lambda path: find_workspace(path),
        lambda path: Workspace(Path("/nowhere")).find_dataset(path),
        lambda path: open_storage(path),
        lambda path: expand_home(path),
    ],
    ids=["workspace", "dataset", "storage", "path"],
)
@pytest.mark.parametrize("path", ["~/photos", "~no-such-user/photos"])
def test_a_path_in_an_unknown_home_folder_is_refused(
    path: str, read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_home(monkeypatch)
    monkeypatch.setattr("pwd.getpwnam", lambda _: {}["no such user"])
    with pytest.raises(ConfigError, match=f"{path}: the home folder is unknown. Set the variable HOME"):
        read(path)


@pytest.mark.parametrize("value", [None, "", "  "], ids=["not set", "empty", "blank"])
def test_libraries_get_a_home_folder(value: str | None, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    if value is not None:
        monkeypatch.setenv("HOME", value)
    prepare_home()
    assert Path.home() == private and is_private(private)


def test_a_home_folder_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/1")
    prepare_home()
    assert os.environ["HOME"] == "/proc/1"


def test_keras_uses_the_folder_in_which_weights_are_looked_for(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    monkeypatch.setenv(KERAS_HOME.name, "")
    prepare_keras()
    assert Path(os.environ[KERAS_HOME.name]) / "models" == weights_directory()
    assert private in weights_directory().parents
