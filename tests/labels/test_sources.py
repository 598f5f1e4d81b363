"""What a source of labels is, and what is read from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import DatasetError
from model.labels.regions import Box, Labels, Region
from model.labels.sources import labels_in_files, read_labels
from tests.labels.label_studio_tasks import annotation, box_item, choice_item, task


def read(folder: Path, content: Any, control: str = "", name: str = "export.json") -> Labels:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_labels(path, control)


def regions(labels: Labels) -> list[Region]:
    return [region for one in labels.tasks for entry in one.annotations for region in entry.regions]


def test_the_boxes_of_an_export_are_read(tmp_path: Path) -> None:
    labels = read(tmp_path, [task(5, annotation(box_item("cat", rotation=15), by=7, updated_at="2026-01-01"))])
    [one] = labels.tasks
    assert (one.name, one.address) == ("5", "/data/upload/1/0a1b2c3d-photo_5.png")
    [entry] = one.annotations
    assert (entry.name, entry.annotator, entry.updated) == ("1", "7", "2026-01-01")
    assert entry.regions == (Region("r1", ("cat",), Box(0.25, 0.25, 0.25, 0.25, 15.0), (320, 240)),)


def test_old_exports_have_completions_and_the_size_inside_the_value(tmp_path: Path) -> None:
    item = box_item()
    item["value"] |= {"original_width": item.pop("original_width"), "original_height": item.pop("original_height")}
    item["value"].pop("rotation")
    old = task(1)
    old["completions"] = [{"id": 3, "result": [item], "created_username": " a@b.org, 1"}]
    del old["annotations"]
    [region] = regions(read(tmp_path, [old]))
    assert region.photo_size == (320, 240) and region.box == Box(0.25, 0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("kind", "value", "box"),
    [
        ("polygonlabels", {"points": [[10, 20], [30, 20], [30, 60]]}, Box(0.1, 0.2, 0.2, 0.4, 0.0)),
        (
            "ellipselabels",
            {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 30},
            Box(0.4, 0.3, 0.2, 0.4, 30.0, True),
        ),
        ("labels", {"x": 10, "y": 20, "width": 30, "height": 40}, Box(0.1, 0.2, 0.3, 0.4, 0.0)),
        ("choices", {"x": 10, "y": 20, "width": 30, "height": 40}, Box(0.1, 0.2, 0.3, 0.4, 0.0)),
        ("choices", {}, None),
    ],
)
def test_each_kind_of_label_has_its_box(tmp_path: Path, kind: str, value: dict[str, Any], box: Box | None) -> None:
    item = {"id": "a", "type": kind, "from_name": "x", "to_name": "image", "value": value | {kind: ["cat"]}}
    [region] = regions(read(tmp_path, [task(1, annotation(item))]))
    assert region.labels == ("cat",)
    assert (region.box is None) == (box is None)
    if box is not None and region.box is not None:
        assert region.box.rectangle(1, 1) == pytest.approx(box.rectangle(1, 1))


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_photo_that_is_turned_on_the_page_has_the_box_of_the_photo_as_it_is(tmp_path: Path, turned: int) -> None:
    [region] = regions(read(tmp_path, [task(1, annotation(box_item() | {"image_rotation": turned}))]))
    assert region.box == Box(0.25, 0.25, 0.25, 0.25) and region.photo_size == (320, 240)


def test_a_shape_with_its_label_in_another_item_is_read_once(tmp_path: Path) -> None:
    shape = {"id": "a", "type": "rectangle", "from_name": "r", "value": {"x": 10, "y": 20, "width": 30, "height": 40}}
    label = shape | {"type": "labels", "from_name": "x", "value": shape["value"] | {"labels": ["cat"]}}
    unlabelled = shape | {"id": "b"}
    labels = read(tmp_path, [task(1, annotation(shape, label, unlabelled))])
    assert [region.name for region in regions(labels)] == ["a"]
    assert labels.left_out == {"rectangle without a label": 1}


def test_what_is_no_label_of_an_image_is_counted(tmp_path: Path) -> None:
    brush = {"id": "b", "type": "brushlabels", "from_name": "brush", "value": {"brushlabels": ["cat"], "rle": [1]}}
    point = {"id": "k", "type": "keypointlabels", "from_name": "key", "value": {"x": 1, "y": 1}}
    video = {"id": "v", "type": "videorectangle", "from_name": "video", "value": {"sequence": [], "labels": ["cat"]}}
    cancelled = annotation(box_item(), name=9) | {"was_cancelled": True}
    one = task(1, annotation(box_item(), brush, point, video), cancelled, predictions=[{"result": [box_item("dog")]}])
    labels = read(tmp_path, [one])
    assert [region.labels for region in regions(labels)] == [("cat",)]
    kinds = ("cancelled annotations", "predictions", "brushlabels", "keypointlabels", "videorectangle")
    assert labels.left_out == dict.fromkeys(kinds, 1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"x": None}, "expected x of the box"),
        ({"width": 0}, "width and a height, received one of size 0"),
        ({"y": "12"}, "y: expected a number, received '12'"),
    ],
)
def test_a_region_that_cannot_be_used_is_listed(tmp_path: Path, value: dict[str, Any], reason: str) -> None:
    labels = read(tmp_path, [task(4, annotation(box_item(**value)))])
    [(name, region, why)] = labels.unusable
    assert (name, region) == ("4", "r1") and reason in why


def test_several_labels_on_one_box_are_listed(tmp_path: Path) -> None:
    item = box_item()
    item["value"]["rectanglelabels"] = ["cat", "dog"]
    labels = read(tmp_path, [task(4, annotation(item))])
    assert labels.unusable == (("4", "r1", "expected one label, received 'cat', 'dog'"),)


def test_labels_of_several_controls_need_the_name_of_one(tmp_path: Path) -> None:
    content = [task(1, annotation(box_item("cat"), choice_item("sharp")))]
    with pytest.raises(DatasetError, match=r"several: label \(1 label\), kind \(1 label\)\. .* --control label"):
        read(tmp_path, content)
    labels = read(tmp_path, content, "kind")
    assert [region.labels for region in regions(labels)] == [("sharp",)]
    assert labels.left_out == {"rectanglelabels of the control 'label'": 1}
    with pytest.raises(DatasetError, match="expected labels of the control 'no', found label"):
        read(tmp_path, content, "no")


def test_the_files_of_a_target_storage_are_read(tmp_path: Path) -> None:
    for number, (name, items) in enumerate([("cat", [box_item("cat")]), ("dog", [box_item("dog")]), ("", [])], start=1):
        inside = {"id": number // 2, "data": {"image": f"s3://bucket/photo {number // 2}.png"}}
        stored = annotation(*items, name=number, by={"id": number, "email": f"{name}@example.org"}) | {"task": inside}
        stored["was_cancelled"] = not items
        (tmp_path / str(number)).write_text(json.dumps(stored))
    (tmp_path / "photo.png").write_bytes(b"")
    labels = read_labels(tmp_path)
    assert [one.name for one in labels.tasks] == ["0", "1"]
    assert [region.labels for region in regions(labels)] == [("cat",), ("dog",)]
    assert labels.tasks[0].annotations[0].annotator == "cat@example.org"
    assert labels.left_out == {"cancelled annotations": 1}


def coco(**more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "categories": [{"id": 0, "name": "animals"}, {"id": 1, "name": "cat"}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [20, 10, 40, 50]}],
    } | more


def test_a_coco_file_is_read(tmp_path: Path) -> None:
    [region] = regions(read(tmp_path, coco()))
    assert region.labels == ("cat",) and region.box is not None
    assert region.box.rectangle(200, 100) == pytest.approx((20, 10, 40, 50, 0))


def test_turned_boxes_of_cvat_turn_about_their_centre(tmp_path: Path) -> None:
    turned = [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [20, 10, 40, 50], "attributes": {"rotation": 90.0}}]
    [region] = regions(read(tmp_path, coco(annotations=turned)))
    assert region.box is not None
    assert region.box.rectangle(200, 100).outer() == pytest.approx((15, 15, 50, 40, 0))


def test_an_outline_of_coco_without_a_box_gives_the_box_around_it(tmp_path: Path) -> None:
    outline = [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": [[20, 10, 60, 10, 60, 60]]}]
    [region] = regions(read(tmp_path, coco(annotations=outline)))
    assert region.box is not None
    assert region.box.rectangle(200, 100) == pytest.approx((20, 10, 40, 50, 0))


def test_an_export_of_vgg_image_annotator_is_read(tmp_path: Path) -> None:
    tool = "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via/)"
    information = {"version": "1.0", "description": f"VIA project exported to COCO format using {tool}"}
    photo = {"id": "3", "width": 200, "height": 100, "file_name": "a.png", "license": 0, "date_captured": ""}
    rectangle = {"segmentation": [20, 10, 60, 10, 60, 60, 20, 60], "area": 2000, "bbox": [20, 10, 40, 50], "iscrowd": 0}
    found = [
        rectangle | {"id": 1, "image_id": 3, "category_id": 1},
        rectangle | {"id": 2, "image_id": "3", "category_id": "1", "bbox": []},
        rectangle | {"id": 3, "image_id": "3", "category_id": 1, "segmentation": [5, 5], "bbox": [5, 5, 0, 0]},
    ]
    names = [{"supercategory": "type", "id": 1, "name": "cat"}]
    labels = read(tmp_path, {"info": information, "images": [photo], "annotations": found, "categories": names})
    assert [region.name for region in regions(labels)] == ["1", "2"]
    for region in regions(labels):
        assert region.labels == ("cat",) and region.box is not None
        assert region.box.rectangle(200, 100) == pytest.approx((20, 10, 40, 50, 0))
    assert [(name, why) for _, name, why in labels.unusable] == [
        ("3", "expected a box with a width and a height, received 0 x 0 pixels")
    ]


def test_coco_of_label_studio_warns_of_turned_boxes(tmp_path: Path) -> None:
    labels = read(tmp_path, coco(info={"contributor": "Label Studio"}))
    assert labels.warnings and "rotated boxes are wrong" in labels.warnings[0]


def test_coco_files_in_folders_of_splits_are_read_together(tmp_path: Path) -> None:
    for folder in ("train", "valid"):
        copy = {"id": 1, "file_name": "a.png", "width": 200, "height": 100, "extra": {"name": "source.png"}}
        read(tmp_path, coco(images=[copy]), name=f"{folder}/_annotations.coco.json")
    labels = read_labels(tmp_path)
    assert [(one.name, one.address, one.split, one.group) for one in labels.tasks] == [
        ("train/1", "train/a.png", "train", "source.png"),
        ("valid/1", "valid/a.png", "val", "source.png"),
    ]


def test_coco_files_of_splits_in_one_folder_keep_their_photos_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        photo = {"id": 1, "file_name": f"{split}.png", "width": 200, "height": 100}
        read(tmp_path, coco(images=[photo]), name=f"annotations/instances_{split}.json")
    assert [(one.name, one.address, one.split) for one in read_labels(tmp_path).tasks] == [
        ("annotations/instances_train.json/1", "annotations/train.png", "train"),
        ("annotations/instances_val.json/1", "annotations/val.png", "val"),
    ]


def test_tasks_of_one_identifier_are_one_task(tmp_path: Path) -> None:
    first, again = annotation(box_item("cat"), by=1), annotation(box_item("dog"), name=2, by=2)
    labels = read(tmp_path, [task(5, first), task(6, first), task(5, first, again, image=task(5)["data"]["image"])])
    assert [(one.name, len(one.annotations)) for one in labels.tasks] == [("5", 2), ("6", 1)]
    signed = [
        task(5, one, image=f"https://host/a.png?signature={at}") for at, one in enumerate((first, again), start=1)
    ]
    assert [(one.name, len(one.annotations)) for one in read(tmp_path, signed).tasks] == [("5", 2)]


@pytest.mark.parametrize("missing", [{}, {"id": None}])
def test_tasks_without_identifiers_are_different_tasks(tmp_path: Path, missing: dict[str, Any]) -> None:
    tasks = [task(number, annotation(box_item())) for number in (1, 2)]
    content = [{key: value for key, value in one.items() if key != "id"} | missing for one in tasks]
    labels = read(tmp_path, content)
    assert [(one.name, one.address[-5:]) for one in labels.tasks] == [("1", "1.png"), ("2", "2.png")]


def test_annotations_of_two_projects_with_equal_identifiers_are_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        inside = {"id": 7, "data": {"image": f"s3://bucket/{number}.png"}}
        (tmp_path / str(number)).write_text(json.dumps(annotation(box_item(), name=number) | {"task": inside}))
    with pytest.raises(DatasetError, match=r"expected one task '7', found two .*1\.png.*2\.png.* into its own folder"):
        read_labels(tmp_path)


def test_a_task_without_labels_needs_no_photo(tmp_path: Path) -> None:
    both = {"left": "a.png", "right": "b.png"}
    labels = read(tmp_path, [task(1, annotation(), data=both), task(2, annotation(box_item()))])
    assert [one.address for one in labels.tasks] == ["", "/data/upload/1/0a1b2c3d-photo_2.png"]


def two_photos(number: int, *shown: str, **data: str) -> dict[str, Any]:
    """A task of two photos, with a box in each of those shown."""
    boxes = [box_item(name=f"r{at}") | {"to_name": name} for at, name in enumerate(shown)]
    return task(number, annotation(*boxes), data={"left": "a.png", "right": "b.png"} | data)


@pytest.mark.parametrize(
    ("shown", "data", "address"),
    [
        ("right", {}, "b.png"),
        ("photo", {"right": "words"}, "a.png"),
        ("photo", {"image": "c.png", "left": "https://host/page", "right": "words"}, "c.png"),
    ],
)
def test_a_task_of_several_photos_has_the_one_that_its_labels_name(
    tmp_path: Path, shown: str, data: dict[str, str], address: str
) -> None:
    assert [one.address for one in read(tmp_path, [two_photos(1, shown, **data)]).tasks] == [address]


def test_all_tasks_whose_photo_is_not_known_are_listed(tmp_path: Path) -> None:
    content = [two_photos(1, "second"), two_photos(2, "right"), two_photos(3, "left", "right")]
    content.append(two_photos(4, "second", image="c.png"))
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, content)
    one, three, four = caught.value.message.splitlines()[1:]
    assert "task 1: expected one photo, received several: left, right, and the labels belong to 'second'" in one
    assert "task 3: expected labels of one photo, received some of several: 'left', 'right'" in three
    assert "task 4: expected one photo, received several: left, right, image" in four


@pytest.mark.parametrize("address", ["photo #1.png", "a?b.png", "s3://bucket/photo #1.png"])
def test_a_name_with_other_characters_is_a_photo(tmp_path: Path, address: str) -> None:
    [one] = read(tmp_path, [task(1, data={"file": address, "text": "s3://bucket/text #1.txt"})]).tasks
    assert one.address == address


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "the project is empty"),
        ([{"id": 1, "image": "a.png", "annotator": 1}], "expected a task with its `data`.* JSON_MIN lacks"),
        ([{"id": 1, "data": {"text": "words"}, "annotations": []}], "the address of a photo, received data with text"),
        (
            [{"id": 1, "data": {"audio": "a.wav"}, "annotations": []}],
            "the address of a photo, received data with audio",
        ),
        ({"hello": 1}, "received an object with 'hello'. Export JSON"),
        ("text", "received 'text'. Export JSON"),
        (
            [task(1, annotation(box_item()), data={"left": "a.png", "right": "b.png"})],
            r"task 1: expected one photo, received several: left, right, and .* to 'image'\. Import from the server",
        ),
        ([task(1), task(2), task(1, image="b.png")], "expected one task '1', found two with different photos"),
        (coco(images=coco()["images"] * 2 + [coco()["images"][0] | {"file_name": "b.png"}]), "one image with the id 1"),
        (coco(categories=[{"id": 1, "name": "cat"}, {"id": "1", "name": "dog"}]), "one category with the id '1'"),
        (coco(images=[]), "expected images, found none"),
        (coco(annotations=[{"id": 1, "image_id": 9, "category_id": 1}]), "expected the id of an image, received 9"),
        (coco(categories=[{"id": 1}]), "expected each category to have 'name'"),
    ],
)
def test_a_source_without_labels_of_photos_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "export.json") in caught.value.message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("export.csv", "image,label\na.png,cat\n", "received a CSV table"),
        ("a.xml", "<annotation/>", "Pascal VOC"),
        ("labels.txt", "0 .5 .5 .1 .1", "YOLO"),
        ("export.json", "<html>Log in</html>", "no JSON that can be read.* Export JSON"),
        ("export.zip", "PK", "received an archive. Unpack it, and name its folder"),
        ("export.json", "[" * 100_000, "no JSON that can be read"),
    ],
)
def test_other_formats_are_refused_with_what_to_export(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=reason):
        read_labels(tmp_path / name)


def test_an_export_for_yolo_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1")
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(DatasetError, match=r"found an export for YOLO .* Export JSON from Label Studio"):
        read_labels(tmp_path)


def test_several_exports_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        read(tmp_path, [task(1, annotation(box_item()))], name=name)
    with pytest.raises(DatasetError, match=r"expected one file of labels, found one\.json, two\.json"):
        read_labels(tmp_path)


def test_a_file_is_no_folder_of_photos(tmp_path: Path) -> None:
    read(tmp_path, [task(1, annotation(box_item()))])
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with (
        pytest.raises(DatasetError, match=r"photos\.zip: expected the folder of the photos, found a file\. Unpack"),
        labels_in_files(str(tmp_path / "export.json"), str(tmp_path / "photos.zip")),
    ):
        pass
