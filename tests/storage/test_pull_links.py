"""Pulling of datasets from public links."""

import json
from pathlib import Path

import pytest

from model.cli import main
from model.errors import FetchError
from model.storage.pulling import pull
from tests.support.http_server import Answer, serving
from tests.support.photos import zip_of

NAMED = {"Content-Disposition": "attachment; filename*=UTF-8''photos%20of%20m%C3%B6wen.zip", "ETag": '"1"'}


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


PHOTOS = zip_of(**{"cats/1.jpg": b"one", "dogs/2.jpg": b"two"})


@pytest.mark.parametrize("link", ["/s/AbC", "/index.php/s/AbC", "/s/AbC/download"])
def test_the_archive_of_a_public_link_is_unpacked_once(link: str, tmp_path: Path) -> None:
    path = "/index.php/s/AbC/download" if "index.php" in link else "/s/AbC/download"
    with serving({path: Answer(200, PHOTOS, headers=NAMED)}) as server:
        pulled = pull(f"{server.address}{link}", tmp_path / "photos")
        assert (pulled.way, pulled.files) == ("archive", 2)
        assert names_in(tmp_path / "photos") == ["cats/1.jpg", "dogs/2.jpg"]
        assert pull(f"{server.address}{link}", tmp_path / "photos").way == "unchanged"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_another_version_behind_the_link_is_pulled(tmp_path: Path) -> None:
    answer = Answer(200, PHOTOS, headers=dict(NAMED))
    with serving({"/s/AbC/download": answer}) as server:
        pull(f"{server.address}/s/AbC", tmp_path / "photos")
        answer.content, answer.headers["ETag"] = zip_of(**{"cats/1.jpg": b"another"}), '"2"'
        pulled = pull(f"{server.address}/s/AbC", tmp_path / "photos")
    assert (pulled.way, pulled.only_here) == ("archive", 1)
    assert (tmp_path / "photos" / "cats" / "1.jpg").read_bytes() == b"another"


def test_the_command_names_the_folder_after_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    with serving({"/s/AbC/download": Answer(200, PHOTOS, headers=NAMED)}) as server:
        assert main(["--workspace", str(tmp_path), "pull", f"{server.address}/s/AbC", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 2
    assert names_in(tmp_path / "data" / "photos of m\u00f6wen") == ["cats/1.jpg", "dogs/2.jpg"]


@pytest.mark.parametrize("name", ["../../evil.zip", "/etc/evil.zip", "..\\\\evil.zip", ".", ""])
def test_a_name_sent_by_the_server_is_no_path(name: str, tmp_path: Path) -> None:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    with serving({"/s/AbC/download": Answer(200, b"a text", headers=headers)}) as server:
        pull(f"{server.address}/s/AbC", tmp_path / "inside" / "photos")
    assert len(names_in(tmp_path / "inside" / "photos")) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["inside"]


def test_a_page_in_place_of_a_dataset_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    page = Answer(200, b"<!doctype html><input type='password'>", kind="text/html")
    with serving({"/s/AbC/download": page}) as server, pytest.raises(FetchError, match="asks for a password"):
        pull(f"{server.address}/s/AbC", tmp_path / "photos")
    assert not (tmp_path / "photos").exists()
