"""The configuration of pip reaches the build of the image, whatever it names."""

from pathlib import Path

import pytest

from tests.image.pip_mounts import CERTIFICATES, volumes


@pytest.fixture
def constraint(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.touch()
    return path


@pytest.mark.parametrize(
    "value", ["{}", "file://{}", "https://packages.example.org/simple {}"], ids=["a path", "a URL", "one of two"]
)
@pytest.mark.parametrize("key", ["constraint", "requirement", "client-cert", "find-links"])
def test_a_file_that_a_value_names_is_mounted(key: str, value: str, constraint: Path) -> None:
    listed = f"global.{key}={value.format(constraint)!r}\n"
    assert volumes("", listed, None) == {str(constraint): constraint}


def test_a_path_below_the_home_folder_is_mounted(constraint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(constraint.parent))
    assert volumes("", "global.constraint='~/constraints.txt'", None) == {str(constraint): constraint}


def test_several_paths_in_one_value_are_mounted(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("wheels", "more wheels")]
    for folder in folders:
        folder.mkdir()
    listed = f"global.find-links={f'{folders[0]}' + chr(10) + folders[1].as_uri()!r}"
    assert set(volumes("", listed, None).values()) == set(folders)


def test_the_whole_folder_of_a_local_index_is_mounted(tmp_path: Path) -> None:
    index = tmp_path / "index" / "simple"
    index.mkdir(parents=True)
    assert volumes("", f"global.index-url='file://{index}'", None) == {str(index.parent): index.parent}


def test_only_configuration_files_that_exist_are_mounted() -> None:
    report = "global:\n  /etc/pip.conf, exists: True\nuser:\n  /root/.pip/pip.conf, exists: False\n"
    assert volumes(report, "", None) == {"/etc/pip.conf": Path("/etc/pip.conf")}


def test_addresses_and_missing_files_are_not_mounted(tmp_path: Path) -> None:
    listed = f"global.index-url='https://packages.example.org/simple'\nglobal.constraint='{tmp_path / 'none'}'\n"
    assert volumes("", listed, None) == {}


@pytest.mark.parametrize("named", [CERTIFICATES, "other.pem"], ids=["the usual path", "another path"])
def test_certificates_named_in_the_configuration_are_mounted_once(named: str, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.touch()
    other = tmp_path / named
    other.touch() if named == "other.pem" else None
    found = volumes("", f"global.cert='{other}'\n:env:.cert='{other}'\n", own)
    assert found[CERTIFICATES] == own
    assert len(found) == len({CERTIFICATES, *[str(other)] * other.exists()})
