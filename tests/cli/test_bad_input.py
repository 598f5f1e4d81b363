"""Invalid input has a specific exit status and a message that lists every problem."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Run
from tests.support.photos import CLASSES, IMAGES_PER_CLASS, write_image


def write_lists(dataset: Path, classes: str, train: str) -> None:
    files = dataset / "dataset_files"
    files.mkdir(parents=True)
    (files / "classes.txt").write_text(classes, encoding="utf-8")
    (files / "train.txt").write_text(train, encoding="utf-8")
    for number in range(4):
        write_image(dataset / "images" / f"{number}.jpg", CLASSES[number % 2], seed=number)


def empty(dataset: Path) -> None:
    dataset.mkdir()


def one_class(dataset: Path) -> None:
    for number in range(4):
        write_image(dataset / "red" / f"{number}.jpg", "red", seed=number)


def label_out_of_range(dataset: Path) -> None:
    write_lists(dataset, "blue\nred\n", "0.jpg 0\n1.jpg 2\n2.jpg 0\n3.jpg -1\n")


def missing_images(dataset: Path) -> None:
    write_lists(dataset, "blue\nred\n", "0.jpg 0\n1.jpg 1\nnowhere.jpg 0\n2.jpg 0\nneither.jpg 1\n")


def duplicate_classes(dataset: Path) -> None:
    write_lists(dataset, "blue\nred\nblue\n\nred\n", "0.jpg 0\n1.jpg 1\n")


def corrupt_class(dataset: Path) -> None:
    for number in range(20):
        write_image(dataset / "red" / f"{number}.jpg", "red", seed=number)
    (dataset / "blue").mkdir()
    (dataset / "blue" / "0.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")


def damaged_zip(dataset: Path) -> None:
    with zipfile.ZipFile(dataset, "w") as archive:
        archive.writestr("red/0.jpg", b"x" * 1000)
    dataset.write_bytes(dataset.read_bytes()[:200])


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("nowhere", lambda dataset: None, ["nowhere"]),
        ("empty", empty, ["dataset_files/", "a folder per class"]),
        ("one", one_class, ["red", "two"]),
        ("labels", label_out_of_range, ["train.txt:2", "train.txt:4"]),
        ("missing", missing_images, ["train.txt:3", "nowhere.jpg", "train.txt:5", "neither.jpg"]),
        ("classes", duplicate_classes, ["classes.txt:3", "classes.txt:4", "classes.txt:5"]),
        ("corrupt", corrupt_class, ["blue", "0.jpg"]),
        ("cut.zip", damaged_zip, ["cut.zip"]),
    ],
)
def test_check_of_an_unusable_dataset_exits_with_3_and_lists_all_problems(
    name: str, write: Callable[[Path], None], said: list[str], run: Run, workspace: Path
) -> None:
    write(workspace / "data" / name)
    ran = run("check", name, "--json")
    assert ran.returncode == 3, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["status"] == "error"
    for part in said:
        assert part in answer["message"]
        assert part in ran.stderr
    assert "Traceback" not in ran.stderr


def test_training_on_an_unusable_dataset_exits_with_3_and_leaves_no_files(run: Run, workspace: Path) -> None:
    missing_images(workspace / "data" / "missing")
    ran = run("train", "--dataset", "missing", "--name", "never", "--json")
    assert ran.returncode == 3, ran.stderr
    assert "neither.jpg" in json.loads(ran.stdout)["message"]
    assert list((workspace / "models").glob("[!.]*")) == []
    assert list((workspace / "models" / ".running").glob("never")) == []


def test_images_directory_without_images_exits_with_3(run: Run, workspace: Path) -> None:
    write_lists(workspace / "data" / "lists", "blue\nred\n", "0.jpg 0\n1.jpg 1\n2.jpg 0\n3.jpg 1\n")
    ran = run("check", "lists", "--images-directory", "elsewhere")
    assert ran.returncode == 3
    assert "elsewhere" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--backbone", "EfficientNetLit0"], ["EfficientNetLite0"]),
        (["train", "--epochs", "0", "--resize", "stretch", "--l2", "much"], ["epochs", "resize", "l2"]),
        (["train", "--image_size", "100"], ["--image-size"]),
        (["train", "--epoch", "3"], ["--epochs"]),
        (["train", "--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["train", "--name", "../outside"], ["name", "../outside"]),
        (["trian"], ["trian"]),
        (["predict", "latest"], ["PATH"]),
        (["predict", "latest", "a.jpg", "--output", "table.xls"], [".csv", "table.xls"]),
        (["predict", "latest", "a.jpg", "--output", "nowhere/table.csv"], ["nowhere"]),
        (["predict", "latest", "a.jpg", "--picture", "answer.jpg"], [".png", "answer.jpg"]),
        (["predict", "latest", "a.jpg", "--top-k", "0"], ["top_k"]),
        (["models", "remove", "colors"], ["--yes"]),
        (["--workspace", "nowhere", "models", "list"], ["nowhere"]),
    ],
)
def test_usage_errors_exit_with_2_and_state_what_was_expected(arguments: list[str], said: list[str], run: Run) -> None:
    ran = run(*arguments)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert all(part in ran.stderr for part in said)
    assert "Traceback" not in ran.stderr


def test_an_unknown_option_in_a_file_is_refused_with_a_suggestion(run: Run, workspace: Path) -> None:
    (workspace / "options.yaml").write_text("epoch: 3\nseed: x\n", encoding="utf-8")
    ran = run("train", "--config", "options.yaml")
    assert ran.returncode == 2
    assert "Did you mean: epochs" in ran.stderr
    assert "seed" in ran.stderr


@pytest.mark.parametrize(
    "arguments", [["models", "show", "unknown"], ["predict", "latest", "a.jpg"], ["evaluate", "unknown", "photos"]]
)
def test_an_unknown_model_exits_with_4(arguments: list[str], run: Run) -> None:
    ran = run(*arguments, "--json")
    assert ran.returncode == 4
    assert json.loads(ran.stdout)["exit_status"] == 4


def test_usage_errors_are_json_with_the_option_json(run: Run) -> None:
    ran = run("check", "--json")
    assert ran.returncode == 2
    assert "PATH" in json.loads(ran.stdout)["message"]


def test_errors_of_the_operating_system_exit_with_5_without_a_traceback(run: Run, workspace: Path) -> None:
    failing = _broken_library(workspace, "(_ for _ in ()).throw(OSError(28, 'No space left on device', '/full'))")
    ran = run("models", "list", "--json", PYTHONPATH=str(failing))
    assert ran.returncode == 5
    assert "Traceback" not in ran.stderr
    assert "/full: No space left" in json.loads(ran.stdout)["message"]


def test_an_internal_error_exits_with_1_and_a_traceback(run: Run, workspace: Path) -> None:
    ran = run("models", "list", "--json", PYTHONPATH=str(_broken_library(workspace, "1 / 0")))
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "ZeroDivisionError" in json.loads(ran.stdout)["message"]


def _broken_library(folder: Path, failure: str) -> Path:
    """A place for PYTHONPATH from which an interpreter gets a listing that fails."""
    from tests.support.command import ROOT

    (folder / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import model.registry\n"
        f"model.registry.model_names = lambda workspace: {failure}\n",
        encoding="utf-8",
    )
    return folder


def test_the_fixture_is_a_dataset(run: Run, photos: Path) -> None:
    ran = run("check", "photos", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["images"] == len(CLASSES) * IMAGES_PER_CLASS
