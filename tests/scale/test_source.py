"""Sources of photos: datasets, folders and lists; their classes and splits."""

from collections import Counter
from pathlib import Path

import pytest

from model.dataset.listing import LayoutOptions
from model.dataset.lists import write_lists
from model.errors import ConfigError, DatasetError
from model.results import SPLITS
from model.scale.chunks import MAX_CHUNK_BYTES, Photo, cut
from model.scale.files import File
from model.scale.folders import LocalFolder, open_folder
from model.scale.source import SplitOptions, listed_photos, open_source
from tests.support.photos import photo

SPLITS_OF_TESTS = SplitOptions(val_fraction=0.15, test_fraction=0.15, seed=42)


def write(folder: Path, *names: str) -> Path:
    """Photos of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo())
    return folder


def listed(source: Path | str, options: SplitOptions = SPLITS_OF_TESTS, **layout) -> list[Photo]:
    with listed_photos(open_source(str(source), LayoutOptions(**layout)), options) as photos:
        return list(photos)


def labels(source: Path | str) -> dict[str, str | None]:
    return {item.name: item.label for item in listed(source)}


def test_photos_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    write(tmp_path, "b/2.jpg", "a/10.jpg", "a/9.jpg", "é/1.jpg", "a.b/1.jpg", "Z/1.jpg")
    names = [item.file.name for item in listed(tmp_path)]
    assert names == sorted(names) and len(names) == 6


def test_the_class_is_the_folder_of_a_photo(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.jpg", "dog/1.jpg", "more/dog/2.jpg")
    assert labels(tmp_path) == {"cat/1.jpg": "cat", "dog/1.jpg": "dog", "more/dog/2.jpg": "dog"}


@pytest.mark.parametrize("names", [("1.jpg", "2.jpg"), ("1.jpg", "cat/1.jpg", "dog/1.jpg"), ("all/1.jpg", "all/2.jpg")])
def test_photos_outside_class_folders_have_no_class(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, *names)
    assert set(labels(tmp_path).values()) == {None}


def test_folders_of_splits_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg", "validation/dog/3.jpg")
    found = {item.name: (item.label, item.split) for item in listed(tmp_path)}
    assert found == {
        "train/cat/1.jpg": ("cat", "train"),
        "train/dog/1.jpg": ("dog", "train"),
        "test/cat/2.jpg": ("cat", "test"),
        "validation/dog/3.jpg": ("dog", "val"),
    }


def test_hidden_files_and_loops_of_links_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg", ".cache/1.jpg", "@eaDir/cat/1.jpg", "cat/.2.jpg")
    (tmp_path / "photos" / "cat" / "notes.md").write_text("notes")
    (tmp_path / "photos" / "dog" / "loop").symlink_to(tmp_path / "photos")
    assert set(labels(tmp_path / "photos")) == {"cat/1.jpg", "dog/1.jpg"}


def test_classes_and_splits_of_a_dataset_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "images", "x/1.jpg", "x/2.jpg", "3.jpg", "unlisted.jpg")
    lists = {"train": [("x/1.jpg", 0), ("x/2.jpg", 1)], "test": [("3.jpg", 1)]}
    write_lists(tmp_path / "dataset_files", ["cat", "dog"], lists)
    found = {item.name: (item.label, item.split) for item in listed(tmp_path)}
    assert found == {"x/1.jpg": ("cat", "train"), "x/2.jpg": ("dog", "train"), "3.jpg": ("dog", "test")}


def test_classes_in_a_table_are_read(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "labels.csv").write_text("file,label\n1.jpg,cat\n2.jpg,dog\n3.jpg,dog\n")
    assert labels(tmp_path) == {"1.jpg": "cat", "2.jpg": "dog", "3.jpg": "dog"}


def test_a_table_without_labels_is_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    assert labels(tmp_path) == {"1.jpg": None, "2.jpg": None}
    assert "the table was not read" in caplog.text


def test_a_list_names_photos_and_labels(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "a/2.jpg", "b c/3.jpg")
    lines = ["a/1.jpg\tcat", str(tmp_path / "a" / "2.jpg") + "\tdog", "", f"file://{tmp_path}/b c/3.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    assert labels(tmp_path / "list.txt") == {
        "a/1.jpg": "cat",
        f"{tmp_path}/a/2.jpg": "dog",
        f"file://{tmp_path}/b c/3.jpg": None,
    }
    source = open_source(str(tmp_path / "list.txt"), LayoutOptions())
    for item in listed(tmp_path / "list.txt"):
        assert source.folder.read_photo(item.file) == photo()


def test_a_list_may_begin_with_a_mark_and_have_empty_labels(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf1.jpg\tcat\r\n2.jpg\t\r\n3.jpg\t \n")
    assert labels(tmp_path / "list.txt") == {"1.jpg": "cat", "2.jpg": None, "3.jpg": None}


@pytest.mark.parametrize(
    "line", ["http://server/1.jpg", "https://server/1.jpg", "a\0b.jpg", "file://server/1.jpg", "2.jpg\tcat", "s3://"]
)
def test_a_line_that_names_no_file_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    write(tmp_path, "1.jpg")
    (tmp_path / "list.txt").write_text(f"1.jpg\n{line}\n")
    with pytest.raises(DatasetError, match=r"list.txt:2: expected the path of a photo"):
        listed(tmp_path / "list.txt")


def test_a_line_without_its_file_is_refused_by_its_number(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg")
    (tmp_path / "list.txt").write_text("1.jpg\n2.jpg\n")
    with pytest.raises(DatasetError, match=r"list.txt:2: expected the path of a photo"):
        listed(tmp_path / "list.txt")


def test_a_photo_listed_twice_counts_once_unless_its_labels_differ(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg")
    (tmp_path / "list.txt").write_text("1.jpg\tcat\n1.jpg\tcat\n")
    assert labels(tmp_path / "list.txt") == {"1.jpg": "cat"}
    (tmp_path / "list.txt").write_text("1.jpg\tcat\n1.jpg\tdog\n")
    with pytest.raises(DatasetError, match="expected one label, found two: 'cat' and 'dog'"):
        listed(tmp_path / "list.txt")


def test_the_split_depends_on_the_path_only() -> None:
    names = [f"cat/{number}.jpg" for number in range(4000)]
    splits = {name: SPLITS_OF_TESTS.split(name) for name in names}
    counts = Counter(splits.values())
    assert 500 < counts["val"] < 700 and 500 < counts["test"] < 700
    assert {name: SPLITS_OF_TESTS.split(name) for name in reversed(names)} == splits


def test_a_group_is_in_one_split(tmp_path: Path) -> None:
    write(tmp_path, *(f"{label}/{fish:02}-{shot}.jpg" for label in "ab" for fish in range(20) for shot in range(3)))
    options = SplitOptions(0.2, 0.2, 1, group_pattern=r"/(\d+)-")
    splits: dict[str, set[str]] = {}
    for item in listed(tmp_path, options):
        splits.setdefault(item.name.partition("/")[2][:2], set()).add(item.split)
    assert len(splits) == 20 and all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_chunks_are_limited_by_photos_and_bytes() -> None:
    sizes = [10, 10, 10, 400 << 20, 10, 200 << 20, 100 << 20]
    photos = [Photo(File(str(n).encode(), size, ""), None, "train") for n, size in enumerate(sizes)]
    chunks = [[item.name for item in chunk] for chunk in cut(photos, 2, MAX_CHUNK_BYTES)]
    assert chunks == [["0", "1"], ["2"], ["3"], ["4", "5"], ["6"]]


@pytest.mark.parametrize("address", ["ftp://x/y", "http://x/y", "rshare:photos/x"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises((ConfigError, DatasetError), match=r"expected a path or an address|expected a folder"):
        open_source(address, LayoutOptions())


def test_an_address_of_this_machine_is_a_folder(tmp_path: Path) -> None:
    folder = open_folder(f"file://{tmp_path}/x")
    assert isinstance(folder, LocalFolder) and folder.address == f"{tmp_path}/x"
    assert open_folder("file:///a%20b/%c3%a9/").address == "/a b/é"
    assert open_folder("FILE://localhost/a/./b").address == "/a/b"
    for wrong in ("file://", "file://server/a", "file://photos", "file://localhost"):
        with pytest.raises(ConfigError, match="expected an absolute path such as file:///data/photos"):
            open_folder(wrong)


@pytest.mark.parametrize("address", ["", " "])
def test_an_empty_address_is_not_the_current_folder(address: str) -> None:
    with pytest.raises(ConfigError, match="expected a folder or an address"):
        open_folder(address)
