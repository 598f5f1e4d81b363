"""Layouts of published datasets: labels of one split in a table, and splits of class folders in lists."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions
from tests.support.tables import IMAGE, counts, labelled, refusal

SYNSETS = ("n01443537", "n01629819")
TRAIN = tuple(f"train/{synset}/{synset}_{number}.JPEG" for synset in SYNSETS for number in range(4))
VAL = tuple(f"val_{number}" for number in range(8))


def dataset(root: Path, images: tuple[str, ...], texts: Mapping[str, str]) -> Path:
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(IMAGE)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def val_table(row: str, header: str = "") -> str:
    """A row for each image of val: a format string of its name, class and the numbers of a box."""
    rows = [
        row.format(name=name, label=SYNSETS[number % 2], box=f"{number % 3}\t{number // 4}\t62\t{60 + number % 2}")
        for number, name in enumerate(VAL)
    ]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


# Images of val, file of their labels, and its text.
VAL_LABELS = {
    "Tiny ImageNet": ("val/images/{}.JPEG", "val/val_annotations.txt", val_table("{name}.JPEG\t{label}\t{box}")),
    "ImageNet": (
        "val/{}.JPEG",
        "LOC_val_solution.csv",
        val_table("{name},{label} 1 2 30 40 ", "ImageId,PredictionString"),
    ),
    "a table in another folder": ("val/{}.JPEG", "meta/val.csv", val_table("{name}.JPEG,{label}", "filename,label")),
    "a table of test images": ("test/{}.JPEG", "labels.csv", val_table("{name}.JPEG,{label}", "filename,label")),
}


@pytest.mark.parametrize("form", VAL_LABELS)
def test_a_table_labels_the_split_that_has_no_class_folders(tmp_path: Path, form: str) -> None:
    place, path, text = VAL_LABELS[form]
    boxes = {f"train/{synset}/{synset}_boxes.txt": f"{synset}_0.JPEG\t0\t10\t63\t58\n" for synset in SYNSETS}
    dataset(tmp_path, (*TRAIN, *map(place.format, VAL), "notes/x.JPEG"), boxes | {path: text})
    listing = find_layout(tmp_path)
    split = place.partition("/")[0]
    assert listing.classes == SYNSETS
    assert {
        name: listing.classes[sample.label] for sample in listing.splits[split] for name in [Path(sample.name).stem]
    } == {name: SYNSETS[number % 2] for number, name in enumerate(VAL)}
    assert counts(listing)[0] == len(TRAIN)
    assert path not in listing.ignored
    assert listing.outside == ("notes/x.JPEG",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (val_table("{name}.JPEG {label}").replace(SYNSETS[0], "0").replace(SYNSETS[1], "1"), "found 0, 1"),
        (val_table("{name}.JPEG,{label}", "file,label").replace(SYNSETS[0], "goldfish"), "found goldfish"),
        (val_table("{name}.JPEG,{label}", "file,label") + f"gone.JPEG,{SYNSETS[0]}\n", "problems in it"),
    ],
)
def test_labels_of_a_split_that_are_not_certain_are_left_out_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    dataset(tmp_path, (*TRAIN, *(f"val/{name}.JPEG" for name in VAL)), {"val.txt": text})
    listing = find_layout(tmp_path)
    assert counts(listing) == (len(TRAIN), 0, 0)
    assert any("val.txt was not read" in warning and reason in warning for warning in listing.warnings)
    assert any("images outside the class folders were ignored, 8 of them" in warning for warning in listing.warnings)


CLASSES = ("001.ash", "002.birch")
NAMES = tuple(f"{name}/{name[4:]}_{number}" for name in CLASSES for number in range(4))
IMAGES = tuple(f"images/{name}.jpg" for name in NAMES)


def lines(row: str, numbers: tuple[int, ...]) -> str:
    return "".join(row.format(name=name) + "\n" for at, name in enumerate(NAMES) if at % 4 in numbers)


NUMBERED = {
    "images.txt": "".join(f"{number} {name}.jpg\n" for number, name in enumerate(NAMES, start=1)),
    "image_class_labels.txt": "".join(f"{number} {1 + (number > 4)}\n" for number in range(1, 9)),
    "train_test_split.txt": "".join(f"{number} {int(number % 4 < 3)}\n" for number in range(1, 9)),
    "bounding_boxes.txt": "".join(f"{number} 60.0 27.0 325.0 304.0\n" for number in range(1, 9)),
    "classes.txt": "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES, start=1)),
}
# Files of the splits of class folders, and the number of images in train, val and test.
SPLIT_LISTS = {
    "Food-101": ({"meta/train.txt": lines("{name}", (0, 1, 2)), "meta/test.txt": lines("{name}", (3,))}, (6, 0, 2)),
    "Stanford Dogs": (
        {"train_list.txt": lines("{name}.jpg", (0, 1)), "test_list.txt": lines("{name}.jpg", (2, 3))},
        (4, 0, 4),
    ),
    "DTD, one division": (
        {
            f"labels/{split}1.txt": lines("{name}.jpg", numbers)
            for split, numbers in (("train", (0, 1)), ("val", (2,)), ("test", (3,)))
        },
        (4, 2, 2),
    ),
    "paths from the dataset": (
        {"train.lst": lines("images/{name}.jpg", (0, 1, 2)), "validation.lst": lines("images/{name}.jpg", (3,))},
        (6, 2, 0),
    ),
    "CUB-200": (NUMBERED, (6, 0, 2)),
}


@pytest.mark.parametrize("form", SPLIT_LISTS)
def test_lists_of_their_author_divide_class_folders(tmp_path: Path, form: str) -> None:
    texts, expected = SPLIT_LISTS[form]
    listing = find_layout(dataset(tmp_path, IMAGES, texts))
    assert (listing.classes, counts(listing), listing.has_splits) == (CLASSES, expected, True)
    assert listing.warnings == ()
    assert len(labelled(listing)) == len(IMAGES)
    ignoring = find_layout(tmp_path, LayoutOptions(table="none"))
    assert (counts(ignoring), ignoring.has_splits) == ((8, 0, 0), False)


TEST = lines("{name}", (3,))


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({"test.txt": f"{TEST}birch/9\n"}, "test.txt:3: expected an image of a class folder, received 'birch/9'"),
        ({"test.txt": TEST + NAMES[0] + "\n"}, f"images/{NAMES[0]}.jpg is in the list of test too"),
        ({"test.txt": TEST, "test2.txt": TEST}, "there are several for one split, such as test.txt, test2.txt"),
    ],
)
def test_lists_that_do_not_divide_class_folders_are_left_out_with_the_reason(
    tmp_path: Path, texts: dict[str, str], reason: str
) -> None:
    listing = find_layout(dataset(tmp_path, IMAGES, texts | {"train.txt": lines("{name}", (0, 1, 2))}))
    assert (counts(listing), listing.has_splits) == ((8, 0, 0), False)
    assert any("were not used to divide the images" in text and reason in text for text in listing.warnings)


def test_images_in_no_list_are_named(tmp_path: Path) -> None:
    listing = find_layout(dataset(tmp_path, IMAGES, {"train.txt": lines("{name}", (0, 1)), "test.txt": TEST}))
    assert counts(listing) == (4, 0, 2)
    assert any("images in none of the lists were not used, 2 of them" in warning for warning in listing.warnings)


@pytest.mark.parametrize(
    "texts", [{"train_notes.txt": "ash\nbirch\n", "test_notes.txt": "a\n"}, {"train.txt": lines("{name}", (0,))}]
)
def test_texts_that_are_no_lists_of_splits_change_nothing(tmp_path: Path, texts: dict[str, str]) -> None:
    listing = find_layout(dataset(tmp_path, IMAGES, texts))
    assert (counts(listing), listing.warnings) == ((8, 0, 0), ())


def test_tables_of_several_namings_are_refused_with_the_option(tmp_path: Path) -> None:
    images = tuple(f"data/images/{number:07d}.jpg" for number in range(8))
    texts = {
        f"data/images_{naming}_{split}.txt": "".join(
            f"{number:07d} {names[number % 2]}\n" for number in range(8) if number % 4 // 2 == (split == "test")
        )
        for naming, names in (("variant", ("707-320", "727-200")), ("maker", ("Airbus", "Boeing")))
        for split in ("train", "test")
    }
    message = refusal(dataset(tmp_path, images, texts))
    assert "expected one table of labels, found several" in message
    assert "--table" in message


def test_the_columns_of_numbers_of_oxford_pets_are_chosen_by_the_user(tmp_path: Path) -> None:
    images = tuple(f"images/{name}_{number}.jpg" for name in ("Abyssinian", "beagle") for number in range(4))
    rows = "".join(f"{Path(name).stem} {1 + (at > 3)} {1 + (at > 3)} 1\n" for at, name in enumerate(images))
    text = f"#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n#SPECIES: 1:Cat 2:Dog\n{rows}"
    dataset(tmp_path, images, {"annotations/list.txt": text})
    assert "annotations/list.txt: expected a column of labels, found several that could be it" in refusal(tmp_path)
    assert find_layout(tmp_path, LayoutOptions(label_column="2")).classes == ("1", "2")


def test_folders_of_numbers_get_the_names_of_their_table(tmp_path: Path) -> None:
    images = tuple(f"imgs/{taxon}/{taxon}{number}.jpg" for taxon in (11509, 12838) for number in range(4))
    rows = "".join(
        f"{Path(name).stem},{('Acantharea', 'Calanidae')[at // 4]},/living/{at // 4}\n"
        for at, name in enumerate(images)
    )
    listing = find_layout(dataset(tmp_path, images, {"taxa.csv": f"objid,taxon,lineage\n{rows}"}))
    assert (listing.classes, counts(listing), listing.warnings) == (("Acantharea", "Calanidae"), (8, 0, 0), ())
