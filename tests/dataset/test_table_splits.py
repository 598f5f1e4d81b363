"""Splits of tables: a column, a table for each split, and folders of splits."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions
from tests.support.tables import FLAT, LABELS, NAMES, counts, labelled, refusal, table, write


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("split", ("train", "val", "test", "train")),
        ("set", ("Training", "Validation", "TEST", "training")),
        ("partition", ("train_set", "dev", "eval", "train")),
        ("is_valid", ("False", "True", "False", "False")),
        ("is_test", ("0", "0", "1", "0")),
    ],
)
def test_a_split_column_is_read(tmp_path: Path, header: str, cells: tuple[str, ...]) -> None:
    rows = [f"{name}.jpg,{LABELS[name]},{cell}" for name, cell in zip(NAMES, cells, strict=True)]
    listing = find_layout(write(tmp_path, *FLAT, labels_csv="\n".join([f"filename,label,{header}", *rows])))
    assert labelled(listing) == LABELS
    assert listing.has_splits
    expected = {"is_valid": (3, 1, 0), "is_test": (3, 0, 1)}.get(header, (2, 1, 1))
    assert counts(listing) == expected


def test_tables_of_splits_are_read_together(tmp_path: Path) -> None:
    write(tmp_path, *FLAT, "images/t1.jpg", "images/u1.jpg")
    (tmp_path / "train.csv").write_text(table("id,label", "{name},{label}"))
    (tmp_path / "test.csv").write_text("id,label\nt1,ash\n")
    (tmp_path / "sample_submission.csv").write_text("id,label\nu1,ash\n")
    listing = find_layout(tmp_path)
    assert (counts(listing), listing.has_splits) == ((4, 0, 1), True)
    assert "table train.csv" in listing.layout.replace("test.csv, ", "")
    assert any(
        "images without a row in the table were not used, 1 of them: images/u1.jpg" in warning
        for warning in listing.warnings
    )


def rows_of(split: str, header: str = "filename,label", folder: str = "") -> str:
    return "\n".join([header, *(f"{folder}{split}{number}.jpg,{('ash', 'birch')[number % 2]}" for number in range(2))])


# Tables of two or three splits: path of the table -> text, and the folder of the images of each split.
SPLIT_TABLES = {
    "in the folders of splits": {"{split}/metadata.csv": "{split}"},
    "above the images of each split": {"{split}/labels.csv": "{split}/images"},
    "with a word besides": {"y_{split}.csv": "images"},
    "with the word first": {"{split}_y.csv": "images"},
    "in a folder of tables": {"labels/{split}.csv": "images"},
}


@pytest.mark.parametrize("form", SPLIT_TABLES)
@pytest.mark.parametrize("splits", [("train", "test"), ("train", "valid", "test"), ("training", "validation")])
def test_tables_of_splits_keep_the_splits_of_their_author(tmp_path: Path, form: str, splits: tuple[str, ...]) -> None:
    for path, images in SPLIT_TABLES[form].items():
        for split in splits:
            write(tmp_path, *(f"{images.format(split=split)}/{split}{number}.jpg" for number in range(2)))
            (tmp_path / path.format(split=split)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.format(split=split)).write_text(rows_of(split))
    listing = find_layout(tmp_path)
    found = {Path(sample.name).stem[:-1]: split for split in listing.splits for sample in listing.splits[split]}
    meaning = {"training": "train", "valid": "val", "validation": "val"}
    assert found == {split: meaning.get(split, split) for split in splits}
    assert listing.has_splits


@pytest.mark.parametrize("folder", ["", "{split}/"])
def test_one_table_of_images_in_folders_of_splits_keeps_the_splits(tmp_path: Path, folder: str) -> None:
    write(tmp_path, *(f"{split}/{split}{number}.jpg" for split in ("train", "test") for number in range(2)))
    write(tmp_path, "more/more0.jpg")
    rows = [rows_of(split, "", folder.format(split=split)) for split in ("train", "test")]
    (tmp_path / "labels.csv").write_text("filename,label" + "".join(rows) + "\nmore0.jpg,ash\n")
    listing = find_layout(tmp_path)
    assert (counts(listing), listing.has_splits) == ((3, 0, 2), True)
    assert any("1 images in no folder of a split are for training: more/more0.jpg" in text for text in listing.warnings)


def test_a_table_without_a_split_beside_a_table_of_test_images_is_for_training(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{split}{number}.jpg" for split in ("a", "test") for number in range(2)))
    (tmp_path / "labels.csv").write_text(rows_of("a"))
    (tmp_path / "test.csv").write_text(rows_of("test"))
    assert counts(find_layout(tmp_path)) == (2, 0, 2)


def test_a_table_of_other_images_beside_the_tables_of_splits_is_left_out(tmp_path: Path) -> None:
    for split in ("Train", "Test", "Meta"):
        write(tmp_path, *(f"{split}/{split}{number}.jpg" for number in range(2)))
        header = "file,class" if split == "Meta" else "filename,label"
        (tmp_path / f"{split}.csv").write_text(rows_of(split, header, f"{split}/"))
    listing = find_layout(tmp_path)
    assert counts(listing) == (2, 0, 2)
    assert any("only those of splits were read, Test.csv, Train.csv, and not Meta.csv" in w for w in listing.warnings)


def test_tables_of_splits_label_the_test_images_that_folders_do_not(tmp_path: Path) -> None:
    write(tmp_path, *(f"Train/{label}/train{label}{number}.jpg" for label in range(2) for number in range(3)))
    write(tmp_path, *(f"Test/test{number}.jpg" for number in range(2)))
    rows = (f"Train/{label}/train{label}{number}.jpg,{label}" for label in range(2) for number in range(3))
    (tmp_path / "Train.csv").write_text("\n".join(["path,ClassId", *rows]))
    (tmp_path / "Test.csv").write_text("path,ClassId\nTest/test0.jpg,0\nTest/test1.jpg,1\n")
    assert counts(find_layout(tmp_path)) == (6, 0, 2)


@pytest.mark.parametrize("header", ["filename,label", "file,class"])
def test_tables_that_overlap_or_name_other_images_are_refused(tmp_path: Path, header: str) -> None:
    write(tmp_path, *FLAT, one_csv="filename,label\na1.jpg,ash\na2.jpg,ash\nb1.jpg,birch\n")
    (tmp_path / "two.csv").write_text(f"{header}\nb1.jpg,birch\nb2.jpg,birch\n")
    message = refusal(tmp_path)
    assert "found several: one.csv, two.csv" in message
    assert ("cannot be read together" in message) == (header == "filename,label")


def test_a_table_of_test_images_without_labels_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/{name}.jpg" for name in NAMES), *(f"test/{name}.jpg" for name in NAMES))
    (tmp_path / "train.csv").write_text(table("id,label", "{name},{label}"))
    (tmp_path / "test.csv").write_text("id\na1\na2\nb1\n")
    (tmp_path / "sample_submission.csv").write_text(table("id,label", "{name},ash"))
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS
    assert all(sample.name.startswith("train/") for sample in listing.splits["train"])


def test_the_table_with_all_images_is_preferred_to_its_parts(tmp_path: Path) -> None:
    write(tmp_path, *FLAT)
    rows = table("Filename,Label,Species", "{name}.jpg,{number},{label}").splitlines()
    write(tmp_path, labels__labels_csv="\n".join(rows), labels__train_subset0_csv="\n".join(rows[:3]))
    write(tmp_path, labels__train_subset1_csv="\n".join(rows[:1] + rows[2:]))
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS
    assert any("train_subset0.csv, labels/train_subset1.csv were not read" in warning for warning in listing.warnings)


def test_tables_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, *FLAT, one_csv=table("id,label", "{name},{label}"), two_csv=table("id,label", "{name},{name}x"))
    message = refusal(tmp_path)
    assert (
        "found several: one.csv, two.csv. Set table to one of them, such as table = one.csv (--table one.csv)"
        in message
    )
    assert labelled(find_layout(tmp_path, LayoutOptions(table="one.csv"))) == LABELS
