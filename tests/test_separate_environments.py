"""Environments of large tools are complete or absent, and made once."""

import threading
import zipfile
from pathlib import Path

import pytest

from tests.support.separate_environments import FOLDER, separate_environment

NAME = "tool"


def write_wheel(folder: Path, version: str) -> str:
    """Write a wheel with one module that states its version; return its address as a requirement."""
    wheel = folder / f"tiny_tool-{version}-py3-none-any.whl"
    about = f"tiny_tool-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_tool.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny-tool\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"tiny-tool @ {wheel.as_uri()}"


def installed_version(programs: Path) -> str:
    [module] = programs.parent.glob("lib/python3*/site-packages/tiny_tool.py")
    return module.read_text().partition("'")[2].strip("'\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    return tmp_path / "environments"


def test_an_environment_is_made_once_for_two_tests_at_the_same_time(tmp_path: Path) -> None:
    wheel, found = write_wheel(tmp_path, "1.0"), []
    threads = [threading.Thread(target=lambda: found.append(separate_environment(NAME, [wheel]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = (found[0].parent / "pyvenv.cfg").stat()
    again = separate_environment(NAME, [wheel])
    assert {again, *found} == {tmp_path / "environments" / NAME / "bin"}
    assert (again.parent / "pyvenv.cfg").stat() == made
    assert (installed_version(again), (again / "python").exists()) == ("1.0", True)


def test_another_version_replaces_an_environment(tmp_path: Path) -> None:
    separate_environment(NAME, [write_wheel(tmp_path, "1.0")])
    assert installed_version(separate_environment(NAME, [write_wheel(tmp_path, "2.0")])) == "2.0"


def test_an_environment_that_was_not_completed_is_made_again(tmp_path: Path, folder: Path) -> None:
    wheel = write_wheel(tmp_path, "1.0")
    (folder / NAME / "lib" / "half").mkdir(parents=True)
    assert installed_version(separate_environment(NAME, [wheel])) == "1.0"
    assert not (folder / NAME / "lib" / "half").exists()


def test_a_test_is_skipped_where_the_registry_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(pytest.skip.Exception, match=f"registry cannot be reached for {NAME}"):
        separate_environment(NAME, ["no-such-tool==1.0"])
    assert not (folder / NAME / "complete.txt").exists()


def test_a_test_fails_if_packages_contradict_each_other(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(AssertionError, match="uv pip of tool failed"):
        separate_environment(NAME, [write_wheel(tmp_path, "1.0"), write_wheel(tmp_path, "2.0")])
    assert not (folder / NAME / "complete.txt").exists()
