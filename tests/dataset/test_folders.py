"""Levels of folders: which of them are splits, groups or classes, by the layouts of public datasets."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions, Listing
from model.errors import DatasetError
from tests.support.photos import encoded, random_image

IMAGE = encoded(random_image(1))


def write(root: Path, *patterns: str) -> Path:
    """Write images and other files; `{a,b}/1.jpg` stands for `a/1.jpg` and `b/1.jpg`."""
    for name in (expanded for pattern in patterns for expanded in expand(pattern)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE if path.suffix in (".jpg", ".png", ".ppm", ".tif", ".JPEG") else b"text")
    return root


def expand(pattern: str) -> list[str]:
    start, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    choices, _, end = rest.partition("}")
    return [start + choice + ending for choice in choices.split(",") for ending in expand(end)]


def counts(listing: Listing) -> dict[str, int]:
    return {split: len(samples) for split, samples in listing.splits.items()}


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        find_layout(root, LayoutOptions(**options))
    return caught.value.message


NATURE = ("forest", "sea", "street")
PAIRS = "{forest,sea,street}/{1,2}.jpg"

# Layouts that have one reading: files, classes, images of train, val and test (none if the dataset has no splits).
READ = {
    "intel": (
        ["seg_train/seg_train/" + PAIRS, "seg_test/seg_test/" + PAIRS, "seg_pred/seg_pred/{1,2}.jpg"],
        NATURE,
        (6, 0, 6),
    ),
    "cats-vs-dogs": (
        [
            "training_set/training_set/{cats,dogs}/{1,2}.jpg",
            "training_set/training_set/cats/_DS_Store",
            "test_set/test_set/{cats,dogs}/3.jpg",
        ],
        ("cats", "dogs"),
        (4, 0, 2),
    ),
    "sets": ([f"Training_set/{PAIRS}", f"Validation_set/{PAIRS}"], NATURE, (6, 6, 0)),
    "dashes": ([f"train-data/{PAIRS}", f"TEST/{PAIRS}"], NATURE, (6, 0, 6)),
    "images": ([f"train_images/{PAIRS}", f"valid_images/{PAIRS}", "test_images/{1,2}.jpg"], NATURE, (6, 6, 0)),
    "camel case": ([f"natureTrain/{PAIRS}", f"natureTest/{PAIRS}"], NATURE, (6, 0, 6)),
    "dev and eval": ([f"train/{PAIRS}", f"dev/{PAIRS}", f"eval/{PAIRS}"], NATURE, (6, 6, 6)),
    "eval and test": ([f"train/{PAIRS}", f"eval/{PAIRS}", f"test/{PAIRS}"], NATURE, (6, 6, 6)),
    "numbered": ([f"01_train/{PAIRS}", f"02_val/{PAIRS}", f"03_test/{PAIRS}"], NATURE, (6, 6, 6)),
    "fruits-360": (
        [
            "fruits-360/{Training,Test}/{Apple Braeburn,Kiwi}/{1,2}.jpg",
            "fruits-360/test-multiple_fruits/1.jpg",
            "fruits-360/LICENSE",
        ],
        ("Apple Braeburn", "Kiwi"),
        (4, 0, 4),
    ),
    "chest-xray": (
        [
            "chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/{1,2}.jpg",
            "chest_xray/chest_xray/{train,test}/{NORMAL,PNEUMONIA}/1.jpg",
            "chest_xray/__MACOSX/train/NORMAL/._1.jpg",
        ],
        ("NORMAL", "PNEUMONIA"),
        (4, 4, 4),
    ),
    "imagenette": (
        ["imagenette2/{train,val}/{n01440764,n02102040}/{1,2}.JPEG", "imagenette2/noisy_imagenette.csv"],
        ("n01440764", "n02102040"),
        (4, 4, 0),
    ),
    "inaturalist": (
        ["{train,val}/{00001_Animalia_Annelida,00002_Animalia_Arthropoda}/{1,2}.jpg"],
        ("00001_Animalia_Annelida", "00002_Animalia_Arthropoda"),
        (4, 4, 0),
    ),
    "unlabelled test": (["train/{cat,dog}/{1,2}.jpg", "test/test/{1,2,3}.jpg"], ("cat", "dog"), (4, 0, 0)),
    "unlabelled test in a container": (
        ["train/{cat,dog}/{1,2}.jpg", "test/images/{1,2,3}.jpg"],
        ("cat", "dog"),
        (4, 0, 0),
    ),
    "one class in test": (["train/{cat,dog}/{1,2}.jpg", "test/cat/3.jpg"], ("cat", "dog"), (4, 0, 1)),
    "splits in each class": (["{cat,dog}/{train,test}/{1,2}.jpg"], ("cat", "dog"), (4, 0, 4)),
    "labels beside the splits": (
        ["dataset/{train,val}/{cat,dog}/1.jpg", "dataset/labels/{cat,dog}.txt"],
        ("cat", "dog"),
        (2, 2, 0),
    ),
    "splits beside figures": (
        ["data/{train,val}/{cat,dog}/1.jpg", "docs/figure.png", "README.md"],
        ("cat", "dog"),
        (2, 2, 0),
    ),
    "images and figures": ([f"images/{PAIRS}", "docs/figure.png"], NATURE, None),
    "figures in folders": ([f"images/{PAIRS}", "docs/a/{1,2}.png"], NATURE, None),
    "caltech-101": (
        [
            "caltech-101/101_ObjectCategories/{BACKGROUND_Google,accordion}/{1,2}.jpg",
            "caltech-101/Annotations/accordion/1.mat",
        ],
        ("BACKGROUND_Google", "accordion"),
        None,
    ),
    "eurosat": (["2750/{AnnualCrop,Forest}/{1,2}.jpg"], ("AnnualCrop", "Forest"), None),
    "gtsrb": (
        [
            "GTSRB/Final_Training/Images/{00000,00001}/{1,2}.ppm",
            "GTSRB/Final_Training/Images/00000/GT-00000.csv",
            "GTSRB/Final_Test/Images/{1,2}.ppm",
            "GTSRB/Readme.txt",
        ],
        ("00000", "00001"),
        (4, 0, 0),
    ),
    "flowers": (["flower_photos/{daisy,roses}/{1,2}.jpg", "flower_photos/LICENSE.txt"], ("daisy", "roses"), None),
    "zooscan": (
        ["ZooScanNet/imgs/{Acartiidae,Calanidae}/{1,2}.jpg", "ZooScanNet/taxa.csv"],
        ("Acartiidae", "Calanidae"),
        None,
    ),
    "containers": (
        ["a/b/images/{cat,dog}/{1,2}.jpg", "a/README.md", "a/b/list.csv", "a/b/empty/x.txt"],
        ("cat", "dog"),
        None,
    ),
    "numbered classes": (["{0,1,10,2}/{1,2}.jpg"], ("0", "1", "10", "2"), None),
    "letters": (["asl/{A,B,C}/{1,2}.jpg"], ("A", "B", "C"), None),
    "nested with own images": (["{cat,dog}/{1,2}.jpg", "{cat,dog}/{young,adult}/{1,2}.jpg"], ("cat", "dog"), None),
    "images folder in each class": (["{cat,dog}/images/{1,2}.jpg"], ("cat", "dog"), None),
    "unlabelled test by its name": (
        ["train/{cat,dog}/{1,2}.jpg", "test_unlabeled/x/{1,2}.jpg"],
        ("cat", "dog"),
        (4, 0, 0),
    ),
    "hidden test in folders": (
        ["train/{cat,dog}/{1,2}.jpg", "test-hidden/{a,b}/{1,2}.jpg"],
        ("cat", "dog"),
        (4, 0, 0),
    ),
    "unlabelled test without folders": (
        ["train/{cat,dog}/{1,2}.jpg", "test_unlabelled/{1,2,3}.jpg"],
        ("cat", "dog"),
        (4, 0, 0),
    ),
    "labelled although the name says otherwise": (
        ["train/{cat,dog}/{1,2}.jpg", "test_hidden/{cat,dog}/3.jpg"],
        ("cat", "dog"),
        (4, 0, 2),
    ),
    "a sample beside the folder of the splits": (
        ["dataset/{Train,Test}/{cat,dog}/{1,2,3}.jpg", "sample.png"],
        ("cat", "dog"),
        (6, 0, 6),
    ),
    "one class nested": (["cat/{1,2}.jpg", "dog/more/{1,2}.jpg"], ("cat", "dog"), None),
}


@pytest.mark.parametrize("layout", READ)
def test_a_layout_with_one_reading_is_read(tmp_path: Path, layout: str) -> None:
    files, classes, splits = READ[layout]
    listing = find_layout(write(tmp_path, *files))
    assert listing.classes == classes
    assert listing.has_splits == (splits is not None)
    if splits is not None:
        assert tuple(counts(listing).values()) == splits
    assert not any("class_level" in warning for warning in listing.warnings)
    labelled = {sample.name for samples in listing.splits.values() for sample in samples}
    left = [path for path in listing.root.rglob("*") if path.is_file() and "__MACOSX" not in path.parts]
    for name in (path.relative_to(listing.root).as_posix() for path in left):
        assert name in labelled or any(name.startswith(ignored) for ignored in listing.ignored), name


# Layouts that are read with a warning about the other reading: files, classes, what the warning says.
WARNED = {
    "sites": (["site{A,B}/" + PAIRS], NATURE, "siteA, siteB were read as groups of images, not as classes"),
    "sites with a map": (["site{A,B}/" + PAIRS, "site{A,B}/map.png"], NATURE, "siteA, siteB were read as groups"),
    "stations": (
        ["station_{1,2,3}/{copepod,diatom}/{1,2}.jpg"],
        ("copepod", "diatom"),
        "station_1, station_2, station_3",
    ),
    "years, some without a class": (
        ["2006/{copepod,diatom}/{1,2}.jpg", "2007/{copepod,detritus}/{1,2}.jpg"],
        ("copepod", "detritus", "diatom"),
        "2006, 2007 were read as groups",
    ),
    "dates": (["{2019-03,2019-04}/{copepod,diatom}/{1,2}.jpg"], ("copepod", "diatom"), "2019-03, 2019-04"),
    "years, months and stations": (
        ["{2019,2020}/{03,04}/{A,B}/{copepod,diatom}/1.jpg"],
        ("copepod", "diatom"),
        "class_level = 3; to keep the images of each in one split, set group_pattern = '^((?:[^/]+/){3})'",
    ),
    "years in each class": (
        ["{cat,dog}/{2019,2020}/{1,2}.jpg"],
        ("cat", "dog"),
        "(2019, 2020). If these are the classes",
    ),
    "specimens in each class": (
        ["{oak,beech}/{001,002}/{1,2}.jpg"],
        ("beech", "oak"),
        "If these are the classes, set class_level = 2",
    ),
    "taxa of a taxon": (["Birds/{400,401}/1.jpg", "Fungi/{500,501}/1.jpg"], ("Birds", "Fungi"), "class_level = 2"),
    "splits in each site": (
        ["{site1,site2}/{train,test}/{cat,dog}/{1,2}.jpg"],
        ("cat", "dog"),
        "site1, site2 were read",
    ),
    "sites in each split": (
        ["{train,test}/{site1,site2}/{cat,dog}/{1,2}.jpg"],
        ("cat", "dog"),
        "site1, site2 were read",
    ),
    "superclasses": (
        ["animals/{cat,dog}/1.jpg", "vehicles/{bus,car}/1.jpg"],
        ("animals", "vehicles"),
        "class_level = 2",
    ),
    "masks among photos": (
        ["{cat,dog}/{1,2,1_mask,2_mask_1}.jpg"],
        ("cat", "dog"),
        "names of masks were read as photos, 4 of them: cat/1_mask.jpg, cat/2_mask_1.jpg",
    ),
    "a class called docs": (["{cat,docs}/{1,2}.jpg"], ("cat", "docs"), "docs was read as a class"),
}


@pytest.mark.parametrize("layout", WARNED)
def test_a_probable_reading_comes_with_a_warning_about_the_other(tmp_path: Path, layout: str) -> None:
    files, classes, warning = WARNED[layout]
    listing = find_layout(write(tmp_path, *files))
    assert listing.classes == classes
    assert any(warning in text for text in listing.warnings), listing.warnings


# Layouts that have several readings: files, what the message says.
REFUSED = {
    "places": (
        ["{east,west}/" + PAIRS],
        [
            "class_level = 1: the classes are east, west",
            "class_level = 2: the classes are forest, sea, street",
            "--class-level 2",
            "group_pattern = '^([^/]+)/'",
            "give one of the folders as the dataset, such as east/",
        ],
    ),
    "variants": (
        ["raw/{color,grayscale}/{apple,corn}/1.jpg"],
        ["class_level = 1: the classes are color, grayscale", "such as color/"],
    ),
    "some common names": (
        ["apple/{healthy,scab}/1.jpg", "corn/{healthy,rust}/1.jpg"],
        ["class_level = 2: the classes are healthy, rust, scab"],
    ),
    "numbers": (
        ["{1,2}/{cat,dog}/1.jpg"],
        ["class_level = 1: the classes are 1, 2", "class_level = 2: the classes are cat, dog"],
    ),
    "other images": (
        ["plankton/{copepod,diatom}/{1,2,3,4,5}.jpg", "cover/1.png"],
        [
            "the folder plankton/ as the dataset: the classes are copepod, diatom",
            "class_level = 1: the classes are cover, plankton",
        ],
    ),
    "repeated classes": (
        ["{cat,dog,more/cat,more/dog}/{1,2}.jpg"],
        [
            "the folder more/ as the dataset: the classes are cat, dog",
            "class_level = 1: the classes are cat, dog, more",
        ],
    ),
    "no classes": (
        ["images/{1,2}.jpg", "masks/{1,2}.png"],
        ["found only folders whose names describe no class: images, masks"],
    ),
    "two folders for a split": (
        ["{train,val,validation}/{cat,dog}/1.jpg"],
        ["expected one folder for val, found val and validation. Move their class folders into one"],
    ),
    "a split beside a folder that is none": (
        ["train/{cat,dog,owl}/{1,2}.jpg", "new_photos/x/{1,2}.jpg"],
        [
            "names of splits, train, beside new_photos. Rename the folders that are splits to train, val and test",
            "the folder train/ as the dataset: the classes are cat, dog, owl",
            "class_level = 1: the classes are new_photos, train",
        ],
    ),
    "a test split without train": (
        ["labelled/{cat,dog}/{1,2}.jpg", "test-final/x/{1,2}.jpg"],
        [
            "names of splits, test-final, beside labelled",
            "the folder labelled/ as the dataset: the classes are cat, dog",
        ],
    ),
    "a split beside a folder of photos": (
        ["train/{cat,dog}/{1,2}.jpg", "new_photos/{1,2,3}.jpg"],
        ["names of splits, train, beside new_photos", "class_level = 1: the classes are new_photos, train"],
    ),
    "a split of numbered classes": (
        ["train/{0,1}/{1,2}.jpg", "more/{0,1}/{1,2}.jpg"],
        ["names of splits, train, beside more", "the folder more/ as the dataset: the classes are 0, 1"],
    ),
    "a split with another word": (
        ["birds_train/{jay,owl}/{1,2}.jpg", "new/x/{1,2}.jpg"],
        ["names of splits, birds_train, beside new"],
    ),
    "a split below a folder": (
        ["a/train/{cat,dog}/{1,2}.jpg", "a/new/x/{1,2}.jpg"],
        ["names of splits, train"],
    ),
    "masks in each class": (
        ["{COVID,Normal}/{images,masks}/{1,2}.png"],
        ["found masks in COVID, Normal. Move masks out of the dataset: with class_level = 1 (--class-level 1)"],
    ),
    "images in train": (
        ["train/{1,2}.jpg", "test/{1,2}.jpg"],
        ["train: expected a folder per class with images, found 1.jpg, 2.jpg"],
    ),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_a_layout_with_several_readings_is_refused_with_all_of_them(tmp_path: Path, layout: str) -> None:
    files, expected = REFUSED[layout]
    message = refusal(write(tmp_path, *files))
    for part in expected:
        assert part in message


def test_every_reading_of_a_refusal_can_be_set(tmp_path: Path) -> None:
    write(tmp_path, "{east,west}/" + PAIRS)
    assert find_layout(tmp_path, LayoutOptions(class_level=1)).classes == ("east", "west")
    merged = find_layout(tmp_path, LayoutOptions(class_level=2))
    assert (merged.classes, counts(merged)["train"]) == (NATURE, 12)
    assert find_layout(tmp_path / "east").classes == NATURE


@pytest.mark.parametrize(
    ("files", "level", "classes"),
    [
        (["site{A,B}/" + PAIRS], 1, ("siteA", "siteB")),
        (["{train,test}/site{1,2}/{cat,dog}/1.jpg"], 1, ("site1", "site2")),
        (["{cat,dog}/{1,2}.jpg", "{cat,dog}/{young,adult}/{1,2}.jpg"], 2, ("adult", "young")),
        (["images/{1,2}.jpg", "masks/{1,2}.png"], 1, ("images", "masks")),
        (["plankton/{copepod,diatom}/{1,2,3,4,5}.jpg", "cover/1.png"], 1, ("cover", "plankton")),
        (["animals/{cat,dog}/1.jpg", "vehicles/{bus,car}/1.jpg"], 2, ("bus", "car", "cat", "dog")),
    ],
)
def test_the_level_of_the_classes_can_be_set(
    tmp_path: Path, files: list[str], level: int, classes: tuple[str, ...]
) -> None:
    assert find_layout(write(tmp_path, *files), LayoutOptions(class_level=level)).classes == classes


def test_a_level_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "{cat,dog}/{1,2}.jpg")
    assert "expected class_level of at most 1, the levels found, received 3" in refusal(tmp_path, class_level=3)


def test_images_above_the_classes_are_reported(tmp_path: Path) -> None:
    write(tmp_path, "train/{cat,dog}/1.jpg", "test/{1,2}.jpg", "train/loose.jpg", "extra/9.jpg")
    warning = next(text for text in find_layout(tmp_path).warnings if "outside the class folders" in text)
    assert "4 of them: extra/9.jpg, test/1.jpg, test/2.jpg, train/loose.jpg" in warning


def test_folders_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.jpg", "dog/" + "d/" * 150 + "1.jpg")
    assert "expected at most 100 levels of folders" in refusal(tmp_path)
