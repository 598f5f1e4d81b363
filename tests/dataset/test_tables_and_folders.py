"""Tables of labels beside class folders."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions
from tests.support.tables import FOLDERS, LABELS, counts, labelled, refusal, table, write


@pytest.mark.parametrize(("first", "second", "is_refused"), [("a", "b", True), ("ash", "birch", False)])
def test_a_table_of_ambiguous_names_beside_folders_is_reported(
    tmp_path: Path, first: str, second: str, is_refused: bool
) -> None:
    write(tmp_path, *(f"{folder}/{number}.jpg" for folder in (first, second) for number in range(3)))
    write(tmp_path, labels_csv="filename,label\n0.jpg,cat\n1.jpg,dog\n2.jpg,dog\n")
    if is_refused:
        assert "labels.csv:2: '0.jpg' may be 2 images" in refusal(tmp_path)
    else:
        warnings = find_layout(tmp_path).warnings
        assert any("labels.csv was not read: problems in it, 3 of them" in warning for warning in warnings)


@pytest.mark.parametrize("row", ["{name}.jpg,{label}", "{name}.jpg,{number}", "{label}/{name}.jpg,{label}"])
def test_a_table_that_agrees_with_class_folders_changes_nothing(tmp_path: Path, row: str) -> None:
    listing = find_layout(write(tmp_path, *FOLDERS, labels_csv=table("filename,label", row)))
    assert (labelled(listing), listing.layout, listing.warnings) == (LABELS, "a folder per class", ())


def test_a_table_that_agrees_with_class_folders_adds_its_splits(tmp_path: Path) -> None:
    text = table("filename,label,split", "{name}.jpg,{label},train").replace("b2.jpg,birch,train", "b2.jpg,birch,test")
    listing = find_layout(write(tmp_path, *FOLDERS, labels_csv=text))
    assert (labelled(listing), counts(listing)) == (LABELS, (3, 0, 1))


def test_a_table_that_contradicts_class_folders_is_refused_with_both_readings(tmp_path: Path) -> None:
    text = table("filename,label", "{name}.jpg,{label}").replace("a2.jpg,ash", "a2.jpg,birch")
    message = refusal(write(tmp_path, *FOLDERS, labels_csv=text))
    for part in ("'birch' in", "labels.csv:3 for ash/a2.jpg", "--table labels.csv", "--table none"):
        assert part in message
    assert labelled(find_layout(tmp_path, LayoutOptions(table="none"))) == LABELS
    assert labelled(find_layout(tmp_path, LayoutOptions(table="labels.csv"))) == LABELS | {"a2": "birch"}


def test_a_table_is_read_where_the_folders_are_no_classes(tmp_path: Path) -> None:
    images = ("images/000/a1.jpg", "images/001/a2.jpg", "images/000/b1.jpg", "images/001/b2.jpg")
    listing = find_layout(write(tmp_path, *images, labels_csv=table("filename,label", "{name}.jpg,{label}")))
    assert labelled(listing) == LABELS
    assert any(
        "not from the folders 000, 001: table = none reads the folders" in warning for warning in listing.warnings
    )


def test_a_table_of_something_else_beside_class_folders_is_refused_or_left_out(tmp_path: Path) -> None:
    places = {"a1": "indoor", "a2": "outdoor", "b1": "indoor", "b2": "outdoor"}
    rows = [f"{name}.jpg,{place}" for name, place in places.items()]
    write(tmp_path, *FOLDERS, places_csv="\n".join(["filename,type", *rows]))
    assert "--table none" in refusal(tmp_path)
    write(tmp_path, places_csv="\n".join(["filename,type", *rows[:2], ""]), **{"ash__x_txt": "text"})
    write(tmp_path, *(f"{kind}/more{number}.jpg" for kind in ("ash", "birch") for number in range(3)))
    listing = find_layout(tmp_path)
    assert listing.classes == ("ash", "birch")
    assert any("and not places.csv, which labels 2 of 10 images" in warning for warning in listing.warnings)


def test_numbers_are_names_of_images_only_in_a_column_of_names(tmp_path: Path) -> None:
    write(tmp_path, *(f"{kind}/{number}.jpg" for number, kind in enumerate(("cat", "dog") * 5)))
    epochs = "\n".join(["epoch,type,loss", *(f"{epoch},{('warm', 'cold')[epoch // 2 % 2]},0.5" for epoch in range(10))])
    write(tmp_path, history_csv=epochs, cat__0_txt="0 0.5 0.5 0.1 0.1\n")
    listing = find_layout(tmp_path)
    assert (listing.classes, listing.warnings) == (("cat", "dog"), ())
    write(tmp_path, history_csv=epochs.replace("epoch,type", "id,type"))
    assert "--table history.csv" in refusal(tmp_path)


def test_a_table_with_several_columns_of_labels_beside_folders_is_a_warning(tmp_path: Path) -> None:
    text = table("path,noisy_1,noisy_5,is_valid", "{label}/{name}.jpg,{label},{label},False")
    listing = find_layout(write(tmp_path, *FOLDERS, noisy_csv=text))
    assert labelled(listing) == LABELS
    assert any("no table" in warning and "Set label_column" in warning for warning in listing.warnings)


def test_tables_in_each_class_folder_agree_with_the_folders(tmp_path: Path) -> None:
    for label in range(2):
        images = [f"Images/0000{label}/{number}.ppm" for number in range(3)]
        rows = [f"{number}.ppm;29;30;{label}" for number in range(3)]
        text = "\n".join(["Filename;Width;Height;ClassId", *rows])
        write(tmp_path, *images, **{f"Images__0000{label}__GT-0000{label}_csv": text})
    listing = find_layout(tmp_path)
    assert (listing.classes, counts(listing)) == (("00000", "00001"), (6, 0, 0))


def test_files_of_labels_for_each_image_are_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *FOLDERS)
    for number in range(30):
        write(tmp_path, **{f"labels__{number}_txt": "0 0.5 0.5 0.1 0.1\n"})
    opened: list[Path] = []
    monkeypatch.setattr("model.dataset.tables.finding.open_table", opened.append)
    assert labelled(find_layout(tmp_path)) == LABELS
    assert opened == []
