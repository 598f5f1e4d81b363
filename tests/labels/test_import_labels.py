"""Labelled photos as a dataset."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.layouts import find_layout
from model.errors import DatasetError
from model.results import SPLITS
from tests.labels.label_studio_tasks import (
    annotation,
    box_item,
    boxed_tasks,
    choice_item,
    content,
    export,
    imported,
    task,
    write_photo,
)
from tests.support.photos import encoded


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_boxes_of_an_export_become_a_dataset(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos"))
    result = imported(source, tmp_path / "photos", tmp_path / "made")
    listing = find_layout(tmp_path / "made")
    assert listing.classes == ("cat", "dog")
    samples = [sample for split in SPLITS for sample in listing.splits[split]]
    assert len(samples) == 12 and result.images["train"] and result.images["val"] and result.images["test"]
    for sample in samples:
        pixels = np.asarray(Image.open(sample.path))
        assert pixels.shape == (72, 96, 3)
        assert pixels[8:-8, 10:-10].min() == 255
    origins = rows(tmp_path / "made" / "origin.csv")
    assert len(origins) == 12
    assert origins[0] | {"image": "", "split": ""} == {
        "image": "",
        "class": "cat",
        "split": "",
        "photo": "/data/upload/1/0a1b2c3d-photo_1.png",
        "task": "1",
        "annotation": "1",
        "region": "r1",
        "annotator": "1",
        "x": "80.00",
        "y": "60.00",
        "width": "80.00",
        "height": "60.00",
        "rotation": "0.00",
        "updated_at": "",
    }
    assert len(list((tmp_path / "made" / "boxes").iterdir())) == 12
    assert Image.open(tmp_path / "made" / "contact-sheet.jpg").size[0] > 1000


def test_all_images_of_a_photo_are_in_one_split(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 20)
    for one in tasks:
        second = box_item("dog", "r2", x=60, y=60)
        one["annotations"][0]["result"].append(second)
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    splits: dict[str, set[str]] = {}
    for row in rows(tmp_path / "made" / "origin.csv"):
        splits.setdefault(row["photo"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_photos_of_one_content_are_in_one_split(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 12)
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    before = {row["photo"]: row["split"] for row in rows(tmp_path / "made" / "origin.csv")}
    for at in range(1, 25):
        original = tmp_path / "photos" / f"photo {(at - 1) % 12 + 1}.png"
        shutil.copy(original, tmp_path / "photos" / f"photo {100 + at}.png")
        tasks.append(task(100 + at, annotation(box_item("cat" if at % 2 else "dog"))))
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    after = {row["photo"]: row["split"] for row in rows(tmp_path / "made" / "origin.csv")}
    name = "/data/upload/1/0a1b2c3d-photo_{}.png".format
    assert len(after) == 36 and before.items() <= after.items()
    assert all(after[name(at)] == after[name(100 + at)] == after[name(112 + at)] for at in range(1, 13))
    new = export(tmp_path, tasks[12:])
    imported(new, tmp_path / "photos", tmp_path / "other")
    split_of = {row["photo"]: row["split"] for row in rows(tmp_path / "other" / "origin.csv")}
    assert all(split_of[name(100 + at)] == split_of[name(112 + at)] for at in range(1, 13))
    assert set(split_of.values()) == set(SPLITS)


def test_labels_of_whole_photos_keep_the_files(tmp_path: Path) -> None:
    boxed_tasks(tmp_path / "photos", 4)
    tasks = [task(number, annotation(choice_item("cat" if number % 2 else "dog"))) for number in range(1, 5)]
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    photos = {path.read_bytes() for path in (tmp_path / "photos").iterdir()}
    assert {path.read_bytes() for path in (tmp_path / "made" / "images").iterdir()} == photos


def test_a_repeated_import_changes_nothing(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos"))
    first = imported(source, tmp_path / "photos", tmp_path / "made")
    before = content(tmp_path / "made")
    again = imported(source, tmp_path / "photos", tmp_path / "made")
    assert (first.changed, again.changed) == (True, False)
    assert (again.new, again.unchanged, again.withdrawn) == (0, 12, 0)
    assert content(tmp_path / "made") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_changed_import_keeps_the_bytes_and_splits_of_what_has_not_changed(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 12)
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    before = {row["image"]: row["split"] for row in rows(tmp_path / "made" / "origin.csv")}
    former = content(tmp_path / "made")
    tasks = [*boxed_tasks(tmp_path / "photos", 16)[1:]]
    tasks[0]["annotations"][0]["result"] = [box_item("dog", x=30)]
    result = imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    assert (result.new, result.unchanged, result.withdrawn) == (5, 10, 2)
    after = {row["image"]: row["split"] for row in rows(tmp_path / "made" / "origin.csv")}
    kept = before.keys() & after.keys()
    assert len(kept) == 10
    assert all(before[name] == after[name] for name in kept)
    now = content(tmp_path / "made")
    assert all(former[f"images/{name}"] == now[f"images/{name}"] for name in kept)
    assert {f"images/{name}" for name in after} == {name for name in now if name.startswith("images/")}


def test_a_photo_with_new_content_is_cut_again(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos"))
    imported(source, tmp_path / "photos", tmp_path / "made")
    write_photo(tmp_path / "photos" / "photo 3.png", 99)
    result = imported(source, tmp_path / "photos", tmp_path / "made")
    assert (result.new, result.unchanged, result.withdrawn) == (1, 11, 1)


def test_straightening_changes_turned_boxes_only(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 6)
    tasks[0]["annotations"][0]["result"] = [box_item(rotation=10)]
    source = export(tmp_path, tasks)
    imported(source, tmp_path / "photos", tmp_path / "made")
    result = imported(source, tmp_path / "photos", tmp_path / "made", straighten=True)
    assert (result.new, result.unchanged) == (1, 5)


def test_the_minimum_side_applies_to_images_of_the_former_import(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 6)
    tasks[0]["annotations"][0]["result"] = [box_item(width=5, height=5)]
    source = export(tmp_path, tasks)
    imported(source, tmp_path / "photos", tmp_path / "made")
    result = imported(source, tmp_path / "photos", tmp_path / "made", min_side=20)
    assert (result.new, result.unchanged, result.withdrawn, result.left_out) == (0, 5, 1, 1)
    assert "at least 20 pixels a side, received 16 x 12" in (tmp_path / "made" / "rejected.csv").read_text()
    again = imported(source, tmp_path / "photos", tmp_path / "made", min_side=20)
    assert (again.unchanged, again.changed) == (5, False)


def test_an_import_whose_splits_differ_has_changed(tmp_path: Path) -> None:
    boxed_tasks(tmp_path / "photos", 12)
    photos = [{"id": at, "file_name": f"photo {at}.png", "width": 320, "height": 240} for at in range(1, 13)]
    boxes = [{"id": at, "image_id": at, "category_id": at % 2, "bbox": [80, 60, 80, 60]} for at in range(1, 13)]
    content = {"images": photos, "annotations": boxes, "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]}
    source = tmp_path / "coco.json"
    source.write_text(json.dumps(content))
    imported(source, tmp_path / "photos", tmp_path / "made")
    for photo in photos:
        photo["extra"] = {"name": "one"}
    source.write_text(json.dumps(content))
    result = imported(source, tmp_path / "photos", tmp_path / "made")
    assert (result.new, result.withdrawn, result.changed) == (0, 0, True)
    assert not imported(source, tmp_path / "photos", tmp_path / "made").changed


def test_coco_files_of_one_folder_give_the_boxes_of_their_own_photos(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        left = 80 + 40 * number
        write_photo(tmp_path / "coco" / f"{split}.png", number, (left, 60, left + 80, 120))
        photo = {"id": 1, "file_name": f"{split}.png", "width": 320, "height": 240}
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, 60, 80, 60]}
        content = {"images": [photo], "annotations": [box], "categories": [{"id": 1, "name": split}]}
        (tmp_path / "coco" / f"instances_{split}.json").write_text(json.dumps(content))
    imported(tmp_path / "coco", tmp_path / "coco", tmp_path / "made", margin=0.0)
    found = {row["class"]: (row["split"], row["photo"]) for row in rows(tmp_path / "made" / "origin.csv")}
    assert found == {split: (split, f"./{split}.png") for split in ("train", "val")}
    assert all(np.asarray(Image.open(path)).min() == 255 for path in (tmp_path / "made" / "images").iterdir())


def test_copies_of_a_photo_by_roboflow_are_in_one_split_and_its_category_without_boxes_is_no_class(
    tmp_path: Path,
) -> None:
    photos, boxes = [], []
    for number in range(24):
        name = f"photo-{number // 3}_jpg.rf.{number}.png"
        write_photo(tmp_path / "coco" / name, number)
        source = {"name": f"photo-{number // 3}.jpg"}
        photos.append({"id": number, "file_name": name, "width": 320, "height": 240, "extra": source})
        label = 1 + number // 3 % 2
        boxes.append({"id": number, "image_id": number, "category_id": label, "bbox": [80, 60, 80, 60]})
    names = [{"id": at, "name": name, "supercategory": "none"} for at, name in enumerate(("animals", "cat", "dog"))]
    content = {"images": photos, "annotations": boxes, "categories": names}
    (tmp_path / "coco" / "_annotations.coco.json").write_text(json.dumps(content))
    imported(tmp_path / "coco", tmp_path / "coco", tmp_path / "made")
    assert find_layout(tmp_path / "made").classes == ("cat", "dog")
    splits: dict[str, set[str]] = {}
    for row in rows(tmp_path / "made" / "origin.csv"):
        splits.setdefault(row["photo"].partition("_")[0], set()).add(row["split"])
    assert len(splits) == 8 and all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_copies_of_a_photo_in_the_folders_of_two_splits_are_in_one(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_photo(tmp_path / "coco" / split / "a.png", len(split))
        write_photo(tmp_path / "coco" / split / "own.png", 10 * len(split))
        photos = [
            {"id": at, "file_name": name, "width": 320, "height": 240} for at, name in enumerate(("a.png", "own.png"))
        ]
        photos[0]["extra"] = {"name": "source.jpg"}
        boxes = [{"id": at, "image_id": at, "category_id": at, "bbox": [80, 60, 80, 60]} for at in range(2)]
        names = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
        content = {"images": photos, "annotations": boxes, "categories": names}
        (tmp_path / "coco" / split / "_annotations.coco.json").write_text(json.dumps(content))
    imported(tmp_path / "coco", tmp_path / "coco", tmp_path / "made")
    found = {row["photo"]: row["split"] for row in rows(tmp_path / "made" / "origin.csv")}
    assert found == {"train/a.png": "train", "valid/a.png": "train", "train/own.png": "train", "valid/own.png": "val"}


def test_earlier_annotations_of_a_person_are_counted(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 8)
    tasks[0]["annotations"].append(annotation(box_item("dog"), name=2))
    result = imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    assert result.not_read == {"earlier annotations of the same person": 1}


def test_what_gives_no_image_is_listed(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 8)
    tasks[0]["annotations"][0]["result"] = [box_item(width=1), box_item("dog", "r2"), box_item("cat", "r3", x=None)]
    tasks[1]["data"]["image"] = "missing.png"
    tasks[3]["data"]["image"] = "cut.jpg"
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    (tmp_path / "photos" / "cut.jpg").write_bytes(encoded(Image.fromarray(noise), "JPEG")[:20_000])
    (tmp_path / "photos" / "photo 3.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    result = imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    listed = {(row["task"], row["region"]): row["reason"] for row in rows(tmp_path / "made" / "rejected.csv")}
    assert result.left_out == len(listed) == 5
    assert "at least 8 pixels a side" in listed["1", "r1"]
    assert "expected the photo in the folder of the photos" in listed["2", ""]
    assert "damaged PNG" in listed["3", ""]
    assert "truncated" in listed["4", ""]


def test_disagreements_are_listed(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 8)
    tasks[0]["annotations"].append(annotation(box_item("dog", "s1"), name=2, by=2))
    result = imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    assert (result.disagreements, result.ties, result.annotators) == (1, 1, ("1", "2"))
    assert rows(tmp_path / "made" / "disagreements.csv") == [
        {"task": "1", "regions": "r1; s1", "labels": "1: cat; 2: dog", "without_label": "", "outcome": ""}
    ]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("Cat", "cat"), "differ in more than case and blanks, received 'Cat' and 'cat'"),
        (("cat\ndog", "cat"), r"a class name on one line.*received 'cat\\ndog'"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(tmp_path: Path, names: tuple[str, str], reason: str) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 4)
    for one, name in zip(tasks, names * 2, strict=True):
        one["annotations"][0]["result"] = [box_item(name)]
    with pytest.raises(DatasetError, match=reason):
        imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_labels_with_any_other_characters_are_classes(tmp_path: Path) -> None:
    names = ("a/b", "🦐 shrimp", "x" * 200, "عوالق")
    tasks = boxed_tasks(tmp_path / "photos", 8)
    for one, name in zip(tasks, names * 2, strict=True):
        one["annotations"][0]["result"] = [box_item(name)]
    imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")
    assert set(find_layout(tmp_path / "made").classes) == set(names)


def test_an_address_of_two_photos_is_refused(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 4)
    for folder in ("one", "two"):
        write_photo(tmp_path / "photos" / folder / "same.png")
    tasks[0]["data"]["image"] = "same.png"
    with pytest.raises(
        DatasetError, match=r"task 1: expected one photo for 'same\.png', found 2: one/same\.png, two/sam"
    ):
        imported(export(tmp_path, tasks), tmp_path / "photos", tmp_path / "made")


def test_photos_in_another_folder_are_asked_for(tmp_path: Path) -> None:
    source = export(tmp_path, boxed_tasks(tmp_path / "photos", 4))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"expected the photos of the tasks, found none.*--images"):
        imported(source, tmp_path / "empty", tmp_path / "made")


def test_tasks_without_labels_are_described(tmp_path: Path) -> None:
    tasks = [task(1), task(2, annotation())]
    with pytest.raises(DatasetError, match="expected labelled photos, found 2 tasks, 1 with an annotation"):
        imported(export(tmp_path, tasks), tmp_path, tmp_path / "made")
