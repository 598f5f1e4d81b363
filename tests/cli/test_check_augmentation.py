"""`topgraft check --augmentation`: the figure of augmented views."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from model.augmentation import OPERATIONS, PRESETS
from tests.support.command import ROOT, Run


def test_the_figure_has_eight_images_with_seven_views_each(run: Run, photos: Path, workspace: Path) -> None:
    ran = run("check", "photos", "--augmentation", "flip_lr|rotate(30)")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-2:] == [
        "Augmentation: flip_lr(0.5)|rotate(30)",
        "Views drawn: augmentation.png",
    ]
    with Image.open(workspace / "augmentation.png") as sheet:
        pixels = np.asarray(sheet)
    tiles = [pixels[60 + 156 * row : 180 + 156 * row, 8 + 132 * column : 128 + 132 * column] for row, column in CELLS]
    assert all(tile.std() > 10 for tile in tiles)
    assert len({tile.tobytes() for tile in tiles}) == len(tiles)
    reds = [tile[..., 0].mean() > tile[..., 2].mean() for tile in tiles]
    assert sum(reds) == len(tiles) // 2


CELLS = [(row, column) for row in range(8) for column in range(8)]


def test_the_figure_is_deterministic_and_written_to_the_given_file(run: Run, photos: Path, workspace: Path) -> None:
    for name in ("one.png", "two.png"):
        ran = run("check", "photos", "--augmentation", "strong", "--sheet", name, "--json")
        assert json.loads(ran.stdout)["augmentation"]["sheet"] == name
    assert (workspace / "one.png").read_bytes() == (workspace / "two.png").read_bytes()


def test_without_operations_no_figure_is_drawn(run: Run, photos: Path, workspace: Path) -> None:
    assert run("check", "photos", "--augmentation", "none").stdout.splitlines()[-1] == "Augmentation: none"
    assert "Augmentation" not in run("check", "photos").stdout
    assert not (workspace / "augmentation.png").exists()


def test_invalid_augmentations_are_refused_before_any_work(run: Run, photos: Path) -> None:
    ran = run("check", "photos", "--augmentation", "rotat(15)")
    assert ran.returncode == 2 and "Did you mean rotate?" in ran.stderr and "check 1/" not in ran.stderr
    assert run("check", "photos", "--augmentation", "light", "--sheet", "no/where.png").returncode == 2
    ran = run("train", "--dataset", "photos", "--augmentation", "crop(7)")
    assert ran.returncode == 2 and "crop: expected a number from 0.1 to 1" in ran.stderr


def test_the_page_lists_every_operation_and_preset() -> None:
    page = (ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8")
    for name, info in OPERATIONS.items():
        row = f"| `{name}` | {info.meaning} | {info.minimum:g} to {info.maximum:g} | {info.default:g} |"
        assert row in page
    for name, text in PRESETS.items():
        meaning = "`{}`".format(text.replace("|", r"\|")) if text else "nothing"
        assert f"| `{name}` | {meaning} |" in page


def test_check_states_that_auto_is_none_for_a_head_alone(photos: Path, run: Run):
    assert "for a head alone, auto is none" in run("check", "photos", "--augmentation", "auto").stdout
    assert "for a head alone" not in run("check", "photos", "--augmentation", "light").stdout
