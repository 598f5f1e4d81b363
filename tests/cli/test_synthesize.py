"""`topgraft synthesize` as its users run it."""

import json
from pathlib import Path

import pytest

from tests.support.command import Run
from tests.synthesis.cutout_files import write_cutouts, write_real


def test_a_completed_dataset_is_checked_with_its_synthetic_photos_in_train(run: Run, workspace: Path) -> None:
    write_cutouts(workspace / "cutouts")
    write_real(workspace / "data" / "real")
    made = run("synthesize", "cutouts", "procedural", "data/more", "--dataset", "real", "--fill")
    assert made.returncode == 0, made.stderr
    assert "red: 3 train, 2 val, 2 test real; 3 synthetic train" in made.stdout
    assert "blue: 6 train, 2 val, 2 test real; 0 synthetic train" in made.stdout
    checked = run("check", "more", "--json")
    assert checked.returncode == 0, checked.stdout
    answer = json.loads(checked.stdout)
    assert (answer["synthetic"], answer["counts"]["train"]) == (3, {"blue": 6, "red": 6})
    lists = workspace / "data" / "more" / "dataset_files"
    train = (lists / "train.txt").read_text().splitlines(keepends=True)
    (lists / "train.txt").write_text("".join(train[:-1]))
    (lists / "val.txt").write_text((lists / "val.txt").read_text() + train[-1])
    refused = run("train", "--dataset", "more")
    assert refused.returncode == 3
    assert "val: expected real photos only, found 1 that origin.csv states as synthetic" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fill",), "--fill: expected --dataset"),
        (("--count", "0"), "--count: expected 1 or more photos, or --fill"),
        (("--val-fraction", "0.2"), "--val-fraction: expected --dataset"),
    ],
)
def test_options_that_need_another_are_refused(
    run: Run, workspace: Path, options: tuple[str, ...], message: str
) -> None:
    write_cutouts(workspace / "cutouts")
    refused = run("synthesize", "cutouts", "procedural", "data/made", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not (workspace / "data" / "made").exists()
