"""`topgraft compare`: its answer, its files, its exit status, and what it refuses."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from model.cli.command import main
from model.workspace import Workspace
from tests.support.colours import rewrite, write_colour_model, write_colours

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "comparison.schema.json").read_text())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Photos of three colours, the model `good` that knows them, and `red`, which always predicts red."""
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    write_colours(tmp_path / "data" / "photos", 12)
    models = tmp_path / "models"
    write_colour_model(models, "good")
    write_colour_model(models, "red", always=0)
    return Workspace(tmp_path)


def compare(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """The answer of the command, which keeps the promise of the schema."""
    capsys.readouterr()
    assert main(["compare", *arguments, "--json"]) == status, capsys.readouterr().err
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    if status in (0, 6):
        jsonschema.Draft202012Validator(SCHEMA).validate(answer)
    return answer


def test_a_better_model_is_better_by_the_numbers_of_both(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = compare(capsys, "red", "good", "photos")
    [pair] = answer["comparisons"]
    row = pair["rows"]["shared"]
    assert (answer["split"], answer["images"], row["images"]) == ("all", 36, 36)
    assert (row["base"], row["new"], row["fixed"], row["broken"]) == (pytest.approx(1 / 3), 1, 24, 0)
    assert pair["verdict"] == "better" and answer["best"] == "good"
    assert pair["sentence"].startswith("good is better than red: 66.7 points of accuracy (95 % interval ")
    assert [(one["class"], one["base_recall"], one["significant"]) for one in pair["per_class"]] == [
        ("red", 1, False),
        ("green", 0, True),
        ("blue", 0, True),
    ]
    assert {model["name"]: model["classes"] for model in answer["models"]} == {"red": 3, "good": 3}
    assert all(model["milliseconds"] > 0 and model["megabytes"] > 0 for model in answer["models"])


def test_the_files_are_in_the_folder_of_the_comparison(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = compare(capsys, "red", "good", "photos")
    folder = workspace.root / "comparisons" / "good-red"
    assert json.loads((folder / "comparison.json").read_text()) == answer
    with open(folder / "changed.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert {(row["true"], row["new_model"], row["change"], row["base_predicted"]) for row in rows} == {
        ("green", "good", "fixed", "red"),
        ("blue", "good", "fixed", "red"),
    }
    page = (folder / "comparison.html").read_text()
    assert answer["sentences"][0] in page
    assert page.count("data:image/jpeg;base64,") == 8 * 3
    capsys.readouterr()
    assert main(["compare", "red", "good", "photos", "--output", str(workspace.root / "other")]) == 0
    printed = capsys.readouterr().out
    assert answer["sentences"][0] in printed and "33.3 -> 100.0 %" in printed and "ms for a photo" in printed
    assert sorted(path.name for path in (workspace.root / "other").iterdir()) == sorted(
        ("comparison.html", "comparison.json", "changed.csv")
    )


def test_a_loss_beyond_the_limit_exits_with_6(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    lost = compare(capsys, "good", "red", "photos", "--max-regression", "0.5", status=6)
    assert lost["kept"] is lost["comparisons"][0]["kept"] is False
    assert lost["best"] == "good" and lost["comparisons"][0]["verdict"] == "worse"
    assert compare(capsys, "good", "red", "photos", "--max-regression", "0.7")["kept"] is True
    # Its interval reaches below -0.7.
    assert compare(capsys, "good", "red", "photos", "--max-regression", "0.7", "--confident", status=6)["kept"] is False
    assert compare(capsys, "red", "good", "photos", "--max-regression", "0", "--confident")["kept"] is True
    assert compare(capsys, "good", "red", "photos")["kept"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("good", "photos"), "BASE, one or several NEW models and DATASET"),
        (("good", "red", "photos", "--confident"), "together with max_regression"),
        (("good", "red", "photos", "--metric", "f2"), "accuracy"),
        (("good", "red", "photos", "--max-regression", "2"), "2"),
        (("good", "red", "photos", "--max-regression", "nan"), "nan"),
    ],
)
def test_options_without_a_meaning_are_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in compare(capsys, *arguments, status=2)["message"]


def test_a_model_is_not_compared_with_itself(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    write_colour_model(workspace.models, "copy")
    for other in ("good", "copy"):
        answer = compare(capsys, "good", other, "photos", "--max-regression", "0")
        assert answer["comparisons"] == [] and answer["best"] == "good" and answer["kept"] is True
        assert "there is nothing to compare" in answer["sentences"][0]
        folder = workspace.root / "comparisons" / f"{other}-good"
        assert {path.name for path in folder.iterdir()} == {"comparison.html", "comparison.json", "changed.csv"}
        assert json.loads((folder / "comparison.json").read_text()) == answer
    answer = compare(capsys, "good", "good", "red", "red", "photos")
    assert [pair["new"] for pair in answer["comparisons"]] == ["red"]
    assert "nothing to compare" in answer["sentences"][0]


def test_models_without_a_common_class_are_refused_with_both_lists(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(workspace.models, "others", classes=("cyan", "pink", "gold"))
    message = compare(capsys, "good", "others", "photos", status=2)["message"]
    assert "red, green, blue" in message and "cyan, pink, gold" in message
    assert "Classes are matched by name: train others again with the names of good" in message


def test_a_damaged_or_missing_model_exits_with_4(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((workspace.models / "red" / "model.onnx").read_bytes())
    content[-1] ^= 1
    (workspace.models / "red" / "model.onnx").write_bytes(content)
    assert "sha256" in compare(capsys, "good", "red", "photos", status=4)["message"]
    compare(capsys, "good", "nosuch", "photos", status=4)
    assert not (workspace.root / "comparisons" / "red-good").exists()


def test_photos_that_a_model_learned_from_are_left_out_under_any_name(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = workspace.data / "photos"
    digests = [hashlib.sha256((photos / "red" / f"{number}.png").read_bytes()).hexdigest() for number in range(5)]
    for name, split, learned in (("red", "train", digests[:3]), ("good", "val", digests[2:])):
        bundle = write_colour_model(workspace.models, f"{name}-2", always=0 if name == "red" else None)
        files = dict.fromkeys(("dataset_files/train.sha256", "dataset_files/val.sha256"), "")
        files[f"dataset_files/{split}.sha256"] = "".join(f"{digest}  elsewhere/x.png\n" for digest in learned)
        rewrite(bundle, files)
    (photos / "red" / "0.png").rename(photos / "red" / "renamed.png")
    answer = compare(capsys, "red-2", "good-2", "photos")
    assert answer["left_out"]["learned"] == {"images": 5, "by_model": {"red-2": 3, "good-2": 3}}
    assert answer["images"] == 31


def test_photos_of_older_models_are_recognized_by_their_paths(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    import topgraft

    fingerprint = topgraft.check("photos", workspace=workspace).fingerprint
    lists = {"dataset_files/train.txt": "red/0.png 0\nred/1.png 0\n", "dataset_files/val.txt": "blue/0.png 2\n"}
    rewrite(write_colour_model(workspace.models, "old", always=1), lists, dataset={"fingerprint": fingerprint})
    rewrite(write_colour_model(workspace.models, "older", always=1), lists, dataset={"fingerprint": "0" * 64})
    answer = compare(capsys, "old", "good", "photos")
    assert answer["left_out"]["learned"]["by_model"]["old"] == 3 and answer["images"] == 33
    answer = compare(capsys, "older", "good", "photos")
    assert answer["images"] == 36
    assert any("no checksums of the training photos of older are recorded" in line for line in answer["warnings"])


def test_without_other_photos_those_that_chose_the_options_are_used_with_a_warning(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{colour}/{number}.png" for colour in ("red", "green", "blue") for number in range(12)]
    digest = {name: hashlib.sha256((workspace.data / "photos" / name).read_bytes()).hexdigest() for name in names}
    train = "".join(f"{digest[name]}  {name}\n" for name in names[:30])
    val = "".join(f"{digest[name]}  {name}\n" for name in names[30:])
    bundle = write_colour_model(workspace.models, "trained", always=1)
    rewrite(bundle, {"dataset_files/train.sha256": train, "dataset_files/val.sha256": val})
    answer = compare(capsys, "trained", "good", "photos")
    assert (answer["split"], answer["images"]) == ("val", 6)
    # Those of the split are compared, so only the others are left out.
    assert answer["left_out"]["learned"] == {"images": 30, "by_model": {"trained": 30, "good": 0}}
    assert any("too optimistic" in warning for warning in answer["warnings"])
    # The better model is not recommended: it may be better only on these photos.
    assert answer["comparisons"][0]["verdict"] == "better" and answer["best"] == "trained"
    page = (workspace.root / "comparisons" / "good-trained" / "comparison.html").read_text()
    assert "Replace trained? This cannot be said from these photos" in page
    assert compare(capsys, "trained", "good", "photos", "--max-regression", "1", status=6)["kept"] is False
    rewrite(bundle, {"dataset_files/train.sha256": train + val, "dataset_files/val.sha256": ""})
    assert "none of the models" in compare(capsys, "trained", "good", "photos", status=3)["message"]


def test_classes_that_one_model_knows_have_rows_of_their_own(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    colours = rng.normal(45, 4, (60, 3))
    colours[:, 0] += 100
    base = write_colour_model(workspace.models, "warm", classes=("red", "pink", "gold"), learned_colours=colours)
    rewrite(base, thresholds={"distance": 0.1})
    answer = compare(capsys, "warm", "good", "photos")
    rows = answer["comparisons"][0]["rows"]
    assert {name: row["images"] for name, row in rows.items()} == {"shared": 12, "new": 24, "all": 36}
    assert (rows["new"]["base"], rows["new"]["new"], rows["new"]["new_unknown"]) == (0, 1, None)
    assert rows["new"]["base_unknown"] == 24 and rows["shared"]["base_unknown"] == 0
    recalls = {row["class"]: (row["base_recall"], row["p_value"]) for row in answer["comparisons"][0]["per_class"]}
    assert recalls["green"] == (None, None)
    # The limit applies to the shared photos: nothing is lost there, also in the other direction.
    assert compare(capsys, "good", "warm", "photos", "--max-regression", "0")["kept"] is True
    lost = compare(capsys, "good", "warm", "photos", "--max-regression", "0", "--on", "all", status=6)
    assert lost["comparisons"][0]["rows"]["base"]["images"] == 24


def test_photos_of_a_class_that_no_model_knows_are_counted(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colours(workspace.data / "four", 6, ("red", "green", "blue", "gray"), seed=1)
    answer = compare(capsys, "red", "good", "four")
    assert answer["left_out"]["unknown_classes"] == {"images": 6, "counts": {"gray": 6}}
    assert answer["images"] == 18
    write_colours(workspace.data / "strange", 6, ("gray", "pink"), seed=2)
    message = compare(capsys, "red", "good", "strange", status=3)["message"]
    assert "knows (blue, green, red)" in message and "found only photos of other classes: gray (6), pink (6)" in message


def test_a_dataset_without_photos_of_shared_classes_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(workspace.models, "warm", classes=("red", "pink", "gold"))
    write_colours(workspace.data / "cold", 6, ("green", "blue"), seed=2)
    message = compare(capsys, "warm", "good", "cold", status=3)["message"]
    assert "of classes that both models know" in message and "--on all" in message
    assert compare(capsys, "warm", "good", "cold", "--on", "all")["comparisons"][0]["rows"].keys() == {"new", "all"}


def test_several_new_models_are_corrected_for_their_number(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(workspace.models, "green", always=1)
    single = compare(capsys, "red", "good", "photos")
    answer = compare(capsys, "red", "green", "good", "photos")
    assert [pair["new"] for pair in answer["comparisons"]] == ["green", "good"]
    assert answer["best"] == "good"
    assert answer["comparisons"][1]["p_value"] == pytest.approx(2 * single["comparisons"][0]["p_value"])
    assert (workspace.root / "comparisons" / "green+good-red" / "comparison.html").is_file()
    sentence = answer["comparisons"][0]["sentence"]
    assert sentence.startswith("No difference between green and red can be detected on 36 photos")
    assert "to detect 2 points, about" in sentence


def test_the_folder_of_models_with_long_names_has_a_name_that_file_systems_allow(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [letter * 100 for letter in "abc"]
    for label, name in enumerate(names):
        write_colour_model(workspace.models, name, always=label)
    compare(capsys, *names, "photos")
    compare(capsys, names[0], names[2], names[1], "photos")
    folders = list((workspace.root / "comparisons").iterdir())
    assert len(folders) == 2 and all(len(folder.name) < 200 for folder in folders)
    assert {path.name for folder in folders for path in folder.iterdir()} == {
        "comparison.html",
        "comparison.json",
        "changed.csv",
    }


def test_unreadable_photos_are_listed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace.data / "photos" / "red" / "0.png").write_bytes(b"no image")
    answer = compare(capsys, "red", "good", "photos")
    assert [item["name"] for item in answer["unreadable"]] == ["red/0.png"] and answer["images"] == 35
