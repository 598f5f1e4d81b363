"""Detection of the dataset's layout; all problems are reported together."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.dataset.layouts import find_layout
from model.dataset.list_lines import parse_line
from model.dataset.listing import LayoutOptions, is_listable
from model.errors import DatasetError
from model.results import Split
from model.shown import printable
from model.workspace import Workspace
from tests.support.photos import encoded, random_image

IMAGE = encoded(random_image(1))


def fill(root: Path, *names: str, content: bytes = IMAGE) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def names_of(root: Path, split: Split = "train") -> list[tuple[str, int]]:
    return [(sample.name, sample.label) for sample in find_layout(root).splits[split]]


def refusal(root: Path, images_directory: str = "") -> str:
    with pytest.raises(DatasetError) as caught:
        find_layout(root, LayoutOptions(images_directory))
    return caught.value.message


def test_lists_are_read(listed: Path) -> None:
    listing = find_layout(listed)
    assert (listing.classes, listing.has_splits, listing.root) == (("cat", "dog"), True, listed / "images")
    assert [len(listing.splits[split]) for split in ("train", "val", "test")] == [8, 2, 2]
    assert names_of(listed)[1] == ("photo 1.jpg", 1)


def test_lists_with_bom_crlf_and_blanks_are_read(listed: Path) -> None:
    fill(listed / "images", "a b/c  d.jpg", "e.jpg")
    files = listed / "dataset_files"
    (files / "classes.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n\r\n")
    (files / "train.txt").write_bytes(b"\xef\xbb\xbfa b/c  d.jpg 0\r\n\r\n./e.jpg\t 1 \r\n")
    assert find_layout(listed).classes == ("cat", "dog")
    assert names_of(listed) == [("a b/c  d.jpg", 0), ("e.jpg", 1)]


def test_the_images_directory_can_be_given(listed: Path) -> None:
    (listed / "images").rename(listed / "photos")
    message = refusal(listed)
    assert "no such folder" in message
    assert "They are in 'photos': set images_directory" in message
    assert find_layout(listed, LayoutOptions("photos")).root == listed / "photos"
    assert "nowhere" in refusal(listed, "nowhere")
    (listed / "empty").mkdir()
    assert "none of the listed images exists, such as 'photo 0.jpg'" in refusal(listed, "empty")


def test_all_problems_of_lists_are_reported_with_file_and_line(listed: Path) -> None:
    files = listed / "dataset_files"
    (files / "classes.txt").write_text("cat\n\ndog\ncat\n")
    (files / "train.txt").write_text(
        "photo 0.jpg 0\nphoto 1.jpg 4\nphoto 2.jpg -1\nphoto3.jpg\nphoto 4.jpg one\ngone.jpg 0\n"
    )
    (files / "val.txt").write_text("photo 0.jpg 0\n../secret.jpg 0\n/etc/x.jpg 1\n")
    message = refusal(listed)
    for part in (
        "10 problems",
        "classes.txt:2: expected a class name, found a blank line",
        "classes.txt:4: the class 'cat' was already listed on line 1",
        "train.txt:2: expected a label from 0 to 3 (classes.txt has 4 classes), received 4",
        "train.txt:3: expected a label from 0 to 3 (classes.txt has 4 classes), received -1",
        "train.txt:4: expected `path label`",
        "train.txt:5: expected `path label` with a whole number or a class name as the label, received 'photo 4.",
        "train.txt:6: no such image",
        "val.txt:1: 'photo 0.jpg' is listed already, in",
        "val.txt:2: expected a path inside the images folder",
        "val.txt:3: expected a path inside the images folder",
    ):
        assert part in message


def test_very_many_problems_are_counted(listed: Path) -> None:
    lines = "".join(f"gone {number}.jpg 0\n" for number in range(500))
    (listed / "dataset_files" / "train.txt").write_text("photo 0.jpg 0\n" + lines)
    message = refusal(listed)
    assert "500 problems" in message
    assert "... and 470 more" in message


def test_lists_without_classes_txt_are_refused(listed: Path) -> None:
    (listed / "dataset_files" / "classes.txt").unlink()
    assert "expected classes.txt and train.txt, found test.txt, train.txt, val.txt" in refusal(listed)


def test_lists_of_one_class_are_refused(listed: Path) -> None:
    (listed / "dataset_files" / "classes.txt").write_text("cat\n")
    assert "expected two classes or more" in refusal(listed)


def test_an_empty_train_list_is_refused(listed: Path) -> None:
    (listed / "dataset_files" / "train.txt").write_text("\n")
    assert "train.txt: expected lines `path label`, found none" in refusal(listed)


def test_class_folders_are_read(class_folders: Path) -> None:
    listing = find_layout(class_folders)
    assert (listing.classes, listing.has_splits) == (("cat", "dog", "owl"), False)
    assert len(listing.splits["train"]) == 30
    assert names_of(class_folders)[0] == ("cat/0.jpg", 0)


def test_other_files_in_class_folders_are_counted_and_skipped(tmp_path: Path) -> None:
    fill(tmp_path, "b/deep/x.jpg", "b/no suffix", "a/1.JPG", ".git/2.jpg", "__MACOSX/3.jpg", "b/._x.jpg", "loose.jpg")
    fill(tmp_path, "README.txt", "a/Thumbs.db", "b/text.jpg", content=b"no image")
    (tmp_path / "empty").mkdir()
    listing = find_layout(tmp_path)
    assert listing.classes == ("a", "b")
    assert [name for name, _ in names_of(tmp_path)] == ["a/1.JPG", "b/deep/x.jpg", "b/no suffix", "b/text.jpg"]
    assert set(listing.ignored) == {"a/Thumbs.db", "b/._x.jpg", "README.txt", "loose.jpg", ".git/", "__MACOSX/"}
    assert any("empty" in warning for warning in listing.warnings)
    assert any("loose.jpg" in warning for warning in listing.warnings)


def test_file_names_that_lists_cannot_represent_are_rejected(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jpg", "b/2.jpg", "b/new\nline.jpg", "b/end.jpg ")
    (tmp_path / "b" / os.fsdecode(b"\xff.jpg")).write_bytes(IMAGE)
    listing = find_layout(tmp_path)
    assert len(listing.splits["train"]) == 2
    assert sorted(map(printable, listing.unlistable)) == ["b/\\udcff.jpg", "b/end.jpg ", "b/new\\nline.jpg"]


def test_class_names_that_lists_cannot_represent_are_refused(tmp_path: Path) -> None:
    assert "expected a class name" in refusal(fill(tmp_path, "a /1.jpg", "b/2.jpg"))


def test_link_loops_are_not_followed(class_folders: Path) -> None:
    (class_folders / "cat" / "again").symlink_to(class_folders)
    assert find_layout(class_folders).classes == ("cat", "dog", "owl")


def test_split_folders_are_read(tmp_path: Path) -> None:
    fill(tmp_path, "Train/b/1.jpg", "Train/a/2.jpg", "valid/a/3.jpg", "test/c/4.jpg", "docs/5.jpg", "notes.txt")
    listing = find_layout(tmp_path)
    assert (listing.classes, listing.has_splits) == (("a", "b", "c"), True)
    assert names_of(tmp_path) == [("Train/a/2.jpg", 0), ("Train/b/1.jpg", 1)]
    assert names_of(tmp_path, "val") == [("valid/a/3.jpg", 0)]
    assert names_of(tmp_path, "test") == [("test/c/4.jpg", 2)]
    assert set(listing.ignored) == {"docs/", "notes.txt"}


def test_split_folders_without_classes_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/1.jpg", "val/2.jpg", "validation/3.jpg")
    message = refusal(tmp_path)
    assert "expected one folder for val, found val and validation" in message
    assert "train: expected a folder per class with images, found 1.jpg" in message


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert find_layout(fill(tmp_path, "train/1.jpg", "bus/2.jpg")).classes == ("bus", "train")


def test_a_dataset_in_a_single_subfolder_is_found(tmp_path: Path) -> None:
    fill(tmp_path, "outer/inner/a/1.jpg", "outer/inner/b/2.jpg")
    fill(tmp_path, "outer/LICENSE", "README", content=b"text")
    assert find_layout(tmp_path).root == tmp_path / "outer" / "inner"


def test_a_folder_of_several_datasets_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "one/dataset_files/classes.txt", "two/dataset_files/classes.txt")
    assert "found a folder of datasets: one, two" in refusal(tmp_path)


def test_a_missing_folder_suggests_the_nearest_name(class_folders: Path) -> None:
    message = refusal(class_folders.with_name("anmials"))
    assert "no such folder" in message
    assert "Did you mean: animals?" in message
    assert "There are: cat, dog, owl." in refusal(class_folders / "zebra" / "x")


def test_a_file_that_is_no_archive_is_refused(class_folders: Path) -> None:
    assert "expected a folder or an archive, found a file" in refusal(class_folders / "cat" / "0.jpg")


def test_the_error_of_an_unknown_layout_states_what_was_expected_and_found(tmp_path: Path) -> None:
    assert "found an empty folder" in refusal(tmp_path)
    fill(tmp_path, "1.jpg", "2.jpg")
    message = refusal(tmp_path)
    assert "a folder per class, with its images" in message
    assert "found 2 images and no class folders: 1.jpg, 2.jpg" in message


def test_class_folders_of_one_class_are_refused(tmp_path: Path) -> None:
    assert "two classes or more, found images of one: a" in refusal(fill(tmp_path, "a/1.jpg"))


def test_an_unused_images_directory_is_a_warning(class_folders: Path) -> None:
    assert "was not used" in find_layout(class_folders, LayoutOptions("photos")).warnings[0]


@given(name=st.text(min_size=1).filter(is_listable), label=st.integers(0, 10**9), blanks=st.text(" \t", min_size=1))
def test_a_formatted_line_is_parsed_to_the_same_name_and_label(name: str, label: int, blanks: str) -> None:
    assert parse_line(f"{name}{blanks}{label}{blanks}") == (name, label)


@given(st.text(st.characters(exclude_characters="\r\n")))
def test_any_line_is_parsed_or_refused(line: str) -> None:
    parsed = parse_line(line)
    if parsed is not None:
        name, label = parsed
        assert name.strip(" \t")
        assert line.startswith(name)
        assert str(abs(label)) in line


@pytest.mark.parametrize("line", ["", "a.jpg", " 1", "a.jpg 1.0", "a.jpg ٣", "a.jpg 1_0", "a.jpg 99999999999999999999"])
def test_lines_without_path_or_label_are_refused(line: str) -> None:
    assert parse_line(line) is None


def test_a_missing_bare_name_is_taken_as_relative_to_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "fotos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path)
    with pytest.raises(DatasetError, match="Did you mean: fotos"):
        find_layout(workspace.find_dataset("photos"))
    assert workspace.find_dataset("some/photos") == Path("some/photos")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Bildschirmfoto um 10.15.32\u202fAM.png", "Bildschirmfoto um 10.15.32\u202fAM.png"),
        ("\U0001f468\u200d\U0001f52c.jpg", "\U0001f468\u200d\U0001f52c.jpg"),
        ("\u0639\u0631\u0628\u064a.jpg", "\u0639\u0631\u0628\u064a.jpg"),
        ("new\nline\u2028.jpg", "new\\nline\\u2028.jpg"),
        ("\udce9t\udce9.jpg", "\\udce9t\\udce9.jpg"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_line_breaks_and_bidirectional_controls_in_names_are_escaped(name: str, shown: str):
    assert printable(name) == shown
