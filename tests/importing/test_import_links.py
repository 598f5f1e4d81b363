"""Import from links and remote storage: names in use are found before the download, shared folders are understood."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle
from model.errors import ConfigError, ModelDamagedError, ModelError
from model.files.archives import first_name
from model.importing import sources
from model.publishing.archive import write_archive
from model.registry import model_names
from model.runs.import_run import import_model
from model.workspace import Workspace
from tests.support.http_server import Answer, serving
from tests.support.photos import zip_of
from tests.support.storage_servers import use, webdav_server


def rest_must_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the beginning of a file may be read."""
    for name in ("file_sha256", "require_listed_sha256"):
        monkeypatch.setattr(sources, name, None)


@pytest.fixture
def archive(bundle: Bundle, tmp_path: Path) -> Path:
    (tmp_path / "published").mkdir()
    return write_archive(bundle, tmp_path / "published" / "renamed.tar.xz").path


@pytest.mark.parametrize("name", ["", "colours"], ids=["name of the archive", "given name"])
def test_a_name_in_use_is_found_before_a_link_is_downloaded(
    archive: Path, bundle: Bundle, other_workspace: Workspace, name: str
) -> None:
    shutil.copytree(bundle.directory, other_workspace.models / "colours")
    cut = Answer(200, archive.read_bytes(), breaks_after=70_000)
    cut.content = archive.read_bytes() + np.random.default_rng(0).bytes(500_000)
    with serving({"/s/AbC/download": cut}) as server:
        with pytest.raises(ConfigError, match="expected a name that is not in use, received 'colours'"):
            import_model(f"{server.address}/s/AbC", other_workspace, name)
        assert len(server.seen) == (0 if name else 1), "the transfer was not resumed"


def test_a_name_in_use_is_found_before_a_remote_file_is_downloaded(
    archive: Path, bundle: Bundle, other_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle.directory, other_workspace.models / "colours")
    rest_must_not_come(monkeypatch)
    with webdav_server(archive.parent) as server:
        use(monkeypatch, server.environment())
        with pytest.raises(ConfigError, match="not in use, received 'colours'"):
            import_model("rshare:renamed.tar.xz", other_workspace)


def test_an_invalid_name_is_refused_before_the_download(other_workspace: Workspace) -> None:
    with serving({}) as server, pytest.raises(ConfigError, match="at most 100 letters"):
        import_model(f"{server.address}/s/AbC", other_workspace, "../x")
    assert server.seen == []


def test_the_link_of_a_folder_with_one_archive_is_imported(archive: Path, other_workspace: Workspace) -> None:
    checksum = archive.with_name(f"{archive.name}.sha256").read_bytes()
    content = zip_of(**{"models/renamed.tar.xz": archive.read_bytes(), "models/renamed.tar.xz.sha256": checksum})
    with serving({"/index.php/s/AbC/download": Answer(200, content)}) as server:
        import_model(f"{server.address}/index.php/s/AbC", other_workspace)
    assert model_names(other_workspace) == ["colours"]


def test_the_checksum_in_a_shared_folder_is_checked(archive: Path, other_workspace: Workspace) -> None:
    content = zip_of(**{"m/a.tar.xz": archive.read_bytes(), "m/a.tar.xz.sha256": b"0" * 64 + b"  a.tar.xz\n"})
    with serving({"/s/AbC/download": Answer(200, content)}) as server, pytest.raises(ModelDamagedError, match="sha256"):
        import_model(f"{server.address}/s/AbC", other_workspace)


def test_the_link_of_a_folder_with_several_archives_names_them(archive: Path, other_workspace: Workspace) -> None:
    content = zip_of(**{f"models/{name}.tar.xz": archive.read_bytes() for name in ("a", "b")})
    names = r"models/a\.tar\.xz, models/b\.tar\.xz"
    with serving({"/s/AbC/download": Answer(200, content)}) as server, pytest.raises(ModelError, match=names):
        import_model(f"{server.address}/s/AbC", other_workspace)


def tarred(mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{mode}", format=tarfile.PAX_FORMAT) as packed:
        for name in ("möwen/model.keras", "möwen/other"):
            entry = tarfile.TarInfo(name)
            entry.size = 300_000
            packed.addfile(entry, io.BytesIO(np.random.default_rng(1).bytes(300_000)))
    return stream.getvalue()


PACKERS: dict[str, Callable[[], bytes]] = {mode: lambda mode=mode: tarred(mode) for mode in ("", "gz", "bz2", "xz")}
PACKERS["zip"] = lambda: zip_of(**{"möwen/model.keras": b"x" * 300_000})


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_the_first_name_is_read_from_the_beginning_of_every_kind_of_archive(pack: Callable[[], bytes]) -> None:
    content = pack()
    # bzip2 packs blocks of 900 kB.
    beginning = content if content.startswith(b"BZh") else content[: 1 << 16]
    assert first_name(beginning) == "möwen/model.keras"
    for length in (0, 3, 20, 40, 100):
        assert first_name(content[:length]) in (None, "möwen/model.keras")


def test_other_content_has_no_first_name() -> None:
    for content in (b"", b"text", b"\x1f\x8b" + bytes(100), b"\xfd7zXZ\x00" + bytes(100), b"PK\x03\x04", bytes(2000)):
        assert first_name(content) is None
