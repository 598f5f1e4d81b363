"""Messages about archives name the archive, never the temporary folder into which it was unpacked."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.dataset.verdict import Verdict
from model.errors import DatasetError
from tests.support.photos import photo, write_photos


def _zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def _tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


PHOTOS = {f"{name}/{index}.jpg": photo(20 * index) for name in ("cat", "dog") for index in range(3)}
LISTS = {"dataset_files/classes.txt": b"cat\ndog\n", "images/1.jpg": photo()}
BAD: dict[str, Mapping[str, bytes]] = {
    "no photos": {"readme.txt": b"nothing"},
    "one class": {"cat/1.jpg": photo()},
    "bad lists": LISTS | {"dataset_files/train.txt": b"1.jpg 0\nmissing.jpg 1\n1.jpg 7\n"},
    "wrapped": {f"wrapped/{name}": content for name, content in {"one/1.jpg": photo(), "notes.txt": b""}.items()},
    "damaged photos": {"cat/1.jpg": b"damaged", "dog/1.jpg": photo()},
    "changed after packing": PHOTOS
    | {".topgraft-index.json": b'{"format": 1, "files": [{"name": "x.jpg", "size": 1, "sha256": "0"}]}'},
}


@pytest.mark.parametrize("write", [_zip, _tar])
@pytest.mark.parametrize("kind", BAD)
def test_errors_name_the_archive(kind: str, write: Callable[[Path, Mapping[str, bytes]], None], tmp_path: Path) -> None:
    archive, work = tmp_path / "mine.archive", tmp_path / "work"
    work.mkdir()
    write(archive, BAD[kind])
    with pytest.raises(DatasetError) as refused:
        prepare_dataset(archive, TrainConfig(), work)
    assert str(archive) in refused.value.message and str(work) not in refused.value.message


def _checked(archive: Path, work: Path) -> Verdict:
    work.mkdir()
    return prepare_dataset(archive, TrainConfig(), work)


def test_a_verdict_names_the_archive(tmp_path: Path) -> None:
    folder, archive = write_photos(tmp_path / "photos"), tmp_path / "photos.zip"
    files = {f"deep/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.jpg")}
    _zip(archive, files | {"deep/Blue/0.jpg": photo()})
    verdict = _checked(archive, tmp_path / "work")
    text = "\n".join(verdict.lines())
    assert f"Dataset   {archive}/deep" in text and str(tmp_path / "work") not in text + str(verdict.to_json())
    assert verdict.dataset.root == tmp_path / "work" / "unpacked" / "deep"


def test_a_folder_is_named_as_it_is(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    verdict = prepare_dataset(folder, TrainConfig(), tmp_path)
    assert verdict.given == "" and f"Dataset   {folder}" in str(verdict)
