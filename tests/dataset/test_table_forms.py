"""Tables of labels in the forms of public datasets, spreadsheets and annotation tools."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from tests.support.tables import FLAT, LABELS, NAMES, counts, labelled, refusal, table, write

# Tables of the images in FLAT, each with the labels of LABELS: file name, header, row.
FORMS = {
    "kaggle": ("train_csv", "filename,label", "{name}.jpg,{label}"),
    "fastai": ("labels_csv", "name,label", "images/{name}.jpg,{label}"),
    "no header": ("labels_csv", "", "{name}.jpg,{label}"),
    "no header, label first": ("labels_csv", "", "{label},{name}.jpg"),
    "semicolons": ("labels_csv", "Filename;Width;Height;Species", "{name}.jpg;640;480;{label}"),
    "tabs": ("labels_tsv", "image\tlabel", "{name}.jpg\t{label}"),
    "tabs in a text file": ("labels_txt", "image\tlabel", "{name}.jpg\t{label}"),
    "bars": ("labels_csv", "image|label", "{name}.jpg|{label}"),
    "blanks": ("labels_txt", "", "{name}.jpg {label}"),
    "quotes": ("labels_csv", '"file_name","class"', '"{name}.jpg","{label}"'),
    "blanks after commas": ("labels_csv", "file name, class", "{name}.jpg, {label}"),
    "without endings": ("train_csv", "id,breed", "{name},{label}"),
    "other case": ("train_csv", "id,breed", "{name}.JPG,{label}"),
    "aptos": ("train_csv", "id_code,diagnosis", "{name},{label}"),
    "absolute paths": ("train_csv", "path,label", "/home/me/data/images/{name}.jpg,{label}"),
    "windows paths": ("train_csv", "path,label", "C:\\data\\images\\{name}.jpg,{label}"),
    "relative paths": ("train_csv", "path,label", "./images/{name}.jpg,{label}"),
    "deepweeds": ("labels_csv", "Filename,Label,Species", "{name}.jpg,{number},{label}"),
    "imagenet": ("LOC_train_solution_csv", "ImageId,PredictionString", "{name},{label} 1 2 30 40"),
    "imagenet, two boxes": (
        "LOC_train_solution_csv",
        "ImageId,PredictionString",
        "{name},{label} 1 2 3 4 {label} 5 6 7 8 ",
    ),
    "inaturalist": ("observations_csv", "id,observed_on,scientific_name", "{name},2020-01-01,{label}"),
    "ham10000": ("HAM10000_metadata_csv", "image_id,dx,dx_type,age", "{name},{label},histo,50.5"),
    "unknown names": ("x_csv", "picture_of_it,tree,height", "{name}.jpg,{label},1.5"),
    "in a folder": ("meta__labels_csv", "filename,label", "{name}.jpg,{label}"),
    "index column": ("labels_csv", ",filename,label", "{number},{name}.jpg,{label}"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_a_public_dataset_is_read(tmp_path: Path, form: str) -> None:
    name, header, row = FORMS[form]
    listing = find_layout(write(tmp_path, *FLAT, **{name: table(header, row)}))
    assert labelled(listing) == LABELS
    assert (listing.classes, listing.has_splits, listing.root) == (("ash", "birch"), False, tmp_path)
    assert listing.warnings == ()
    assert listing.ignored == ()


def test_images_may_be_beside_the_table(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name}.jpg" for name in NAMES), labels_csv=table("filename,label", "{name}.jpg,{label}"))
    assert labelled(find_layout(tmp_path)) == LABELS


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("sep=;\n", 2),
        ('"sep=;"\r\n', 2),
        ("SEP=;\n", 2),
        ("My labels 2023\n\n", 3),
        ("# exported; 2023; x\n", 2),
        ("# exported\n# by me\n", 3),
        ("Labels;;;\n", 2),
    ],
)
def test_lines_before_the_header_are_passed_over(tmp_path: Path, before: str, line: int) -> None:
    write(tmp_path, *FLAT, labels_csv=before + table("filename;label", "{name}.jpg;{label}"))
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS
    assert len(listing.warnings) == ("sep" not in before.lower())
    write(tmp_path, labels_csv=before + table("filename;label", "{name}.jpg;{label}") + "gone.jpg;ash\n")
    assert f"labels.csv:{line + 5}: no such image" in refusal(tmp_path)


@pytest.mark.parametrize("header", ["#filename,label", ",label", "filename,"])
def test_a_header_is_not_taken_for_a_title(tmp_path: Path, header: str) -> None:
    listing = find_layout(write(tmp_path, *FLAT, labels_csv=table(header, "{name}.jpg,{label}")))
    assert (labelled(listing), listing.warnings) == (LABELS, ())


def test_a_text_with_tabs_that_names_no_image_is_named(tmp_path: Path) -> None:
    rows = "gbifID\tspecies\tcountry\n1\tash\tIS\n2\tbirch\tIS\n"
    message = refusal(write(tmp_path, *FLAT, occurrence_txt=rows, readme_txt="Photos, of trees\nin Iceland, 2020\n"))
    assert "occurrence.txt: expected a column with the names of images" in message
    assert "readme.txt" not in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_are_read_in_the_encodings_of_spreadsheets(tmp_path: Path, encoding: str, newline: str) -> None:
    text = table("filename,label", "{name}.jpg,{label}").replace("birch", "bouleau blanc é")
    write(tmp_path, *FLAT)
    (tmp_path / "labels.csv").write_text(text, encoding=encoding, newline=newline)
    listing = find_layout(tmp_path)
    assert listing.classes == ("ash", "bouleau blanc é")
    assert len(listing.warnings) == (encoding == "cp1252")


def test_a_missing_quotation_mark_is_reported_with_its_line(tmp_path: Path) -> None:
    text = table("filename,label", "{name}.jpg,{label}") + 'c.jpg,"ash\n' + "x" * 200_000
    message = refusal(write(tmp_path, *FLAT, labels_csv=text), table="labels.csv")
    assert "labels.csv:6: expected cells of at most 131,072 characters" in message
    assert "A quotation mark may be missing" in message


def write_workbook(path: Path, rows: Iterable[list], second: bool = False) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if second:
        book.create_sheet("notes").append(["text"])
    book.save(path)


def test_a_workbook_is_read(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{number}.jpg" for number in range(4)))
    rows: list[list] = [["image", "label"], *([number, ("ash", "birch")[number % 2]] for number in range(4))]
    write_workbook(tmp_path / "labels.xlsx", rows)
    listing = find_layout(tmp_path)
    assert (listing.classes, counts(listing), listing.warnings) == (("ash", "birch"), (4, 0, 0), ())
    write_workbook(tmp_path / "labels.xlsx", [*rows, [9, "ash"]], second=True)
    assert "labels.xlsx:6: no such image in the dataset: '9'" in refusal(tmp_path)
    write_workbook(tmp_path / "labels.xlsx", rows, second=True)
    assert "only the first worksheet, 'Sheet', was read, of 2" in find_layout(tmp_path).warnings[0]


def test_a_damaged_workbook_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *FLAT, labels_xlsx="no zip")
    assert "labels.xlsx: expected an Excel workbook (.xlsx), received" in refusal(tmp_path, table="labels.xlsx")


def test_a_workbook_without_openpyxl_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    write(tmp_path, *FLAT)
    write_workbook(tmp_path / "labels.xlsx", [["image", "label"], *([f"{n}.jpg", LABELS[n]] for n in NAMES)])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert 'pip install "topgraft[excel]"' in refusal(tmp_path)
