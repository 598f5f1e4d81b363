"""Tables of labels: the forms of public datasets, their problems with file and line, and tables beside folders."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions, Listing
from model.dataset.prepare import prepare_dataset
from model.errors import DatasetError
from tests.support.photos import encoded, random_image

IMAGE = encoded(random_image(1))
NAMES = ("a1", "a2", "b1", "b2")
LABELS = {"a1": "ash", "a2": "ash", "b1": "birch", "b2": "birch"}


def write(root: Path, *images: str, **tables: str) -> Path:
    """Write images, and tables by their names with `_` for `.` and `__` for `/`."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(IMAGE)
    for name, text in tables.items():
        path = root / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def table(header: str, row: str) -> str:
    """A table with the header and a row for each image: a format string of its name, label and number."""
    rows = [row.format(name=name, label=LABELS[name], number=int(name.startswith("b"))) for name in NAMES]
    return "\n".join([header, *rows] if header else rows) + "\n"


def labelled(listing: Listing) -> dict[str, str]:
    """Stem of each image -> its class."""
    samples = [sample for split in listing.splits.values() for sample in split]
    return {Path(sample.name).stem: listing.classes[sample.label] for sample in samples}


def counts(listing: Listing) -> tuple[int, ...]:
    return tuple(len(samples) for samples in listing.splits.values())


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        find_layout(root, LayoutOptions(**options))
    return caught.value.message


FLAT = tuple(f"images/{name}.jpg" for name in NAMES)

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


def test_one_hot_columns_are_read_or_reported_with_their_line(tmp_path: Path) -> None:
    rows = "image_id,healthy,rust,scab\na1,1,0,0\na2,0,0,1\nb1,0,1,0\nb2,0,1,0\n"
    listing = find_layout(write(tmp_path, *FLAT, train_csv=rows))
    assert labelled(listing) == {"a1": "healthy", "a2": "scab", "b1": "rust", "b2": "rust"}
    many = rows + "".join(f"x{number},1.0,0.0,0.0\n" for number in range(30))
    (tmp_path / "train.csv").write_text(many + "c1,1,1,0\nc2,0,0,0\nc3,2,0,0\n")
    write(
        tmp_path, *(f"images/x{number}.jpg" for number in range(30)), *(f"images/c{number}.jpg" for number in (1, 2, 3))
    )
    message = refusal(tmp_path, label_column="")
    assert "train.csv:36: expected a 1 in exactly one of the columns healthy, rust, scab, found 2" in message
    assert "train.csv:37: expected a 1 in exactly one of the columns healthy, rust, scab, found 0" in message
    assert "train.csv:38: expected 0 or 1 in the column healthy" in message


ECOTAXA = (
    "object_id\tobject_lat\tobject_annotation_category\tobject_annotation_status\tobject_annotation_hierarchy\t"
    "img_file_name\timg_rank\n"
    """[t]\t[f]\t[t]\t[t]\t[t]\t[t]\t[f]
o1\t43.1\tash\tvalidated\tliving>tree>ash\ta1.jpg\t0
o1\t43.1\tash\tvalidated\tliving>tree>ash\ta2.jpg\t1
o2\t43.1\tbirch\tValidated\tliving>tree>birch\tb1.jpg\t0
o3\t43.1\tbirch\tvalidated\tliving>tree>birch\tb2.jpg\t0
o4\t43.1\tash\tpredicted\tliving>tree>ash\tc1.jpg\t0
o5\t43.1\tash\tpredicted\tliving>tree>ash\tgone.jpg\t0
o6\t43.1\tash\tdubious\tliving>tree>ash\tc2.jpg\t0
o7\t43.1\t\t\t\tc3.jpg\t0
"""
)


def test_of_an_ecotaxa_table_only_validated_rows_are_used(tmp_path: Path) -> None:
    images = [f"{name}.jpg" for name in (*NAMES, "c1", "c2", "c3")]
    listing = find_layout(write(tmp_path, *images, ecotaxa_export_tsv=ECOTAXA))
    assert labelled(listing) == LABELS
    assert any(
        "4 rows whose object_annotation_status is not validated were not used: 2 predicted, 1 dubious, 1 (empty)"
        in warning
        for warning in listing.warnings
    )
    assert listing.groups["a1.jpg"] == listing.groups["a2.jpg"] != listing.groups["b1.jpg"]


@pytest.mark.parametrize(
    "header",
    [
        "object_id\tobject_annotation_category\tobject_annotation_status\timg_file_name",
        "obj.orig_id\ttxo.display_name\tobj.classif_qual\timg.file_name",
    ],
)
@pytest.mark.parametrize("states", [("V", "P", "D"), ("validated", "predicted", "dubious")])
def test_rows_of_ecotaxa_are_used_by_their_states(tmp_path: Path, header: str, states: tuple[str, ...]) -> None:
    good, predicted, dubious = states
    rows = [f"o{name}\t{LABELS[name]}\t{good}\t{name}.jpg" for name in NAMES]
    rest = [f"oc1\tash\t{predicted}\tc1.jpg", f"oc2\tash\t{dubious}\tc2.jpg"]
    write(tmp_path, *(f"{name}.jpg" for name in (*NAMES, "c1", "c2")), e_tsv="\n".join([header, *rows, *rest]))
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS
    assert any(f"not validated were not used: 1 {predicted}, 1 {dubious}" in warning for warning in listing.warnings)
    write(tmp_path, e_tsv="\n".join([header, *rest]))
    message = refusal(tmp_path, table="e.tsv")
    assert "expected labels of two classes or more, found none. e.tsv: 2 rows whose" in message
    assert "remove the column with their states to use all rows" in message


@pytest.mark.parametrize("text", ["NaN", "nan", "NA", "null", "N/A", "#N/A", "<NA>"])
def test_a_text_for_a_missing_value_is_no_class(tmp_path: Path, text: str) -> None:
    rows = table("filename,label,group", "{name}.jpg,{label},NaN")
    write(tmp_path, *FLAT, labels_csv=rows)
    assert find_layout(tmp_path).groups == {}
    write(tmp_path, labels_csv=rows.replace("b2.jpg,birch", f"b2.jpg,{text}"))
    assert f"labels.csv:5: expected a label in the column label, found '{text}'" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["none", "None", "Na", "unknown"])
def test_names_that_may_be_classes_are_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, *FLAT, labels_csv=table("filename,label", "{name}.jpg,{label}").replace("birch", name))
    assert set(find_layout(tmp_path).classes) == {"ash", name}


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


@pytest.mark.parametrize("suffix", ["csv.gz", "ods", "json", "jsonl", "xls", "parquet"])
def test_a_table_in_a_form_that_is_not_read_is_named(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, *FLAT)
    (tmp_path / f"labels.{suffix}").write_bytes(b"{}")
    message = refusal(tmp_path)
    assert f"labels.{suffix}: not read: expected a table as .csv, .tsv or .xlsx. Save it as CSV" in message


def test_a_text_with_tabs_that_names_no_image_is_named(tmp_path: Path) -> None:
    rows = "gbifID\tspecies\tcountry\n1\tash\tIS\n2\tbirch\tIS\n"
    message = refusal(write(tmp_path, *FLAT, occurrence_txt=rows, readme_txt="Photos, of trees\nin Iceland, 2020\n"))
    assert "occurrence.txt: expected a column with the names of images" in message
    assert "readme.txt" not in message


def test_constant_columns_are_no_classes(tmp_path: Path) -> None:
    rows = table("filename,file_size,region_count,region_id", "{name}.jpg,100,1,0")
    message = refusal(write(tmp_path, *FLAT, labels_csv=rows))
    assert "labels.csv: expected a column of labels" in message


def test_ecotaxa_tables_of_several_samples_are_one_dataset(tmp_path: Path) -> None:
    header, types, *rows = ECOTAXA.splitlines(keepends=True)
    for number, part in enumerate((rows[:2], rows[2:4])):
        names = [f"sample{number}/" + row.split("\t")[5] for row in part]
        write(tmp_path, *names, **{f"sample{number}__ecotaxa_tsv": "".join([header, types, *part])})
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS


def test_a_category_of_two_taxa_is_a_warning(tmp_path: Path) -> None:
    text = ECOTAXA.replace("living>tree>ash\ta2", "living>dust>ash\ta2")
    listing = find_layout(write(tmp_path, *(f"{name}.jpg" for name in (*NAMES, "c1", "c2", "c3")), e_tsv=text))
    assert any("such as ash: living>dust>ash and living>tree>ash" in warning for warning in listing.warnings)


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


def test_columns_can_be_set(tmp_path: Path) -> None:
    rows = "one,two,three,four,five\n" + "".join(
        f"{name}.jpg,{LABELS[name]},{LABELS[name][0]},{split},{group}\n"
        for name, split, group in zip(NAMES, ("train", "train", "train", "test"), "xxyy", strict=True)
    )
    write(tmp_path, *FLAT, meta__labels_csv=rows, other_csv=rows)
    columns = {"image_column": "one", "label_column": "THREE", "split_column": "4", "group_column": "five"}
    listing = find_layout(tmp_path, LayoutOptions(table="meta/labels.csv", **columns))
    assert (listing.classes, counts(listing)) == (("a", "b"), (3, 0, 1))
    assert listing.groups["images/a1.jpg"] == "x"
    assert find_layout(tmp_path, LayoutOptions(table=str(tmp_path / "other.csv"), **columns)).classes == ("a", "b")
    message = refusal(tmp_path, table="other.csv", label_column="colour")
    assert "expected label_column to be one of its columns, the columns one, two, three, four, five" in message
    assert "received 'colour'" in message
    assert "Found meta/labels.csv, other.csv" in refusal(tmp_path, table="labels.csv").replace(
        "other.csv, meta/labels.csv", "meta/labels.csv, other.csv"
    )


def test_a_table_outside_the_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "photos", *FLAT)
    (tmp_path / "secret.csv").write_text(table("filename,label", "{name}.jpg,{label}"))
    (tmp_path / "photos" / "link.csv").symlink_to(tmp_path / "secret.csv")
    for name in ("../secret.csv", str(tmp_path / "secret.csv"), "link.csv"):
        assert "expected the option table to name a file in the dataset" in refusal(tmp_path / "photos", table=name)


def test_all_problems_of_a_table_are_reported_with_file_and_line(tmp_path: Path) -> None:
    text = table("filename,label,split", "{name}.jpg,{label},train") + (
        "gone.jpg,ash,train\n"
        "a1.jpg,birch,train\n"
        "b1.jpg,birch,train\n"
        "c1.jpg,,train\n"
        ",ash,train\n"
        "\n"
        '"c2.jpg",ash,tarin\n'
        "same.jpg,ash,train\n"
        "c3.jpg,ash,,and,more\n"
    )
    write(
        tmp_path, *FLAT, *(f"images/c{number}.jpg" for number in (1, 2, 3)), "x/same.jpg", "y/same.jpg", labels_csv=text
    )
    message = refusal(tmp_path)
    csv = tmp_path / "labels.csv"
    for part in (
        "8 problems in the dataset",
        f"{csv}:6: no such image in the dataset: 'gone.jpg'",
        f"{csv}:7: images/a1.jpg has two labels: 'birch', and 'ash' in {csv}:2",
        f"{csv}:8: images/b1.jpg has a row already, {csv}:4",
        f"{csv}:9: expected a label in the column label, found an empty cell",
        f"{csv}:10: expected the name of an image, found an empty cell",
        f"{csv}:12: expected train, val or test as the split, received 'tarin'",
        f"{csv}:13: 'same.jpg' may be 2 images: x/same.jpg, y/same.jpg. Write the path in the table",
        f"{csv}:14: expected 3 cells, found 5",
    ):
        assert part in message


def test_very_many_problems_of_a_table_are_counted(tmp_path: Path) -> None:
    text = table("filename,label", "{name}.jpg,{label}") + "".join(f"gone{number}.jpg,ash\n" for number in range(4))
    many = text + "".join(f"lost{number}.jpg,ash\n" for number in range(500))
    write(tmp_path, *FLAT, labels_csv=many)
    assert "504 problems" in refusal(tmp_path, table="labels.csv")
    assert "... and 474 more" in refusal(tmp_path, table="labels.csv")


@pytest.mark.parametrize(
    ("first", "second"), [("scab", "scab rust"), ("scab, rust", "scab"), ("x|y", "x"), ("scab;rust", "scab")]
)
def test_images_with_several_labels_are_refused(tmp_path: Path, first: str, second: str) -> None:
    labels = ("scab", "rust", first, second)
    rows = [f'{name}.jpg,"{label}"' for name, label in zip(NAMES, labels, strict=True)]
    assert "expected one label for each image, found several" in refusal(
        write(tmp_path, *FLAT, labels_csv="\n".join(["filename,labels", *rows]))
    )


def test_names_of_classes_may_contain_blanks_and_commas(tmp_path: Path) -> None:
    rows = ['a1.jpg,"ash, common"', 'a2.jpg,"ash, common"', "b1.jpg,silver birch", "b2.jpg,silver birch"]
    listing = find_layout(write(tmp_path, *FLAT, labels_csv="\n".join(["filename,label", *rows])))
    assert listing.classes == ("ash, common", "silver birch")


def test_numbers_as_labels_are_sorted_as_numbers(tmp_path: Path) -> None:
    rows = [f"{name}.jpg,{label}" for name, label in zip(NAMES, ("10", "2", "10", "2"), strict=True)]
    assert find_layout(write(tmp_path, *FLAT, labels_csv="\n".join(["filename,label", *rows]))).classes == ("2", "10")


def test_measurements_are_no_labels(tmp_path: Path) -> None:
    rows = [f"{name}.jpg,{value}" for name, value in zip(NAMES, ("0.5", "1.25", "2.75", "3.1"), strict=True)]
    message = refusal(write(tmp_path, *FLAT, labels_csv="\n".join(["filename,score", *rows])))
    assert "labels.csv: expected a column of labels, found none among the columns filename, score" in message


def test_several_possible_columns_of_labels_are_named(tmp_path: Path) -> None:
    rows = ["a1.jpg,Pinus,P. nigra", "a2.jpg,Pinus,P. mugo", "b1.jpg,Picea,P. abies", "b2.jpg,Picea,P. abies"]
    write(tmp_path, *FLAT, labels_csv="\n".join(["filename,taxon,species", *rows]))
    assert "found several that could be it: taxon, species. Set label_column" in refusal(tmp_path)
    assert find_layout(tmp_path, LayoutOptions(label_column="taxon")).classes == ("Picea", "Pinus")


def test_a_table_with_possible_groups_offers_them(tmp_path: Path) -> None:
    rows = ["a1.jpg,ash,p1", "a2.jpg,ash,p1", "b1.jpg,birch,p2", "b2.jpg,birch,p3"]
    write(tmp_path, *FLAT, labels_csv="\n".join(["filename,label,patient_id", *rows]))
    assert any("group_column = patient_id keeps them in one" in warning for warning in find_layout(tmp_path).warnings)
    grouped = find_layout(tmp_path, LayoutOptions(group_column="patient_id"))
    assert grouped.groups["images/a1.jpg"] == grouped.groups["images/a2.jpg"]
    assert not grouped.warnings


def test_groups_of_a_table_stay_in_one_split(tmp_path: Path) -> None:
    lines = ["filename,label,group"]
    for number in range(40):
        path = tmp_path / "photos" / "images" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(random_image(number)))
        lines.append(f"{number}.jpg,{('ash', 'birch')[number % 2]},g{number // 4}")
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(lines))
    verdict = prepare_dataset(tmp_path / "photos", TrainConfig(folds=0), tmp_path / "work")
    split_of = {s.name: split for split in ("train", "val", "test") for s in verdict.dataset.split(split)}
    for group in range(10):
        assert len({split_of[f"images/{4 * group + member}.jpg"] for member in range(4)}) == 1


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


FOLDERS = ("ash/a1.jpg", "ash/a2.jpg", "birch/b1.jpg", "birch/b2.jpg")


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
    text = table("path,noisy_1,noisy_5,is_valid", "{label}/{name}.jpg,{label},{number},False")
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


def test_a_table_that_names_no_image_is_part_of_the_error(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, *FLAT, labels_csv="filename,label\nq.jpg,ash\nr.jpg,birch\n"))
    assert "found images of one: images" in message
    assert "labels.csv: expected a column with the names of images of the dataset, found none" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_are_read_in_the_encodings_of_spreadsheets(tmp_path: Path, encoding: str, newline: str) -> None:
    text = table("filename,label", "{name}.jpg,{label}").replace("birch", "bouleau blanc é")
    write(tmp_path, *FLAT)
    (tmp_path / "labels.csv").write_text(text, encoding=encoding, newline=newline)
    listing = find_layout(tmp_path)
    assert listing.classes == ("ash", "bouleau blanc é")
    assert len(listing.warnings) == (encoding == "cp1252")


def test_images_of_one_name_are_found_by_their_folders(tmp_path: Path) -> None:
    write(tmp_path, *(f"data/{name}/image.jpg" for name in NAMES))
    (tmp_path / "labels.csv").write_text(table("path,label", "D:\\old\\data\\{name}\\image.jpg,{label}"))
    listing = find_layout(tmp_path, LayoutOptions(table="labels.csv"))
    found = {sample.name.split("/")[1]: sample.label for sample in listing.splits["train"]}
    assert found == {"a1": 0, "a2": 0, "b1": 1, "b2": 1}


def test_decomposed_names_of_macos_are_found(tmp_path: Path) -> None:
    write(tmp_path, "images/e\u0301.jpg", *FLAT)
    (tmp_path / "labels.csv").write_text(table("filename,label", "{name}.jpg,{label}") + "\u00e9.jpg,ash\n")
    assert len(find_layout(tmp_path).splits["train"]) == 5


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


def test_options_of_tables_without_a_table_are_reported(tmp_path: Path) -> None:
    write(tmp_path, *FOLDERS)
    warnings = find_layout(tmp_path, LayoutOptions(label_column="x", group_column="y")).warnings
    assert any("label_column = 'x' was not used" in warning for warning in warnings)
    assert any("group_column = 'y' was not used" in warning for warning in warnings)


def test_images_directory_restricts_the_search(tmp_path: Path) -> None:
    write(tmp_path, *(f"{size}/{name}.jpg" for size in ("large", "small") for name in NAMES))
    (tmp_path / "labels.csv").write_text(table("filename,label", "{name}.jpg,{label}"))
    assert "'a1.jpg' may be 2 images: large/a1.jpg, small/a1.jpg" in refusal(tmp_path, table="labels.csv")
    listing = find_layout(tmp_path, LayoutOptions(images_directory="small"))
    assert labelled(listing) == LABELS
    assert all(sample.name.startswith("small/") for sample in listing.splits["train"])


def test_files_of_labels_for_each_image_are_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *FOLDERS)
    for number in range(30):
        write(tmp_path, **{f"labels__{number}_txt": "0 0.5 0.5 0.1 0.1\n"})
    opened: list[Path] = []
    monkeypatch.setattr("model.dataset.table_finding.open_table", opened.append)
    assert labelled(find_layout(tmp_path)) == LABELS
    assert opened == []
