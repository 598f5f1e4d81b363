"""Names that are composed differently (NFC, NFD): compared after composition, and reported if they differ only so."""

import shutil
import unicodedata
from pathlib import Path

import pytest

from model.errors import DatasetError, StorageError
from model.files.packing import pack_folder
from model.storage import open_storage, pulling
from model.storage.pulling import pull
from tests.support.storage_servers import FaultyProxy, StorageServer, use

NAMES = ("e\u0301/1.jpg", "e\u0301/a\u0308_2.jpg", "b/n\u0303 3.jpg", "b/\u1112\u1161\u11ab.jpg", "b/4.jpg")


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def write(folder: Path, names: tuple[str, ...], content: bytes = b"a photo") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder with decomposed names, as macOS writes them."""
    write(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


@pytest.fixture
def remote(remote_folder: Path, local: Path) -> Path:
    """The same files in the storage as a Nextcloud keeps them: with composed names."""
    for name in NAMES:
        path = remote_folder / composed(name)
        path.parent.mkdir(exist_ok=True)
        shutil.copy2(local / name, path)
    return remote_folder


def test_a_folder_with_decomposed_names_is_pulled_again_without_a_change(remote: Path, local: Path) -> None:
    pulled = pull(f"rshare:{remote.name}", local)
    assert (pulled.way, pulled.files, pulled.only_here) == ("unchanged", len(NAMES), 0)
    assert names_in(local) == sorted(NAMES)


def test_a_changed_file_with_a_decomposed_name_is_replaced_and_not_doubled(remote: Path, local: Path) -> None:
    (remote / composed(NAMES[1])).write_bytes(b"another photo")
    pulled = pull(f"rshare:{remote.name}", local)
    assert (pulled.fetched, pulled.only_here) == (1, 0)
    assert names_in(local) == sorted(NAMES) and (local / NAMES[1]).read_bytes() == b"another photo"


def test_a_zip_replaces_files_with_decomposed_names(
    remote: Path, local: Path, webdav_process: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "_MIN_FILES_FOR_ZIP", 1)
    for name in NAMES:
        (remote / composed(name)).write_bytes(b"another photo")
    with FaultyProxy(webdav_process, zips=True) as proxy:
        use(monkeypatch, proxy.environment(vendor="nextcloud"))
        pulled = pull(f"rshare:{remote.name}", local)
    assert (pulled.way, pulled.fetched, pulled.only_here) == ("zip", len(NAMES), 0)
    assert names_in(local) == sorted(NAMES)
    assert {(local / name).read_bytes() for name in NAMES} == {b"another photo"}


def test_a_copy_of_the_cache_keeps_one_file_for_each_name(remote: Path, local: Path) -> None:
    write(local, ("b/old.jpg",))
    pull(f"rshare:{remote.name}", local, mirror=True)
    assert names_in(local) == sorted(NAMES)


def test_remote_names_that_differ_only_in_composition_are_both_pulled(remote_folder: Path, tmp_path: Path) -> None:
    write(remote_folder, ("e\u0301.jpg",), b"one")
    write(remote_folder, ("\u00e9.jpg",), b"the other")
    pull(f"rshare:{remote_folder.name}", tmp_path / "here")
    assert {path.read_bytes() for path in (tmp_path / "here").iterdir()} == {b"one", b"the other"}


@pytest.mark.parametrize("names", [("a/e\u0301.jpg", "a/\u00e9.jpg"), ("e\u0301/1.jpg", "\u00e9/2.jpg")])
def test_names_that_differ_only_in_composition_are_reported_before_an_upload(
    remote_folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    write(tmp_path / "photos", names)
    with pytest.raises(StorageError, match=r"e\\u0301.* and .*\\xe9"):
        open_storage(f"rshare:{remote_folder.name}").push(tmp_path / "photos", "set")
    assert list(remote_folder.iterdir()) == []
    with pytest.raises(DatasetError, match=r"e\\u0301.* and .*\\xe9"):
        pack_folder(tmp_path / "photos", tmp_path / "photos.tar")
    assert not (tmp_path / "photos.tar").exists()
