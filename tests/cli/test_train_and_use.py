"""A model trained by the command, and all subcommands that use it."""

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.command import COMMAND, Run, environment_of_tests, heed_interrupts, topgraft
from tests.support.photos import write_image


def ask(trained: tuple[Path, Any], *arguments: object) -> "subprocess.CompletedProcess[str]":
    return topgraft(*arguments, cwd=trained[0])


def test_train_prints_only_json_and_logs_its_options_once(trained: tuple[Path, Any]) -> None:
    workspace, ran = trained
    result = json.loads(ran.stdout)
    assert result["model"] == "colors"
    assert Path(result["path"]) == workspace / "models" / "colors"
    config = find_bundle(Workspace(workspace), "colors").manifest.train_config
    assert (config["epochs"], config["seed"], config["name"]) == (3, 7, "colors")
    assert ran.stderr.count("name = 'colors' (command line)") == 1
    assert ran.stderr.count("epochs = 3 (options.yaml)") == 1


def test_an_existing_name_is_refused_with_2(trained: tuple[Path, Any]) -> None:
    ran = ask(trained, "train", "--dataset", "photos", "--name", "colors")
    assert ran.returncode == 2
    assert "topgraft models remove colors" in ran.stderr


def test_models_are_listed_and_shown(trained: tuple[Path, Any]) -> None:
    assert "colors" in ask(trained, "models", "list").stdout
    [row] = json.loads(ask(trained, "models", "list", "--json").stdout)
    assert (row["name"], row["status"], row["classes"]) == ("colors", "whole", 2)
    shown = json.loads(ask(trained, "models", "show", "latest", "--json").stdout)
    assert shown["classes"] == ["blue", "red"]


def test_prediction_on_standard_output(trained: tuple[Path, Any]) -> None:
    ran = ask(trained, "predict", "colors", "data/photos/red/0.jpg")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("data/photos/red/0.jpg: red ")


def test_prediction_of_files_folders_and_zips_to_each_format(trained: tuple[Path, Any], tmp_path: Path) -> None:
    workspace = trained[0]
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(workspace / "data" / "photos" / "blue" / "1.jpg", "deep/blue.jpg")
    (tmp_path / "cut.jpg").write_bytes((workspace / "data" / "photos" / "blue" / "1.jpg").read_bytes()[:700])
    sources = ["data/photos/red", tmp_path / "more.zip", tmp_path / "cut.jpg", tmp_path / "nowhere.jpg"]
    tables = [tmp_path / f"table{suffix}" for suffix in (".csv", ".json", ".jsonl")]
    for table in tables:
        ran = ask(trained, "predict", "colors", *sources, "--top-k", "1", "--output", table)
        assert ran.returncode == 0, ran.stderr
        assert "cut.jpg" in ran.stderr
        assert "No such file or directory" in ran.stderr

    with open(tables[0], newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    answer = json.loads(tables[1].read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in tables[2].read_text(encoding="utf-8").splitlines()]
    assert answer["predictions"] == lines
    assert [row["image"] for row in rows] == [line["image"] for line in lines]
    assert [row["label"] for row in rows] == ["red"] * 8 + ["blue", "", ""]
    assert [bool(row["error"]) for row in rows] == [False] * 9 + [True, True]
    assert rows[8]["image"] == f"{tmp_path / 'more.zip'}/deep/blue.jpg"


def test_predictions_are_deterministic(trained: tuple[Path, Any]) -> None:
    answers = {ask(trained, "predict", "colors", "data/photos", "--json").stdout for _ in range(2)}
    assert len(answers) == 1
    assert json.loads(answers.pop())["status"] == "OK"


def test_invalid_utf_8_in_file_names_is_written_to_every_format(trained: tuple[Path, Any], tmp_path: Path) -> None:
    photo = trained[0] / "data" / "photos" / "red" / "0.jpg"
    shutil.copyfile(photo, os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    for output in ("table.csv", "table.json", "table.jsonl"):
        ran = ask(trained, "predict", "colors", tmp_path, "--output", tmp_path / output, "--json")
        assert ran.returncode == 0, ran.stderr
        assert "caf\\udce9.jpg" in json.loads(ran.stdout)["predictions"][0]["image"]


def test_without_any_readable_photo_predict_exits_with_3_and_lists_them(
    trained: tuple[Path, Any], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("not an image", encoding="utf-8")
    output = tmp_path / "table.csv"
    ran = ask(trained, "predict", "colors", tmp_path, tmp_path / "nowhere.jpg", "--output", output, "--json")
    assert ran.returncode == 3
    message = json.loads(ran.stdout)["message"]
    assert "text.jpg" in message
    assert "nowhere.jpg" in message
    assert not output.exists()


def test_the_prediction_is_drawn(trained: tuple[Path, Any], tmp_path: Path) -> None:
    figure = tmp_path / "answer.png"
    ran = ask(trained, "predict", "colors", tmp_path / "nowhere.jpg", "data/photos/red/0.jpg", "--picture", figure)
    assert ran.returncode == 0, ran.stderr
    with Image.open(figure) as drawn:
        assert drawn.size == (1000, 500)


def test_evaluation_on_the_training_dataset_uses_unseen_photos(trained: tuple[Path, Any], tmp_path: Path) -> None:
    ran = ask(trained, "evaluate", "colors", "photos", "--json", "--output", tmp_path / "table.csv")
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    listed = trained[0] / "models" / "colors" / "dataset_files" / "test.txt"
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as stream:
        names = sorted(row["image"] for row in csv.DictReader(stream))
    assert answer["split"] == "test"
    assert names == sorted(line.rpartition(" ")[0] for line in listed.read_text(encoding="utf-8").splitlines())
    measured = find_bundle(Workspace(trained[0]), "colors").manifest.metrics["test"]["accuracy"]
    assert answer["metrics"]["accuracy"] == pytest.approx(measured)


def test_evaluation_on_another_dataset_uses_all_photos_and_matches_classes_by_name(trained: tuple[Path, Any]) -> None:
    folder = trained[0] / "data" / "others"
    for number in range(4):
        write_image(folder / "red" / f"{number}.jpg", "red", seed=900 + number)
        write_image(folder / "blue" / f"{number}.jpg", "blue", seed=950 + number)
    answer = json.loads(ask(trained, "evaluate", "colors", "others", "--json").stdout)
    assert (answer["split"], answer["metrics"]["images"]) == ("all", 8)
    assert answer["metrics"]["accuracy"] >= 0.75


def write_strange(trained: tuple[Path, Any]) -> None:
    """A dataset of one class that the model knows, and one that it does not."""
    folder = trained[0] / "data" / "strange"
    for number in range(4):
        write_image(folder / "red" / f"{number}.jpg", "red", seed=500 + number)
        write_image(folder / "green" / f"{number}.jpg", "blue", seed=600 + number)


def test_photos_of_unknown_classes_are_counted_and_in_none_of_the_metrics(
    trained: tuple[Path, Any], tmp_path: Path
) -> None:
    write_strange(trained)
    ran = ask(trained, "evaluate", "colors", "strange", "--json", "--output", tmp_path / "table.csv")
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["metrics"]["images"] == 4
    others = answer["unknown_classes"]
    assert (others["counts"], others["images"]) == ({"green": 4}, 4)
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["true"] == "green"]
    assert [row["correct"] for row in rows] == [""] * 4
    marked = [row["unknown"] for row in rows].count("true") if rows[0]["unknown"] else None
    assert others["marked_unknown"] == marked
    assert (
        "4 photos of classes that the model does not know are in none of the metrics: green (4)"
        in ask(trained, "evaluate", "colors", "strange").stdout
    )


def test_a_dataset_of_unknown_classes_only_is_refused_with_both_lists(trained: tuple[Path, Any]) -> None:
    folder = trained[0] / "data" / "stranger"
    for number in range(4):
        write_image(folder / "green" / f"{number}.jpg", "red", seed=number)
        write_image(folder / "yellow" / f"{number}.jpg", "blue", seed=100 + number)
    ran = ask(trained, "evaluate", "colors", "stranger")
    assert ran.returncode == 3
    assert "blue, red" in ran.stderr and "green, yellow" in ran.stderr


def test_an_accuracy_below_the_limit_exits_with_6(trained: tuple[Path, Any], tmp_path: Path) -> None:
    write_strange(trained)
    page = tmp_path / "report.html"
    ran = ask(trained, "evaluate", "colors", "photos", "--json", "--min-accuracy", "0", "--report", page)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["min_accuracy"] == {"limit": 0, "kept": True}
    assert f"{answer['metrics']['accuracy']:.1%}" in page.read_text(encoding="utf-8")
    # A photo of the other colour, so that not all are correct.
    write_image(trained[0] / "data" / "wrong" / "red" / "0.jpg", "blue", seed=900)
    write_image(trained[0] / "data" / "wrong" / "red" / "1.jpg", "blue", seed=901)
    write_image(trained[0] / "data" / "wrong" / "blue" / "0.jpg", "red", seed=902)
    write_image(trained[0] / "data" / "wrong" / "blue" / "1.jpg", "red", seed=903)
    ran = ask(trained, "evaluate", "colors", "wrong", "--json", "--min-accuracy", "0.9")
    assert ran.returncode == 6
    assert json.loads(ran.stdout)["min_accuracy"] == {"limit": 0.9, "kept": False}
    assert "below --min-accuracy 0.9" in ran.stderr


def test_latest_skips_a_newer_model_with_modified_weights(trained: tuple[Path, Any], workspace: Path) -> None:
    for name, created in (("older", "2026-01-01T00:00:00+00:00"), ("newer", "2026-01-02T00:00:00+00:00")):
        copy = workspace / "models" / name
        shutil.copytree(trained[0] / "models" / "colors", copy)
        manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
        (copy / "manifest.json").write_text(json.dumps(manifest | {"created": created}), encoding="utf-8")
    weights = workspace / "models" / "newer" / "model.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0x40
    weights.write_bytes(content)
    photo = trained[0] / "data" / "photos" / "red" / "0.jpg"
    ran = topgraft("predict", "latest", photo, "--json", cwd=workspace)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["model"] == "older"
    assert "skipping a damaged model" in ran.stderr and "newer" in ran.stderr
    assert topgraft("predict", "newer", photo, cwd=workspace).returncode == 4


def test_a_damaged_model_is_listed_and_can_be_removed(trained: tuple[Path, Any], run: Run, workspace: Path) -> None:
    shutil.copytree(trained[0] / "models" / "colors", workspace / "models" / "hurt")
    (workspace / "models" / "hurt" / "model.onnx").write_bytes(b"cut")
    assert "damaged" in run("models", "list").stdout
    assert run("models", "show", "hurt").returncode == 4
    assert run("predict", "hurt", "a.jpg").returncode == 4
    assert run("doctor").returncode == 2
    assert json.loads(run("models", "remove", "hurt", "--yes", "--json").stdout) == {"removed": ["hurt"]}
    assert not (workspace / "models" / "hurt").exists()


@pytest.mark.slow
def test_ctrl_c_exits_with_130_and_leaves_no_model(workspace: Path, photos: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "train", "--dataset", "photos", "--name", "stopped"],
        cwd=workspace,
        env=environment_of_tests(workspace),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("head "):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (workspace / "models" / "stopped").exists()
    listed = topgraft("models", "list", "--json", cwd=workspace)
    assert [(row["name"], row["status"]) for row in json.loads(listed.stdout)] == [("stopped", "cancelled")]
    assert topgraft("models", "remove", "stopped", "--yes", cwd=workspace).returncode == 0
    assert json.loads(topgraft("models", "list", "--json", cwd=workspace).stdout) == []


@pytest.mark.slow
def test_progress_is_a_bar_on_a_terminal(workspace: Path, photos: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "check", "photos"],
        cwd=workspace,
        env=environment_of_tests(workspace) | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    process.communicate(timeout=60)
    os.close(terminal)
    time.sleep(0.1)
    shown = os.read(controller, 100_000).decode()
    os.close(controller)
    assert "16/16" in shown
    assert "━" in shown


@pytest.mark.slow
def test_the_demo_lists_its_files(run: Run, workspace: Path) -> None:
    ran = run("demo", "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["metrics"]["test"]["accuracy"] > 0.8
    assert (workspace / "models" / result["model"] / "results.csv").is_file()
    assert Path(result["picture"]).is_file()
    assert result["prediction"]["labels"]
