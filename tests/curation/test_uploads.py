"""Uploads of many files: resumed, checked as they arrive, and never lost in silence."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from model.curation import changes, space
from model.curation.places import CURATION, INCOMING, UNLABELLED, read_contents
from model.curation.plans import RenameClass
from model.curation.upload_plan import Plan, parse_plan
from model.curation.uploads import (
    Progress,
    bytes_to_come,
    cancel,
    open_upload,
    progress,
    receive,
    settle,
    unfinished,
)
from model.errors import ConfigError, DatasetError, StorageFullError
from tests.support.photos import encoded, photo, random_image, zip_of


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return changes.create_dataset(tmp_path / "data", "leaves")


def plan_of(files: dict[str, bytes], class_name: str | None = None) -> Plan:
    return Plan(tuple((path, len(content)) for path, content in files.items()), class_name)


def send(dataset: Path, files: dict[str, bytes], class_name: str | None = None) -> Progress:
    """Send all that is missing, in one request for each range."""
    begun = open_upload(dataset, plan_of(files, class_name))
    contents = list(files.values())
    for first, last in begun.missing:
        part = begun.parts.get(first, 0)
        receiver = receive(dataset, begun.upload, first, part)
        receiver.write(b"".join(contents[first : last + 1])[part:])
        settle(dataset, begun.upload, receiver.close())
    return progress(dataset, begun.upload)


PHOTOS = {
    f"{name}/{number}.jpg": encoded(random_image(10 * len(name) + number))
    for name in ("elm", "birch")
    for number in range(3)
}


def test_folders_become_classes(dataset: Path) -> None:
    done = send(dataset, PHOTOS)
    assert done.is_complete and (done.added, done.same, done.refused) == (6, 0, ())
    assert {path: (dataset / path).read_bytes() for path in PHOTOS} == PHOTOS
    assert not list((dataset / INCOMING).iterdir())
    assert {name: len(photos) for name, photos in read_contents(dataset).classes.items()} == {"birch": 3, "elm": 3}


def test_photos_on_a_class_go_into_it_and_photos_without_folder_are_unlabelled(dataset: Path) -> None:
    send(dataset, PHOTOS, "oak")
    assert len(read_contents(dataset).classes["oak"]) == 6
    send(dataset, {"loose.jpg": photo(3)})
    assert read_contents(dataset).unlabelled == [f"{UNLABELLED}/loose.jpg"]


def test_the_same_plan_goes_on_where_the_connection_broke(dataset: Path) -> None:
    contents = list(PHOTOS.values())
    begun = open_upload(dataset, plan_of(PHOTOS))
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(contents[0] + contents[1][:100])
    settle(dataset, begun.upload, receiver.close())
    again = open_upload(dataset, plan_of(PHOTOS))
    assert (again.upload, again.arrived, again.parts, again.missing) == (begun.upload, 1, {1: 100}, ((1, 5),))
    assert again.received == len(contents[0]) + 100
    assert [one.upload for one in unfinished(dataset)] == [begun.upload]
    assert send(dataset, PHOTOS).added == 6
    assert {path: (dataset / path).read_bytes() for path in PHOTOS} == PHOTOS and not unfinished(dataset)


def test_whole_files_that_a_killed_server_did_not_check_are_checked_when_it_goes_on(dataset: Path) -> None:
    begun = open_upload(dataset, plan_of(PHOTOS))
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(b"".join(list(PHOTOS.values())[:2]))
    receiver.close()
    assert progress(dataset, begun.upload).arrived == 0
    assert open_upload(dataset, plan_of(PHOTOS)).arrived == 2


def test_the_same_photos_again_are_there_already_and_others_of_their_name_get_a_number(dataset: Path) -> None:
    send(dataset, PHOTOS)
    again = send(dataset, PHOTOS)
    assert (again.added, again.same) == (0, 6)
    other = send(dataset, {"elm/0.jpg": photo(7)})
    assert other.added == 1 and (dataset / "elm" / "0 (2).jpg").read_bytes() == photo(7)


def test_a_photo_under_another_name_is_there_already(dataset: Path) -> None:
    """Also one that comes twice in the same upload, as it would in two."""
    send(dataset, {"elm/a.jpg": photo(1)})
    again = send(dataset, {"elm/b.jpg": photo(1), "elm/c.jpg": photo(2), "elm/d.jpg": photo(2)})
    assert (again.added, again.same) == (1, 2)
    assert read_contents(dataset).classes == {"elm": ["elm/a.jpg", "elm/c.jpg"]}


def test_files_that_are_no_photos_are_listed_with_their_reason(dataset: Path) -> None:
    files = {
        "elm/a.jpg": photo(5),
        "elm/notes.txt": b"seen at dawn",
        "elm/empty.jpg": b"",
        "elm/cut.jpg": PHOTOS["elm/0.jpg"][:200],
        "../elm/b.jpg": photo(6),
        "<script>/c.jpg": photo(7),
        "CON/d.jpg": photo(8),
        "last/empty.png": b"",
    }
    done = send(dataset, files)
    assert done.is_complete and done.added == 3
    reasons = {one.path: one.reason for one in done.refused}
    assert "received text beginning with 'seen at dawn'" in reasons["elm/notes.txt"]
    assert "empty file" in reasons["elm/empty.jpg"] and "empty file" in reasons["last/empty.png"]
    assert "damaged JPEG" in reasons["elm/cut.jpg"] and "Windows reserves it" in reasons["CON/d.jpg"]
    assert {name: len(photos) for name, photos in read_contents(dataset).classes.items()} == {"elm": 2, "_script_": 1}
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["leaves"]


def test_a_zip_is_unpacked_safely_and_its_folders_are_classes(dataset: Path) -> None:
    packed = zip_of(**{f"set/{path}": content for path, content in PHOTOS.items()}, **{"set/readme.txt": b"hello"})
    unsafe = zip_of(**{"../../x.jpg": photo(1)})
    done = send(dataset, {"a.zip": packed, "b.zip": unsafe, "c.zip": zip_of()})
    assert done.added == 6
    reasons = {one.path: one.reason for one in done.refused}
    assert (
        "leads outside" in reasons["b.zip"]
        and "no file" in reasons["c.zip"]
        and "text" in reasons["a.zip/set/readme.txt"]
    )
    assert str(dataset) not in str(reasons)
    assert {path: (dataset / path).read_bytes() for path in PHOTOS} == PHOTOS
    assert not (dataset.parent / "x.jpg").exists()


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(dataset: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("elm/large.bmp", photo(form="BMP", size=(600, 600)))
    packed = stream.getvalue()
    begun = open_upload(dataset, plan_of({"a.zip": packed}), max_bytes=100_000)
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(packed)
    settle(dataset, begun.upload, receiver.close(), max_bytes=100_000)
    [refused] = progress(dataset, begun.upload).refused
    assert "bytes when unpacked" in refused.reason and read_contents(dataset).classes == {}
    assert send(dataset, {"a.zip": packed}).added == 1


def test_an_upload_is_undone_as_a_whole_and_its_photos_are_kept(dataset: Path) -> None:
    begun = open_upload(dataset, plan_of(PHOTOS))
    for position, content in enumerate(PHOTOS.values()):
        receiver = receive(dataset, begun.upload, position, 0)
        receiver.write(content)
        settle(dataset, begun.upload, receiver.close())
    assert len(changes.changes(dataset)) == 6
    changes.undo(dataset)
    left = read_contents(dataset)
    assert left.classes == {} and len(left.removed) == 6
    assert send(dataset, PHOTOS).added == 6


@pytest.mark.parametrize(("first", "offset"), [(0, 1), (1, 5), (-1, 0), (6, 0), (0, 10**9)])
def test_a_file_continues_where_its_part_ends(dataset: Path, first: int, offset: int) -> None:
    begun = open_upload(dataset, plan_of(PHOTOS))
    with pytest.raises(ConfigError, match="expected"):
        receive(dataset, begun.upload, first, offset).write(b"x")


def test_more_than_was_planned_is_refused(dataset: Path) -> None:
    begun = open_upload(dataset, plan_of({"a.jpg": photo(1)}))
    receiver = receive(dataset, begun.upload, 0, 0)
    with pytest.raises(ConfigError, match="received more"):
        receiver.write(photo(1) + b"more")
    settle(dataset, begun.upload, receiver.close())
    assert progress(dataset, begun.upload).added == 1


@pytest.mark.parametrize("upload", ["", "..", "upload-", "upload-../x", "upload-0000000000000000-00000000"])
def test_an_upload_is_named_by_its_identifier(dataset: Path, upload: str) -> None:
    for act in (
        lambda: receive(dataset, upload, 0, 0),
        lambda: progress(dataset, upload),
        lambda: cancel(dataset, upload),
    ):
        with pytest.raises(ConfigError, match="expected an upload"):
            act()


def test_an_upload_that_is_cancelled_keeps_what_has_arrived(dataset: Path) -> None:
    begun = open_upload(dataset, plan_of(PHOTOS))
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(next(iter(PHOTOS.values())) + b"\xff\xd8")
    settle(dataset, begun.upload, receiver.close())
    cancel(dataset, begun.upload)
    assert not list((dataset / INCOMING).iterdir()) and read_contents(dataset).classes == {"elm": ["elm/0.jpg"]}


def test_what_a_kill_left_of_an_upload_without_its_plan_is_removed_by_the_next_one(dataset: Path) -> None:
    begun = open_upload(dataset, plan_of(PHOTOS))
    receive(dataset, begun.upload, 0, 0).write(b"\xff\xd8")
    for name in ("upload-0-killed-before-its-plan", "upload-1-killed-while-it-was-removed"):
        (dataset / INCOMING / name / "0-unpacked").mkdir(parents=True)
    (dataset / INCOMING / "upload-2-lock-of-a-removed-folder").touch()
    assert open_upload(dataset, plan_of(PHOTOS)).parts == {0: 2}
    assert [left.name for left in (dataset / INCOMING).iterdir()] == [begun.upload]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"files": []}', b'{"files": [["a", -1]], "class_name": null}'),
        *(b'{"files": [["", 1]]}', b'{"files": [["a", true]]}', b'{"files": [["a"]]}', b'{"files": [["a", 1.5]]}'),
        b'{"files": [["a", 1]], "class_name": 5}',
        b'{"files": [["' + b"a" * 1001 + b'", 1]]}',
    ],
)
def test_other_bodies_are_no_plan(body: bytes) -> None:
    with pytest.raises(ConfigError, match="expected"):
        parse_plan(body)


def test_a_class_that_is_not_accepted_is_refused_before_anything_is_sent(dataset: Path) -> None:
    with pytest.raises(DatasetError, match="expected the name of a class"):
        open_upload(dataset, plan_of(PHOTOS, "nul"))


def test_photos_beyond_the_limit_of_the_operator_are_refused_before_they_are_sent(dataset: Path) -> None:
    with pytest.raises(StorageFullError, match="TOPGRAFT_STUDIO_MAX_GB"):
        open_upload(dataset, plan_of(PHOTOS), max_bytes=1000)
    assert not (dataset / INCOMING).exists()


def test_an_upload_whose_last_answer_was_lost_is_not_sent_again(dataset: Path) -> None:
    """Its photos may be in a class of another name by now, where they would not be found to be the same."""
    done = send(dataset, PHOTOS)
    changes.change(dataset, RenameClass("elm", "ulm"))
    again = open_upload(dataset, plan_of(PHOTOS), upload=done.upload)
    assert again.is_complete and again.upload == done.upload and not unfinished(dataset)
    other = open_upload(dataset, plan_of({"elm/x.jpg": b"1"}), upload=done.upload)
    assert not other.is_complete and other.upload != done.upload
    assert not open_upload(dataset, plan_of(PHOTOS)).is_complete
    for unknown in ("upload-x", "../x"):
        assert not open_upload(dataset, plan_of(PHOTOS), upload=unknown).is_complete


def test_what_other_uploads_have_still_to_receive_counts(dataset: Path) -> None:
    files = {f"elm/{number}.jpg": content for number, content in enumerate(PHOTOS.values())}
    size = sum(map(len, files.values()))
    first = open_upload(dataset, plan_of(files), max_bytes=2 * size)
    other = changes.create_dataset(dataset.parent, "other")
    again = plan_of({f"oak/{number}.jpg": content for number, content in enumerate(files.values())})
    with pytest.raises(StorageFullError, match="unfinished uploads have still to receive"):
        open_upload(other, again, max_bytes=size + size // 2)
    assert bytes_to_come(dataset.parent) == size
    receiver = receive(dataset, first.upload, 0, 0)
    receiver.write(b"".join(files.values())[: size - 10])
    receiver.close()
    assert bytes_to_come(dataset.parent) == 10
    cancel(dataset, first.upload)
    assert bytes_to_come(dataset.parent) == 0
    open_upload(other, again, max_bytes=2 * size)


def test_photos_that_do_not_fit_on_the_disk_are_refused_before_they_are_sent(dataset: Path) -> None:
    with pytest.raises(StorageFullError, match="Free some space"):
        open_upload(dataset, Plan((("a.jpg", 10**18),), None))


def test_a_connection_that_broke_adds_nothing_to_a_file_that_another_one_continues(dataset: Path) -> None:
    path, content = next(iter(PHOTOS.items()))
    begun = open_upload(dataset, plan_of({path: content}))
    broken = receive(dataset, begun.upload, 0, 0)
    broken.write(content[:10])
    resumed = receive(dataset, begun.upload, 0, 10)
    resumed.write(content[10:20])
    with pytest.raises(ConfigError, match="another connection"):
        broken.write(content[10:20])
    resumed.write(content[20:])
    settle(dataset, begun.upload, resumed.close())
    with pytest.raises(ConfigError, match="another connection"):
        broken.write(content[10:20])
    broken.close()
    assert (dataset / path).read_bytes() == content


def test_a_change_that_a_full_disk_interrupted_keeps_the_photos_until_it_is_made(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = next(iter(PHOTOS.items()))
    begun = open_upload(dataset, plan_of({path: content}))
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(content)
    arrived = receiver.close()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("model.curation.journal.rename_new", full)
        with pytest.raises(StorageFullError):
            settle(dataset, begun.upload, arrived)
    settle(dataset, begun.upload, arrived)
    assert (dataset / path).read_bytes() == content


class _FullDisk:
    """An unbuffered stream of a disk without space after so many bytes: it writes what fits, then fails."""

    def __init__(self, stream: Any, left: int) -> None:
        self._stream, self._left = stream, left

    def write(self, content: bytes) -> int:
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = content[: self._left]
        self._stream.write(taken)
        self._left -= len(taken)
        return len(taken)

    def close(self) -> None:
        self._stream.close()


def test_on_a_full_disk_what_came_is_whole_and_the_upload_goes_on_later(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = list(PHOTOS.values())
    begun = open_upload(dataset, plan_of(PHOTOS))
    receiver = receive(dataset, begun.upload, 0, 0)
    receiver.write(contents[0])
    receiver._stream = _FullDisk(receiver._open(), 50)  # type: ignore[assignment]
    with pytest.raises(StorageFullError, match="Free some space, then try again") as raised:
        receiver.write(contents[1])
    assert "All photos that have arrived are whole" in raised.value.message
    settle(dataset, begun.upload, receiver.close())
    assert progress(dataset, begun.upload).parts == {1: 50}
    assert send(dataset, PHOTOS).added == 6
    assert {path: (dataset / path).read_bytes() for path in PHOTOS} == PHOTOS


def test_a_size_is_that_of_all_datasets(tmp_path: Path) -> None:
    (tmp_path / "a" / CURATION).mkdir(parents=True)
    (tmp_path / "a" / CURATION / "x").write_bytes(b"12345")
    (tmp_path / "y").write_bytes(b"123")
    assert space.bytes_below(tmp_path) == 8
