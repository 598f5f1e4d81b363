"""What a repeated import does with the folder of the former one: the files of the user, failures and kills."""

import itertools
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.errors import DatasetError
from model.files.folder_replacement import replaced_folder
from tests.labels.label_studio_tasks import boxed_tasks, content, export, imported


@pytest.mark.parametrize(
    "name", ["notes.txt", "images/mine.png", "boxes/mine.jpg", "dataset_files/more.txt", ".git/config"]
)
def test_files_of_the_user_are_not_deleted_by_a_repeated_import(tmp_path: Path, name: str) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    imported(source, tmp_path / "photos", tmp_path / "made")
    (tmp_path / "made" / ".DS_Store").write_bytes(b"")
    imported(source, tmp_path / "photos", tmp_path / "made")
    (tmp_path / "made" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "made" / name).write_bytes(b"mine")
    shown = name.replace("/config", "/")
    with pytest.raises(DatasetError, match=rf"found others too: {shown}\. Move them to another folder"):
        imported(source, tmp_path / "photos", tmp_path / "made")
    assert (tmp_path / "made" / name).read_bytes() == b"mine"


@pytest.mark.parametrize("pattern", ["images/*.png", "boxes/*.jpg", "origin.csv", "dataset_files/train.txt"])
def test_files_that_the_user_changed_are_not_replaced_by_a_repeated_import(tmp_path: Path, pattern: str) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    imported(source, tmp_path / "photos", tmp_path / "made")
    path = next((tmp_path / "made").glob(pattern))
    path.write_bytes(path.read_bytes() + b"edited")
    before = content(tmp_path / "made")
    name = re.escape(path.relative_to(tmp_path / "made").as_posix())
    with pytest.raises(DatasetError, match=rf"changed since: {name}\. Move them to another folder"):
        imported(source, tmp_path / "photos", tmp_path / "made")
    assert content(tmp_path / "made") == before
    path.rename(tmp_path / "kept")
    imported(source, tmp_path / "photos", tmp_path / "made")
    assert path.is_file()


def test_a_record_without_the_content_of_files_refuses_other_files_only(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    imported(source, tmp_path / "photos", tmp_path / "made")
    record = tmp_path / "made" / "import.json"
    record.write_text(
        json.dumps({key: value for key, value in json.loads(record.read_text()).items() if key != "files"})
    )
    (tmp_path / "made" / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"found others too: images/mine\.png\."):
        imported(source, tmp_path / "photos", tmp_path / "made")
    (tmp_path / "made" / "images" / "mine.png").unlink()
    assert not imported(source, tmp_path / "photos", tmp_path / "made").changed
    assert "files" in json.loads(record.read_text())


def test_a_folder_with_other_content_is_not_replaced(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    with pytest.raises(DatasetError, match="expected a new folder, or one written by topgraft import-labels, found"):
        imported(source, tmp_path / "photos", tmp_path / "photos")
    assert len(list((tmp_path / "photos").iterdir())) == 4


@pytest.mark.parametrize("record", ["[]", '{"format": 2}', "[" * 100_000, '{"format": 1, "photos": 3, "crops": {}}'])
def test_a_damaged_record_is_reported(tmp_path: Path, record: str) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    imported(source, tmp_path / "photos", tmp_path / "made")
    (tmp_path / "made" / "import.json").write_text(record)
    with pytest.raises(DatasetError, match=r"import\.json: expected the record of an import, received a damaged one"):
        imported(source, tmp_path / "photos", tmp_path / "made")


def test_an_import_that_fails_leaves_the_former_dataset(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 6))
    imported(source, tmp_path / "photos", tmp_path / "made")
    before = content(tmp_path / "made")
    with pytest.raises(ZeroDivisionError), replaced_folder(tmp_path / "made") as new:
        (new / "half").write_text("half")
        raise ZeroDivisionError
    assert content(tmp_path / "made") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "made", "photos"]


def changes(folder: Path, work: Callable[[], object], last: int = -1) -> int:
    """Do work in a child process, which is killed before a change of files in a folder; the number of changes before.

    Args:
        last: number of the change before which the process is killed; none for -1.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        count = itertools.count()

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            is_change = event in ("os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
            if event == "open" and isinstance(arguments[1], str):
                is_change = not {"w", "x", "a"}.isdisjoint(arguments[1])
            if is_change and str(folder) in os.fsdecode(arguments[0]):
                os.write(writing, b".")
                if next(count) == last:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        number = len(stream.read())
    assert os.waitpid(process, 0)[1] == (0 if last < 0 else signal.SIGKILL)
    return number


def test_an_import_that_is_killed_at_any_moment_leaves_the_former_dataset_or_the_new_one(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 6)
    former_source = export(tmp_path, tasks[:4])
    made = tmp_path / "made"
    imported(former_source, tmp_path / "photos", made)
    former = content(made)
    shutil.copytree(made, tmp_path / "former")
    source = export(tmp_path, tasks)

    def again() -> None:
        imported(source, tmp_path / "photos", made)

    number = changes(tmp_path, again)
    new = content(made)
    left = []
    for last in {*range(0, number, max(1, number // 8)), *range(number - 3, number)}:
        shutil.rmtree(made)
        shutil.copytree(tmp_path / "former", made)
        changes(tmp_path, again, last)
        assert content(made) in (former, new)
        left.append(content(made) == former)
        again()
        assert content(made) == new
        assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "former", "made", "photos"]
    assert set(left) == {True, False}


def test_the_folder_of_a_killed_import_is_removed_by_the_next(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 6))
    process = os.fork()
    if not process:
        with replaced_folder(tmp_path / "made") as new:
            (new / "half").write_text("half")
            os.kill(os.getpid(), 9)
    os.waitpid(process, 0)
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".made.")]) == 1
    imported(source, tmp_path / "photos", tmp_path / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "made", "photos"]
