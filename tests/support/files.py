"""Folders and archives made by tests."""

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def content_of(folder: Path) -> dict[str, bytes]:
    """Files in a folder and below: name -> bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_files(folder: Path, count: int = 3, size: int = 50) -> dict[str, bytes]:
    """Write files of random bytes into two folders, each a byte larger than the one before; name -> bytes."""
    contents = {f"{'ab'[index % 2]}/{index} ü.bin": os.urandom(size + index) for index in range(count)}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """A tar of files; `mode` as in tarfile, such as `w:gz`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


LINKED_FILES = ["cats/1.jpg", "cats/3.jpg", "dogs/deep/2.jpg", "puppies/2.jpg"]


def write_linked_folder(directory: Path) -> Path:
    """A dataset of which one folder and one file are links, with a link back to the top: the `LINKED_FILES`."""
    photos = directory / "photos"
    for path in (photos / "cats" / "1.jpg", directory / "elsewhere" / "deep" / "2.jpg", directory / "3.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    (photos / "dogs").symlink_to(directory / "elsewhere")
    (photos / "puppies").symlink_to(photos / "dogs" / "deep")
    (photos / "cats" / "3.jpg").symlink_to(directory / "3.jpg")
    (photos / "cats" / "all").symlink_to(photos)
    return photos
