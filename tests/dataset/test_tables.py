"""Tables of labels: their columns, names of images, and problems with file and line."""

from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions
from model.dataset.prepare import prepare_dataset
from tests.support.photos import encoded, random_image
from tests.support.tables import FLAT, FOLDERS, LABELS, NAMES, counts, labelled, refusal, table, write


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


def test_constant_columns_are_no_classes(tmp_path: Path) -> None:
    rows = table("filename,file_size,region_count,region_id", "{name}.jpg,100,1,0")
    message = refusal(write(tmp_path, *FLAT, labels_csv=rows))
    assert "labels.csv: expected a column of labels" in message


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


def test_a_table_that_names_no_image_is_part_of_the_error(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, *FLAT, labels_csv="filename,label\nq.jpg,ash\nr.jpg,birch\n"))
    assert "found images of one: images" in message
    assert "labels.csv: expected a column with the names of images of the dataset, found none" in message


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
