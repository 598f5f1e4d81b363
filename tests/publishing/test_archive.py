"""The archive of a model: reproducible, with the files of the manifest only."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from model.bundle import Bundle, open_bundle
from model.errors import ModelDamagedError
from model.publishing.archive import listed_checksums, write_archive


def test_the_same_model_is_packed_to_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    first = write_archive(bundle, tmp_path / "one.tar.xz")
    copy = tmp_path / "elsewhere" / bundle.name
    shutil.copytree(bundle.directory, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    second = write_archive(open_bundle(copy), tmp_path / "two.tar.xz")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()


def test_the_archive_has_the_files_of_the_manifest_without_time_and_owner(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.directory / "notes.txt").write_text("not listed")
    archive = write_archive(bundle, tmp_path / "colours.tar.xz")
    with tarfile.open(archive.path) as packed:
        members = packed.getmembers()
        names = [member.name for member in members]
        manifest = json.load(packed.extractfile("colours/manifest.json"))
        content = {member.name: packed.extractfile(member).read() for member in members}
    assert names == sorted(names) and f"{bundle.name}/notes.txt" not in names
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
        (0, 0, 0, "", 0o644)
    }
    assert {f"colours/{name}" for name in manifest["files"]} == set(names) - {"colours/manifest.json"}
    for name, record in manifest["files"].items():
        assert hashlib.sha256(content[f"colours/{name}"]).hexdigest() == record["sha256"]
    assert b"# colours" in content["colours/MODEL_CARD.md"]


def test_the_checksum_file_is_accepted_by_sha256sum(bundle: Bundle, tmp_path: Path) -> None:
    archive = write_archive(bundle, tmp_path / "colours.tar.xz")
    assert listed_checksums(archive.path) == (archive.sha256,)
    ran = subprocess.run(
        ["sha256sum", "--check", "colours.tar.xz.sha256"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0 and "OK" in ran.stdout


def test_a_damaged_model_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.directory / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelDamagedError, match=r"model\.onnx"):
        write_archive(bundle, tmp_path / "colours.tar.xz")
    assert list(tmp_path.glob("*.tar.xz*")) == []
