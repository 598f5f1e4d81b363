"""`topgraft models promote` and `rollback`: choose the latest model."""

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import topgraft
from model.bundle_files import ONNX_MODEL
from model.cli import promoting
from model.cli.command import main
from model.cli.comparison import write_comparison
from model.errors import ConfigError
from model.promotion import PROMOTED, promote, read_comparisons, read_history, roll_back
from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.colours import rewrite, write_colour_model, write_colours
from tests.support.small_model import write_small_model

Ask = Callable[..., int]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three models, `c` the newest, in the workspace of the command."""
    for name in "abc":
        write_small_model(tmp_path / "models" / name)
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    return tmp_path / "models"


def latest(models: Path) -> str:
    return find_bundle(Workspace(models.parent)).name


def test_rollback_restores_the_previous_promotion(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "a", "promoted": True}
    assert main(["models", "promote", "b"]) == 0
    assert latest(models) == "b"
    assert main(["models", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out) if row["promoted"]] == ["b"]
    assert main(["models", "rollback", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "a", "promoted": True}
    assert latest(models) == "a"
    assert main(["models", "rollback", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"latest": "c", "promoted": False}
    assert main(["models", "rollback"]) == 2
    assert "newest" in capsys.readouterr().err
    assert [entry.action for entry in read_history(Workspace(models.parent))] == ["promote"] * 2 + ["rollback"] * 2


def test_a_model_that_is_unknown_or_damaged_is_not_promoted(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((models / "a" / ONNX_MODEL).read_bytes())
    content[-1] ^= 1
    (models / "a" / ONNX_MODEL).write_bytes(content)
    assert main(["models", "promote", "a"]) == 4
    assert "sha256" in capsys.readouterr().err
    assert main(["models", "promote", "nosuch"]) == 4
    assert not (models / PROMOTED).exists()


def test_a_removed_promoted_model_is_skipped_with_a_warning(
    models: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["models", "promote", "a"]) == 0
    shutil.rmtree(models / "a")
    assert latest(models) == "c"
    assert "promoted model a does not exist any more" in caplog.text
    assert main(["models", "list"]) == 0
    assert "promoted model a does not exist any more" in capsys.readouterr().err


def test_a_damaged_history_is_never_overwritten(models: Path) -> None:
    workspace = Workspace(models.parent)
    for content in ("{", "[]", '{"history": [{"time": "", "action": "demote", "model": "a"}]}', '{"history": [1]}'):
        (models / PROMOTED).write_text(content)
        with pytest.raises(ConfigError, match=PROMOTED):
            promote(workspace, "b")
        with pytest.raises(ConfigError, match=PROMOTED):
            roll_back(workspace)
        assert (models / PROMOTED).read_text() == content
        assert latest(models) == "c"


def test_concurrent_promotions_are_all_kept(models: Path) -> None:
    workspace = Workspace(models.parent)
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda name: promote(workspace, name), "abcabcabcabcabcabc"))
    assert len(read_history(workspace)) == 18
    assert not [path for path in models.iterdir() if path.name.startswith(".")]


@pytest.fixture
def compared(tmp_path: Path, models: Path) -> Path:
    """Photos of three colours; `a` always predicts red, `b` is always correct."""
    write_colours(tmp_path / "data" / "photos", 12)
    for name in "abc":
        shutil.rmtree(models / name)
    write_colour_model(models, "a", always=0)
    write_colour_model(models, "b")
    return models


def promote_if_better(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["models", "promote", *arguments, "--if-better", "photos", "--json"]) == status
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_a_better_model_is_promoted_with_its_numbers(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "b")
    assert (answer["latest"], answer["promoted"], latest(compared)) == ("b", True, "b")
    assert answer["decision"].startswith("b is promoted: it is better, +66.7 points of accuracy")
    workspace = Workspace(compared.parent)
    [numbers] = read_comparisons(workspace)
    assert (numbers.model, numbers.base, numbers.time) == ("b", "a", read_history(workspace)[-1].time)
    assert numbers.photos["all"].images == 36 and numbers.photos["all"].interval[0] > 0
    assert answer["decision"] in (compared.parent / "comparisons" / "b-a" / "comparison.html").read_text()
    assert promote_if_better(capsys, "b") == {"latest": "b", "promoted": True, "decision": "", "comparison": None}
    # A later promotion and a rollback keep the numbers.
    assert main(["models", "promote", "a"]) == main(["models", "rollback"]) == 0
    assert read_comparisons(workspace) == [numbers]


def test_a_model_that_is_not_better_changes_nothing_and_exits_with_6(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "promote", "b"]) == 0
    before = (compared / PROMOTED).read_bytes()
    answer = promote_if_better(capsys, "a", status=6)
    assert (answer["latest"], answer["promoted"], latest(compared)) == ("b", False, "b")
    assert "a is not promoted: it is not better beyond chance" in answer["decision"]
    assert (compared / PROMOTED).read_bytes() == before
    page = (compared.parent / "comparisons" / "a-b" / "comparison.html").read_text()
    assert answer["decision"] in page
    write_colour_model(compared, "copy")
    assert "nothing to compare" in promote_if_better(capsys, "copy", status=6)["decision"]


def test_a_model_is_not_promoted_by_photos_that_it_was_tuned_on(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = sorted((compared.parent / "data" / "photos").rglob("*.png"))
    learned = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  x.png\n" for path in photos)
    rewrite(
        write_colour_model(compared, "tuned"),
        {"dataset_files/train.sha256": "", "dataset_files/val.sha256": learned},
    )
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "tuned", status=6)
    assert (answer["latest"], answer["promoted"], latest(compared)) == ("a", False, "a")
    assert answer["comparison"]["comparisons"][0]["verdict"] == "better"
    assert "tuned is not promoted: this cannot be decided on these photos" in answer["decision"]
    page = (compared.parent / "comparisons" / "tuned-a" / "comparison.html").read_text()
    assert page.index(answer["decision"]) < page.index("too optimistic") < page.index("<h2>The models")


def test_a_model_without_a_record_of_its_photos_is_not_promoted_by_its_own_dataset(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(compared.parent)
    fingerprint = topgraft.check("photos", workspace=workspace).fingerprint
    of_training = {"dataset": {"fingerprint": fingerprint}, "train_config": {"test_fraction": 0.5}}
    rewrite(write_colour_model(compared, "c"), **of_training)
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "c", status=6)
    assert "c was trained on this dataset, and did not record which" in answer["decision"]
    assert (answer["comparison"]["best"], latest(compared)) == ("a", "a")
    # Another model may be promoted by those of them that the options of the first one make its test split.
    assert promote_if_better(capsys, "c", "b")["latest"] == "b"


def test_a_refused_model_is_not_used_though_it_is_the_newest(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(compared, "c", always=1)
    answer = promote_if_better(capsys, "c", status=6)
    assert (answer["latest"], answer["promoted"], latest(compared)) == ("b", False, "b")
    assert [entry.model for entry in read_history(Workspace(compared.parent))] == ["b"]
    assert main(["models", "rollback"]) == 0
    # Of several newest models, none is used either; the message states the model that is.
    assert main(["models", "promote", "c", "b", "--if-better", "photos"]) == 0
    assert main(["models", "rollback"]) == 0
    write_colour_model(compared, "d", always=2)
    capsys.readouterr()
    assert main(["models", "promote", "c", "d", "--if-better", "photos"]) == 6
    assert "latest is now b, which is promoted" in capsys.readouterr().err
    assert latest(compared) == "b"
    # An older model is refused without any promotion: latest is the base model already.
    (compared / PROMOTED).unlink()
    for name in "cd":
        shutil.rmtree(compared / name)
    assert promote_if_better(capsys, "a", status=6)["latest"] == latest(compared) == "b"
    assert not (compared / PROMOTED).exists()


@pytest.mark.parametrize(
    "base, status, message",
    [("a", 2, "a was promoted last, as when the comparison began, found c"), ("b", 6, "latest is c.")],
)
def test_a_decision_that_another_promotion_overtook_changes_nothing(
    compared: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    status: int,
    message: str,
) -> None:
    write_colour_model(compared, "c")
    assert main(["models", "promote", base]) == 0

    def compare_slowly(*arguments: Any) -> Any:
        promote(Workspace(compared.parent), "c")
        return write_comparison(*arguments)

    monkeypatch.setattr(promoting, "write_comparison", compare_slowly)
    capsys.readouterr()
    new = "b" if base == "a" else "a"
    assert main(["models", "promote", new, "--if-better", "photos"]) == status
    assert message in capsys.readouterr().err
    assert latest(compared) == "c"


def test_a_better_model_that_loses_on_shared_classes_is_not_promoted(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It knows red only, and is always correct on it; the other always predicts green, and knows blue.
    write_colour_model(compared, "old", classes=("red", "pink", "gold"), always=0)
    write_colour_model(compared, "new", always=1)
    assert main(["models", "promote", "old"]) == 0
    write_colours(compared.parent / "data" / "more", 3, ("red",), seed=3)
    write_colours(compared.parent / "data" / "green", 30, ("green",), seed=4)
    (compared.parent / "data" / "green" / "green").rename(compared.parent / "data" / "more" / "green")
    capsys.readouterr()
    assert main(["models", "promote", "new", "--if-better", "more"]) == 6
    assert "it loses -100.0 points of accuracy" in capsys.readouterr().err
    assert main(["models", "promote", "new", "--if-better", "more", "--max-regression", "1"]) == 0
    assert latest(compared) == "new"


def test_the_first_model_is_promoted_and_the_newest_is_compared_with_the_one_before(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # `b` is latest only because it is the newest.
    assert promote_if_better(capsys, "b")["comparison"]["base"] == "a"
    (compared / PROMOTED).unlink()
    shutil.rmtree(compared / "a")
    answer = promote_if_better(capsys, "b")
    assert answer["promoted"] and "no other model" in answer["decision"]
    assert latest(compared) == "b" and read_comparisons(Workspace(compared.parent)) == []


def test_the_best_of_several_models_is_promoted_in_one_comparison(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(compared, "c", classes=("red", "green", "gold"))
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "c", "b", "c")
    assert (answer["latest"], answer["comparison"]["base"]) == ("b", "a")
    assert {one["new"] for one in answer["comparison"]["comparisons"]} == {"b", "c"}
    [numbers] = read_comparisons(Workspace(compared.parent))
    assert (numbers.model, numbers.base) == ("b", "a")
    assert [entry.model for entry in read_history(Workspace(compared.parent))] == ["a", "b"]
    worse = promote_if_better(capsys, "c", "a", status=6)
    assert worse["latest"] == "b" and "a is not promoted:" in worse["decision"]
    assert "c is not promoted:" in worse["decision"]


def test_the_best_of_the_first_models_is_promoted(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = promote_if_better(capsys, "a", "b")
    assert (answer["latest"], answer["promoted"], latest(compared)) == ("b", True, "b")
    (compared / PROMOTED).unlink()
    # None is better than the first one.
    assert promote_if_better(capsys, "b", "a")["latest"] == latest(compared) == "b"


def test_several_models_are_promoted_after_a_comparison_only(compared: Path) -> None:
    assert main(["models", "promote", "a", "b"]) == 2


@pytest.mark.parametrize(
    "options",
    [
        ("--max-regression", "0.1"),
        ("--max-regression", "0"),
        ("--metric", "macro_f1"),
        ("--metric", "accuracy"),
        ("--confident",),
        ("--output", "folder"),
        ("--table", "photos.csv"),
    ],
)
def test_options_of_a_comparison_need_a_dataset(
    compared: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert main(["models", "promote", "b", *options]) == 2
    assert f"{options[0]}: expected together with --if-better DATASET" in capsys.readouterr().err
    assert not (compared / PROMOTED).exists()


def test_the_dataset_of_a_comparison_is_read_with_its_options(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = compared.parent / "data" / "photos"
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    (photos / "list.csv").write_text("\n".join(["file,class", *rows[:30]]) + "\n")
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "b", "--table", "list.csv", "--image-column", "file", "--label-column", "class")
    assert (answer["latest"], answer["comparison"]["images"]) == ("b", 30)


def test_other_models_are_compared_with_one_that_is_promoted_already(
    compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_colour_model(compared, "c")
    assert main(["models", "promote", "a"]) == 0
    answer = promote_if_better(capsys, "a", "c")
    assert (answer["latest"], answer["comparison"]["base"], latest(compared)) == ("c", "a", "c")
    assert "nothing to compare" in promote_if_better(capsys, "c", "b", status=6)["decision"]


def test_a_history_with_more_than_this_version_knows_is_read(compared: Path) -> None:
    entry = {"time": "2026-01-01", "action": "promote", "model": "a", "later": 1}
    (compared / PROMOTED).write_text(json.dumps({"history": [entry], "later": [1]}))
    assert latest(compared) == "a"
