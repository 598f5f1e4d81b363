"""The rule of what a photo is, in datasets, folders to predict, lists and archives."""

import io
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.image_files import is_image, is_image_member
from model.dataset.images import read_content
from model.dataset.prepare import prepare_dataset
from model.errors import ImageError
from model.files.archives import count_zip_files, iter_zip_images
from model.files.packing import pack_folder
from model.serving.photo_files import find_photo_files
from tests.support.photos import photo, write_photos

PHOTO = photo()

# Paths of files that systems and programs write next to photos; all have the content of a photo here.
MADE_BY_SYSTEMS = [
    "._a.jpg",
    ".DS_Store",
    ".a.jpg.Xk3d9",
    "Icon\r",
    "Thumbs.db",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Desktop.ini",
    "__MACOSX/._a.jpg",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
    "#recycle/a.jpg",
    "#snapshot/a.jpg",
    "@Recycle/a.jpg",
    "@Recently-Snapshot/a.jpg",
    ".@__thumb/defaulta.jpg",
    "$RECYCLE.BIN/S-1-5-21/a.jpg",
    "$Recycle.Bin/a.jpg",
    "RECYCLER/a.jpg",
    "System Volume Information/a.jpg",
    ".Trash-1000/files/a.jpg",
    ".Trashes/501/a.jpg",
    "Network Trash Folder/a.jpg",
    "Temporary Items/a.jpg",
    ".ipynb_checkpoints/a-checkpoint.jpg",
    ".thumbnails/normal/a.png",
    ".snapshot/hourly.0/a.jpg",
    "~snapshot/a.jpg",
    ".zfs/snapshot/a.jpg",
    "lost+found/#12345",
    ".git/objects/a.jpg",
    ".stversions/a.jpg",
]
# Names of classes and photos that are close to those.
OF_PEOPLE = [
    "recycler/a.jpg",
    "Recycled/a.jpg",
    "thumbs/a.jpg",
    "git/a.jpg",
    "lost and found/a.jpg",
    "#1/a.jpg",
    "@a.jpg",
]


def _write(folder: Path, *names: str, content: bytes = PHOTO) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, PHOTO)
    return stream.getvalue()


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Two classes with eight photos each."""
    return write_photos(tmp_path / "dataset")


@pytest.mark.parametrize("name", MADE_BY_SYSTEMS)
def test_what_systems_add_is_no_photo_in_any_reader(name: str, tmp_path: Path, class_folders: Path) -> None:
    _write(class_folders, name, f"red/{name}")
    verdict = prepare_dataset(class_folders, TrainConfig(), tmp_path)
    assert verdict.dataset.classes == ("blue", "red") and len(verdict.dataset.samples) == 16
    top = name.split("/")[0] + ("/" if "/" in name else "")
    assert set(verdict.ignored) == {top.replace("\r", "\\r"), f"red/{top}".replace("\r", "\\r")}

    files, others = find_photo_files([class_folders])
    assert len(files) == 16
    assert others == sorted(class_folders / path for path in (top, f"red/{top}"))

    content = _zip("a.jpg", name, f"red/{name}")
    assert [entry for entry, _ in iter_zip_images(content)] == ["a.jpg"]
    assert count_zip_files(io.BytesIO(content)) == 1
    assert pack_folder(class_folders, tmp_path / "packed.tar").files == 16


@pytest.mark.parametrize("name", OF_PEOPLE)
def test_similar_names_of_people_are_photos(name: str, tmp_path: Path) -> None:
    _write(tmp_path, name)
    assert find_photo_files([tmp_path]) == ([tmp_path / name], [])
    assert is_image_member(name, PHOTO)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("name", ["IMG1", "photo.1", "photo.dat", "photo.txt", "photo.JPG", "scan.jpg_large"])
def test_a_photo_is_known_by_its_content_whatever_its_name(name: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(photo(form=form))
    assert is_image(path) and is_image_member(name, path.read_bytes())
    assert find_photo_files([tmp_path]) == ([path], [])
    assert find_photo_files([path]) == ([path], [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"a text"),
        ("labels.csv", b"image,label\n"),
        ("README", b"P is for photos"),
        ("report.pdf", b"%PDF-1.7"),
        ("film.mp4", b"\0\0\0\x20ftypisom"),
        ("model.h5", b"\x89HDF\r\n\x1a\n"),
        ("table.xlsx", b"PK\x03\x04"),
        ("empty", b""),
    ],
)
def test_other_files_are_passed_over_and_named(name: str, content: bytes, tmp_path: Path) -> None:
    _write(tmp_path, name, content=content)
    assert find_photo_files([tmp_path]) == ([], [tmp_path / name])
    assert not is_image_member(name, content)


@pytest.mark.parametrize("content", [b"", b"cut off", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/"])
def test_a_file_with_the_suffix_of_a_photo_is_reported_and_never_missing(
    content: bytes, tmp_path: Path, class_folders: Path
) -> None:
    _write(class_folders, "red/bad.jpg", content=content)
    verdict = prepare_dataset(class_folders, TrainConfig(max_bad_fraction=0.2), tmp_path)
    assert [item.name for item in verdict.rejected] == ["red/bad.jpg"]
    assert class_folders / "red/bad.jpg" in find_photo_files([class_folders])[0]


def test_a_zip_in_a_folder_is_taken_by_its_suffix_or_its_content(tmp_path: Path) -> None:
    _write(tmp_path, "a.ZIP", "exported", "b/c.zip", content=_zip("1.jpg"))
    _write(tmp_path, "table.xlsx", "@eaDir/d.zip", content=_zip("1.jpg"))
    files, others = find_photo_files([tmp_path])
    assert files == [tmp_path / "a.ZIP", tmp_path / "b/c.zip", tmp_path / "exported"]
    assert others == [tmp_path / "@eaDir", tmp_path / "table.xlsx"]


def _special(path: Path, kind: str) -> None:
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device"])
def test_special_files_are_reported_and_not_opened(kind: str, tmp_path: Path, class_folders: Path) -> None:
    for name in ("a.jpg", "none", "b.zip"):
        _special(class_folders / "red" / name, kind)
    verdict = prepare_dataset(class_folders, TrainConfig(max_bad_fraction=0.2), tmp_path)
    assert [item.name for item in verdict.rejected] == ["red/a.jpg"]
    assert f"received {kind}" in verdict.rejected[0].reason
    assert set(verdict.ignored) == {"red/b.zip", "red/none"}
    files, others = find_photo_files([class_folders])
    assert class_folders / "red/a.jpg" in files and len(files) == 17
    assert others == [class_folders / "red/b.zip", class_folders / "red/none"]
    with pytest.raises(ImageError, match=f"expected a regular file, received {kind}"):
        read_content(class_folders / "red/b.zip")


def test_links_that_lead_nowhere_or_to_themselves_are_reported(tmp_path: Path, class_folders: Path) -> None:
    (class_folders / "red" / "gone.jpg").symlink_to("nowhere.jpg")
    (class_folders / "red" / "self.jpg").symlink_to("self.jpg")
    (class_folders / "red" / "loop").symlink_to("..")
    (class_folders / "red" / "void").symlink_to("nowhere")
    verdict = prepare_dataset(class_folders, TrainConfig(max_bad_fraction=0.2), tmp_path)
    assert [item.name for item in verdict.rejected] == ["red/gone.jpg", "red/self.jpg"]
    assert verdict.ignored == ("red/void",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_are_read_in_the_encodings_of_editors(encoding: str, end: str, tmp_path: Path) -> None:
    names = ["Möwe.jpg", "caf\u00e9/1.jpg", "plain.jpg"]
    _write(tmp_path, *names)
    lines = ["Möwe.jpg", "caf\u00e9\\1.jpg", "plain.jpg", "missing.jpg"]
    (tmp_path / "list.txt").write_bytes(end.join([*lines, ""]).encode(encoding))
    files, others = find_photo_files([tmp_path / "list.txt"])
    assert (files, others) == ([tmp_path / name for name in (*names, "missing.jpg")], [])


def test_a_list_may_have_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"M\xf6we \x81.jpg")
    _write(tmp_path, name)
    (tmp_path / "list.txt").write_bytes(os.fsencode(name) + b"\n")
    assert find_photo_files([tmp_path / "list.txt"])[0] == [tmp_path / name]


def test_names_read_in_another_encoding_state_what_to_set(tmp_path: Path) -> None:
    for name in ("caf\u00e9", "th\u00e9"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "\u00fc.jpg").write_bytes(b"x")
    script = "import sys, pathlib, model.dataset.layouts as layouts; layouts.find_layout(pathlib.Path(sys.argv[1]))"
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | locale,
        capture_output=True,
        check=False,
    )
    assert b"set PYTHONUTF8=1 to read them as UTF-8" in ended.stderr
