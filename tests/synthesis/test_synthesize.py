"""Synthetic photos of cut-outs, as a dataset and added to real photos."""

import contextlib
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.errors import ConfigError, DatasetError, StorageFullError
from model.synthesis import synthesize as module
from model.synthesis.synthesize import Synthesis, SynthesisOptions, synthesize
from model.workspace import Workspace
from tests.labels.label_studio_tasks import boxed_tasks, imported
from tests.synthesis.cutout_files import content_of, origins_of, photo_bytes, write_cutouts, write_real


def make(tmp_path: Path, backgrounds: str = "procedural", real: Path | None = None, **options) -> Synthesis:
    config = TrainConfig(dataset=str(real)) if real else None
    given = SynthesisOptions(**{"count": 3, **options})
    return synthesize(str(tmp_path / "cutouts"), backgrounds, tmp_path / "made", given, Workspace(tmp_path), config)


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    return write_cutouts(tmp_path / "cutouts")


def test_a_dataset_of_synthetic_photos_has_its_classes_boxes_and_origins(tmp_path: Path, cutouts: Path) -> None:
    result = make(tmp_path)
    assert result.synthetic == {"blue": 3, "red": 3}
    assert (tmp_path / "made" / "dataset_files" / "classes.txt").read_text() == "blue\nred\n"
    assert [path.name for path in (tmp_path / "made" / "dataset_files").iterdir() if path.name != "classes.txt"] == [
        "train.txt"
    ]
    rows = origins_of(tmp_path / "made")
    assert [row["image"] for row in rows[:2]] == ["synthetic/blue/000000.jpg", "synthetic/blue/000001.jpg"]
    for row in rows:
        assert (row["synthetic"], row["split"], row["seed"]) == ("true", "train", "0")
        assert row["cutout"] in {f"{row['class']}/disc0.png", f"{row['class']}/disc1.png"}
        photo = Image.open(tmp_path / "made" / "images" / row["image"])
        x, y, width, height = (int(row[column]) for column in ("x", "y", "width", "height"))
        assert 0 <= x < x + width <= photo.width and 0 <= y < y + height <= photo.height


def test_the_box_is_around_the_object(tmp_path: Path, cutouts: Path) -> None:
    make(tmp_path, count=12)
    hits = 0
    for row in origins_of(tmp_path / "made"):
        photo = Image.open(tmp_path / "made" / "images" / row["image"]).convert("RGB")
        x, y, width, height = (int(row[column]) for column in ("x", "y", "width", "height"))
        red, _, blue = photo.getpixel((x + width // 2, y + height // 2))
        hits += (red > blue) == (row["class"] == "red")
    # Occlusions and tints change some.
    assert hits >= 20


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(
    tmp_path: Path, cutouts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.synthesis import writing

    contents = []
    for threads in (1, 4):
        monkeypatch.setattr(writing, "in_threads", functools.partial(writing.in_threads, threads=threads))
        make(tmp_path, count=6)
        contents.append(content_of(tmp_path / "made"))
    make(tmp_path, count=6, seed=1)
    other = content_of(tmp_path / "made")
    assert contents[0] == contents[1]
    photo = "images/synthetic/red/000000.jpg"
    assert contents[0][photo] != other[photo]


def test_a_larger_count_keeps_the_photos_of_a_smaller_one(tmp_path: Path, cutouts: Path) -> None:
    make(tmp_path, count=2)
    few = content_of(tmp_path / "made" / "images")
    make(tmp_path, count=4)
    many = content_of(tmp_path / "made" / "images")
    assert few.items() < many.items()


def test_fill_completes_the_classes_to_the_largest_and_keeps_the_real_photos_and_splits(
    tmp_path: Path, cutouts: Path
) -> None:
    real = write_real(tmp_path / "real")
    before = content_of(real)
    result = make(tmp_path, real=real, count=0, fill=True)
    assert result.synthetic == {"red": 3}
    assert result.real["test"] == {"blue": 2, "red": 2}
    verdict = prepare_dataset(tmp_path / "made", TrainConfig(), tmp_path)
    assert verdict.counts == {
        "train": {"blue": 6, "red": 6},
        "val": {"blue": 2, "red": 2},
        "test": {"blue": 2, "red": 2},
    }
    assert verdict.synthetic == tuple(f"synthetic/red/{number:06d}.jpg" for number in range(3))
    assert content_of(real) == before
    made = content_of(tmp_path / "made" / "images")
    assert {name: content for name, content in made.items() if not name.startswith("synthetic/")} == content_of(
        real / "images"
    )


def test_count_is_added_to_what_fill_adds(tmp_path: Path, cutouts: Path) -> None:
    result = make(tmp_path, real=write_real(tmp_path / "real"), count=2, fill=True)
    assert result.synthetic == {"blue": 2, "red": 5}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"count": -5}, "count: expected 1 or more synthetic photos of each class, received -5"),
        ({"count": 0}, "count: expected 1 or more"),
        ({"count": -1, "fill": True}, "count: expected 0 or more"),
        ({"seed": -1}, "seed: expected 0 or more, received -1"),
        ({"margin": -0.1}, "margin: expected 0 to 2, received -0.1"),
        ({"margin": float("nan")}, "margin: expected 0 to 2, received nan"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, cutouts: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(tmp_path, **options)
    assert not (tmp_path / "made").exists()


def test_fill_of_equal_classes_is_refused(tmp_path: Path, cutouts: Path) -> None:
    real = write_real(tmp_path / "real", {"blue": (3, 2, 2), "red": (3, 2, 2)})
    with pytest.raises(DatasetError, match=r"blue has 3, red has 3\. Add --count"):
        make(tmp_path, real=real, count=0, fill=True)


def test_photos_without_splits_are_split_before_synthetic_ones_are_added(tmp_path: Path, cutouts: Path) -> None:
    for label, colour in (("red", (200, 30, 30)), ("blue", (30, 60, 200))):
        (tmp_path / "real" / label).mkdir(parents=True)
        for number in range(25):
            content = photo_bytes(colour, 100 * len(label) + number)
            (tmp_path / "real" / label / f"{number}.png").write_bytes(content)
    result = make(tmp_path, real=tmp_path / "real")
    assert {split: sum(of_split.values()) for split, of_split in result.real.items()} == {
        "train": 34,
        "val": 8,
        "test": 8,
    }


def test_a_second_synthesis_replaces_the_first(tmp_path: Path, cutouts: Path) -> None:
    make(tmp_path, count=5)
    make(tmp_path, count=2)
    assert len(origins_of(tmp_path / "made")) == 4
    assert len(list((tmp_path / "made" / "images").rglob("*.jpg"))) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", "found others too"),
        ("images/synthetic/red/mine.jpg", "found others too"),
        (".git/config", "found others too"),
        ("images/synthetic/red/000000.jpg", "changed since"),
        ("origin.csv", "changed since"),
        ("dataset_files/train.txt", "changed since"),
    ],
)
def test_files_that_the_user_added_or_changed_are_not_replaced(
    tmp_path: Path, cutouts: Path, name: str, reason: str
) -> None:
    make(tmp_path)
    path = tmp_path / "made" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    before = content_of(tmp_path / "made")
    with pytest.raises(DatasetError, match=rf"{reason}: {name.replace('/config', '/')}\. Move them to another folder"):
        make(tmp_path)
    assert content_of(tmp_path / "made") == before
    path.rename(tmp_path / "kept")
    if name == ".git/config":
        path.parent.rmdir()
    make(tmp_path)
    assert (tmp_path / "kept").read_bytes() == b"mine"


def test_a_real_photo_that_was_changed_since_is_linked_again(tmp_path: Path, cutouts: Path) -> None:
    real = write_real(tmp_path / "real")
    make(tmp_path, real=real)
    photo = next((real / "images").rglob("*.png"))
    photo.write_bytes(photo_bytes((10, 200, 30), 99))
    make(tmp_path, real=real)
    assert (tmp_path / "made" / photo.relative_to(real)).read_bytes() == photo.read_bytes()


@pytest.mark.parametrize("record", ["[]", "{}", '{"files": 3}', "[" * 100_000])
def test_a_damaged_record_is_reported(tmp_path: Path, cutouts: Path, record: str) -> None:
    make(tmp_path)
    (tmp_path / "made" / "synthesis.json").write_text(record)
    with pytest.raises(DatasetError, match=r"synthesis\.json: expected the record of a synthesis, received a damaged"):
        make(tmp_path)


@pytest.mark.parametrize("failing", ["draw_sheet", "write_lists"])
def test_a_failure_midway_keeps_the_former_dataset(
    tmp_path: Path, cutouts: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    make(tmp_path)
    before = content_of(tmp_path / "made")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, failing, fail)
    with contextlib.suppress(OSError):
        make(tmp_path, count=4)
    assert content_of(tmp_path / "made") == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cutouts", "made"]


def test_more_photos_than_the_disk_has_room_for_are_refused_before_any_is_made(tmp_path: Path, cutouts: Path) -> None:
    with pytest.raises(StorageFullError, match=r"take about 1,200,000,000,000,000 bytes.* lower --count"):
        make(tmp_path, count=10_000_000_000)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("place", ["cutouts/made", "real/made", "backgrounds", "."])
def test_a_folder_that_is_read_is_not_written(tmp_path: Path, cutouts: Path, place: str) -> None:
    real = write_real(tmp_path / "real")
    (tmp_path / "backgrounds").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "backgrounds" / "gray.png")
    before = content_of(tmp_path)
    with pytest.raises(DatasetError, match=r"expected a (new folder|folder outside)"):
        synthesize(
            str(cutouts),
            str(tmp_path / "backgrounds"),
            tmp_path / place,
            SynthesisOptions(2),
            Workspace(tmp_path),
            TrainConfig(dataset=str(real)),
        )
    assert content_of(tmp_path) == before


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path, cutouts: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match=r"found thesis\.txt\. Name another"):
        make(tmp_path)
    assert (tmp_path / "made" / "thesis.txt").read_text() == "years of work"


def test_a_dataset_with_synthetic_photos_is_not_completed_again(tmp_path: Path, cutouts: Path) -> None:
    make(tmp_path, real=write_real(tmp_path / "real"))
    (tmp_path / "made").rename(tmp_path / "first")
    with pytest.raises(DatasetError, match="expected a dataset of real photos, found 6 synthetic ones"):
        make(tmp_path, real=tmp_path / "first")


def test_one_class_and_no_real_photos_are_warned_of(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "cutouts", ("red",))
    first, second = make(tmp_path).warnings
    assert "there is one class, red" in first
    assert "--dataset" in second


def test_classes_without_cutouts_are_named(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "cutouts", ("red",))
    result = make(tmp_path, real=write_real(tmp_path / "real"))
    assert result.synthetic == {"red": 3}
    assert result.warnings == ("classes without cut-outs, which got no synthetic photos: blue",)


@pytest.mark.parametrize(("is_recorded", "margin"), [(True, 0.3), (False, 0.1)])
def test_photos_are_cut_with_the_margin_of_the_real_ones(tmp_path: Path, is_recorded: bool, margin: float) -> None:
    (tmp_path / "export.json").write_text(json.dumps(boxed_tasks(tmp_path / "photos")))
    imported(tmp_path / "export.json", tmp_path / "photos", tmp_path / "real", margin=0.3)
    if not is_recorded:
        (tmp_path / "real" / "import.json").unlink()
    write_cutouts(tmp_path / "cutouts", ("cat", "dog"))
    assert make(tmp_path, real=tmp_path / "real", count=1).margin == margin
    assert make(tmp_path, real=tmp_path / "real", count=1, margin=0.2).margin == 0.2
