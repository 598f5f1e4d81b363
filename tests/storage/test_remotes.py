"""The common behaviour of all remotes: WebDAV, S3 and the local disk."""

import os
from pathlib import Path

import pytest

from model.errors import ConfigError, StorageError, StorageNotFoundError
from model.storage import Place, is_remote, open_storage, parse_place
from model.storage.rclone_queries import in_double_quotes, names_in
from tests.support.storage_servers import Fault, FaultyProxy, StorageServer

NASTY = "$(touch PWNED) `touch PWNED` \"'; touch PWNED # & é \u4e2d %20 -rf"


def test_a_file_is_pushed_listed_replaced_moved_pulled_and_deleted(root: str, tmp_path: Path) -> None:
    storage = open_storage(root)
    source, back = tmp_path / "source", tmp_path / "back" / "file"
    assert storage.entry() is None and not storage.exists("a/b.bin")
    for content in (b"first", b"the second"):
        source.write_bytes(content)
        storage.push(source, "a/b.bin")
        [entry] = storage.list()
        assert (entry.name, entry.size, entry.is_folder) == ("a/b.bin", len(content), False)
    storage.move("a/b.bin", "c/d.bin")
    assert [entry.name for entry in storage.list()] == ["c/d.bin"] and storage.exists("c")
    storage.fetch("c/d.bin", back)
    assert back.read_bytes() == b"the second"
    storage.remove("c/d.bin")
    assert not storage.exists("c/d.bin")
    with pytest.raises(StorageNotFoundError, match=r"c/d\.bin"):
        storage.fetch("c/d.bin", back)


def test_a_folder_is_pushed_and_pulled(root: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("1.bin", "deep/er/2.bin", "3 + ü.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    storage = open_storage(root)
    storage.push(folder, "set")
    storage.fetch("set", tmp_path / "back")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == [entry.name for entry in storage.list("set")]
    assert [(tmp_path / "back" / name).read_bytes().decode() for name in names] == names


def test_names_are_neither_executed_nor_changed(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = NASTY
    source = tmp_path / name
    source.write_bytes(b"content")
    storage = open_storage(f"{root}/{name}")
    storage.push(source, name)
    assert [entry.name for entry in storage.list()] == [name]
    assert names_in(storage.place()) == [name]
    storage.space()
    storage.fetch(name, tmp_path / "back" / name)
    assert (tmp_path / "back" / name).read_bytes() == b"content"
    assert not list(tmp_path.rglob("PWNED*"))


@pytest.mark.parametrize(
    "name", ["$(touch PWNED)", "`touch PWNED`", '"; touch PWNED; "', "a\\", "$HOME", "-n", "%20", "!x"]
)
def test_a_shell_reads_an_escaped_name_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    (tmp_path / "folder" / name / "inside").touch()
    assert names_in(f"{tmp_path}/folder/{name}") == ["inside"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_name_with_a_null_character_is_refused() -> None:
    with pytest.raises(StorageError, match="null"):
        in_double_quotes("a\0b")


@pytest.mark.parametrize("where", ["rshare:a/b", "my remote:x", "a.b-c_d+e@f:", "rshare:/a//b/./"])
def test_remotes_are_distinguished_from_paths(where: str) -> None:
    assert is_remote(where)
    assert not parse_place(where).path.startswith("/")


@pytest.mark.parametrize("where", ["photos", "/data/a:b", "./a:b", "https://host/x.zip", "", "data/x:y"])
def test_local_paths_and_urls_are_not_remotes(where: str) -> None:
    assert not is_remote(where)


@pytest.mark.parametrize(
    "where",
    [":local:/etc", "rshare,url=evil.example:x", "rshare:../other", "rshare:a/../../b", ":sftp,host=x:y"],
)
def test_remotes_that_could_leak_a_password_are_refused(where: str) -> None:
    with pytest.raises(ConfigError, match="remote:path"):
        open_storage(where)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\0b", "a\x7fb"])
def test_names_with_control_characters_are_refused(name: str, webdav: StorageServer) -> None:
    with pytest.raises(ConfigError, match="control characters"):
        open_storage(f"rshare:{name}")
    with pytest.raises(ConfigError, match="control characters"):
        open_storage("rshare:").exists(name)


def test_a_remote_path_has_name_and_parent() -> None:
    place = parse_place("rshare:a/b.tar")
    assert (str(place / "c"), place.name, str(place.parent)) == ("rshare:a/b.tar/c", "b.tar", "rshare:a")
    assert Place("rshare", "").name == "rshare"


def test_an_interrupted_pull_is_resumed_at_its_last_byte(proxy: FaultyProxy, tmp_path: Path) -> None:
    content = os.urandom(400_000)
    (proxy.upstream.folder / "large.bin").write_bytes(content)
    proxy.faults = [Fault("GET", "cut download", 3)]
    open_storage("rshare:").fetch("large.bin", tmp_path / "large.bin")
    assert (tmp_path / "large.bin").read_bytes() == content
    assert proxy.count("GET", 206) == 3, "all but the first asked for the rest only"
    assert os.listdir(tmp_path) == ["large.bin"]


def test_leftovers_of_killed_pushes_are_deleted_after_a_day(webdav: StorageServer, tmp_path: Path) -> None:
    source = tmp_path / "x.bin"
    source.write_bytes(b"x")
    folder = webdav.folder / "left"
    folder.mkdir()
    old, young = folder / ".x.bin.0123456789ab.uploading", folder / ".x.bin.ba9876543210.uploading"
    for path in (old, young):
        path.touch()
    os.utime(old, (1_700_000_000, 1_700_000_000))
    open_storage("rshare:left").push(source, "x.bin")
    assert sorted(os.listdir(folder)) == [young.name, "x.bin"]
