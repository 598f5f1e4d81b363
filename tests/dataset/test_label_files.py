"""Files of labels in forms that are not read: named by their kind, and never taken for classes."""

import json
from pathlib import Path

import pytest

from model.dataset.label_files import describe_unread
from model.dataset.layouts import find_layout
from tests.support.tables import FLAT, FOLDERS, LABELS, labelled, refusal, write

TABLE = "a table with a column of file names and one of labels, as .csv, .tsv or .xlsx"


@pytest.mark.parametrize("suffix", ["csv.gz", "tsv.bz2", "ods", "json", "jsonl", "xls", "parquet", "sqlite"])
def test_a_table_in_a_form_that_is_not_read_is_named(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, *FLAT)
    (tmp_path / f"labels.{suffix}").write_bytes(b"{}")
    assert f"labels.{suffix}: not read: expected {TABLE}. Save it as CSV" in refusal(tmp_path)


# File -> beginning of its content, and the kind in the message.
ANNOTATIONS = {
    "instances_train.json": ('{"images": [{"id": 1, "file_name": "a1.jpg"}], "annotations": []}', "COCO"),
    "panoptic.json": ('{"annotations": [{"image_id": 1, "category_id": 2}]}', "COCO"),
    "via.json": (
        '{"a1.jpg100": {"filename": "a1.jpg", "regions": [{"region_attributes": {}}]}}',
        "VGG Image Annotator",
    ),
    "export.json": ('[{"id": 1, "annotations": [{"result": []}]}]', "Label Studio"),
    "a1.json": ('{"shapes": [], "imagePath": "a1.jpg"}', "LabelMe"),
    "_annotations.createml.json": ('[{"image": "a1.jpg", "annotations": []}]', "CreateML"),
    "a1.xml": ("<annotation><object><name>ash</name></object></annotation>", "Pascal VOC"),
    "cvat.xml": ('<annotations><image id="0" name="a1.jpg"></image></annotations>', "CVAT"),
    "data.yaml": ("names: [ash, birch]\ntrain: images/train\n", "YOLO"),
    "imagelabels.mat": ("MATLAB 5.0 MAT-file", "MATLAB"),
    "labels.npy": ("\x93NUMPY", "Python"),
    "train.tfrecord": ("x", "TFRecords"),
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations_of_other_programs_are_named_by_their_kind(tmp_path: Path, name: str) -> None:
    text, kind = ANNOTATIONS[name]
    write(tmp_path, *FLAT)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / name).write_text(text)
    line = next(line for line in refusal(tmp_path).splitlines() if f"annotations/{name}: not read" in line)
    assert kind in line
    command = f"Make a dataset of it: topgraft import-labels {tmp_path}/annotations/{name} DIR"
    assert (command if kind in ("COCO", "Label Studio") else f"Write the labels to {TABLE}") in line


def test_of_annotations_for_each_image_one_is_named(tmp_path: Path) -> None:
    write(tmp_path, *FLAT)
    for number in range(50):
        (tmp_path / f"{number:02d}.xml").write_text("<annotation><object></object></annotation>")
    assert refusal(tmp_path).count("Pascal VOC") == 1


def test_annotations_beside_class_folders_change_nothing(tmp_path: Path) -> None:
    write(tmp_path, *FOLDERS)
    (tmp_path / "instances.json").write_text(ANNOTATIONS["instances_train.json"][0])
    listing = find_layout(tmp_path)
    assert (labelled(listing), listing.warnings, listing.ignored) == (LABELS, (), ("instances.json",))


def via_table(column: str) -> str:
    """Table as VGG Image Annotator exports it, with the labels in one of its two columns of attributes."""
    names = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    rows = [names]
    for name, label in LABELS.items():
        cells = {"file_attributes": {}, "region_attributes": {}} | {column: {"class": label}}
        files, regions = ('"' + json.dumps(cell).replace('"', '""') + '"' for cell in cells.values())
        rows.append(f'{name}.jpg,100,{files},1,0,"{{""name"":""rect"",""x"":1}}",{regions}')
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("column", ["file_attributes", "region_attributes"])
def test_json_in_the_cells_of_a_table_is_no_label(tmp_path: Path, column: str) -> None:
    write(tmp_path, *FLAT, via_csv=via_table(column))
    assert "via.csv: expected a column of labels, found JSON in the column" in refusal(tmp_path)
    message = refusal(tmp_path, label_column=column)
    assert f"via.csv:2: expected a label in the column {column}, found JSON: {{" in message
    assert labelled(find_layout(write(tmp_path / "folders", *FOLDERS, via_csv=via_table(column)))) == LABELS


@pytest.mark.parametrize("label", ["[ash]", "{ash}", "ash [sic]", "(ash)"])
def test_brackets_alone_are_no_json(tmp_path: Path, label: str) -> None:
    rows = "\n".join(
        ["filename,label", *(f"{name}.jpg,{label if value == 'ash' else value}" for name, value in LABELS.items())]
    )
    assert set(find_layout(write(tmp_path, *FLAT, labels_csv=rows)).classes) == {label, "birch"}


def test_the_advice_quotes_a_path_with_blanks(tmp_path: Path) -> None:
    path = tmp_path / "my export.json"
    path.write_text('{"images": [{"file_name": "a.png"}]}')
    assert describe_unread(path).endswith(f"topgraft import-labels '{path}' DIR")
