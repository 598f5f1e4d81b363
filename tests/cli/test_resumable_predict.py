"""`topgraft predict --output`: interrupted runs are resumed, and no partial file has the name of a complete one."""

import csv
import json
import logging
import os
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.cli.command import main
from model.results import Neighbour, Prediction
from model.serving.photos import Photos
from model.serving.predictor import Predictor
from tests.support.command import COMMAND, heed_interrupts
from tests.support.photos import photo
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

PHOTO = photo()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the model `small`, 30 photos in a folder, five in a zip, one that is none."""
    write_small_model(tmp_path / "models" / "small")
    (tmp_path / "photos").mkdir()
    for index in range(30):
        (tmp_path / "photos" / f"{index:02}.jpg").write_bytes(PHOTO)
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no image")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for index in range(5):
            archive.writestr(f"{index}.jpg", PHOTO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def classified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that were given to a model, in order."""
    names: list[str] = []
    predict = Predictor.predict_stream

    def watched(self: Predictor, images: Any, *args: Any) -> Iterator[Prediction]:
        def passing() -> Iterator[tuple[str, bytes]]:
            for name, content in images:
                names.append(name)
                yield name, content

        return predict(self, passing(), *args)

    monkeypatch.setattr(Predictor, "predict_stream", watched)
    return names


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let Ctrl-C be pressed when so many predictions are kept."""

    def set_up(count: int) -> None:
        from model.cli.saved_predictions import SavedPredictions

        add = SavedPredictions.add

        def add_until(self: SavedPredictions, prediction: Prediction) -> None:
            add(self, prediction)
            if len(self) == count:
                monkeypatch.setattr(SavedPredictions, "add", add)
                raise KeyboardInterrupt

        monkeypatch.setattr(SavedPredictions, "add", add_until)

    return set_up


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_an_interrupted_run_is_resumed(
    home: Path, classified: list[str], interrupt_after: Callable[[int], None], suffix: str
) -> None:
    command = ["predict", "small", "photos", "more.zip", "--output"]
    assert main([*command, f"whole{suffix}"]) == 0
    classified.clear()
    interrupt_after(17)
    assert main([*command, f"parts{suffix}"]) == 130
    part = home / f"parts{suffix}.part"
    assert not (home / f"parts{suffix}").exists()
    with open(part, "ab") as stream:
        stream.write(b'{"image": "photos/17.jpg", "la')
    classified.clear()
    assert main([*command, f"parts{suffix}"]) == 0
    assert classified[:2] == ["photos/17.jpg", "photos/18.jpg"] and len(classified) == 36 - 17
    assert (home / f"parts{suffix}").read_bytes() == (home / f"whole{suffix}").read_bytes()
    assert not part.exists()


def test_resuming_with_another_model_or_option_is_refused(
    home: Path, interrupt_after: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", "latest", "photos", "--output", "answers.csv"]
    interrupt_after(5)
    assert main(command) == 130
    assert "5 predictions are saved in answers.csv.part" in capsys.readouterr().err
    assert main([*command, "--top-k", "1"]) == 2
    assert "top_k was 5, is 1" in capsys.readouterr().err
    write_small_model(home / "models" / "newer", created="2026-03-01T00:00:00Z")
    assert main(command) == 2
    assert "model was 'small', is 'newer'" in capsys.readouterr().err
    assert main(["predict", "small", *command[2:]]) == 0
    (home / "answers.csv.part").write_text("something else\n")
    assert main(command) == 2
    assert (home / "answers.csv.part").read_text() == "something else\n"


def test_linked_folders_are_followed_as_in_datasets(home: Path) -> None:
    (home / "all").mkdir()
    (home / "all" / "linked").symlink_to(home / "photos")
    photos = Photos([home / "all"])
    assert sum(1 for _ in photos) == sum(1 for _ in Photos([home / "photos"])) > 0


def test_paths_in_a_list_are_relative_to_its_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = b"../photos/01.jpg\r\n\n../more.zip\n" + os.fsencode(home) + b"/photos/bad.jpg\n../photos/nowhere.jpg\n"
    (home / "lists").mkdir()
    (home / "lists" / "some.txt").write_bytes(lines)
    assert main(["predict", "small", "lists/some.txt", "--output", "answers.csv", "--json"]) == 0
    rows = list(csv.DictReader((home / "answers.csv").read_text().splitlines()))
    names = ["01.jpg", *(f"{index}.jpg" for index in range(5)), "bad.jpg", "nowhere.jpg"]
    assert [Path(row["image"]).name for row in rows] == names
    assert [bool(row["error"]) for row in rows] == [False] * 6 + [True, True]
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 8


def test_a_byte_order_mark_in_a_list_is_ignored(home: Path) -> None:
    (home / "some.txt").write_bytes("photos/01.jpg\r\nphotos/02.jpg\r\n".encode("utf-8-sig"))
    assert main(["predict", "small", "some.txt", "--output", "answers.csv"]) == 0
    rows = list(csv.DictReader((home / "answers.csv").read_text().splitlines()))
    assert [(row["image"], row["error"]) for row in rows] == [("photos/01.jpg", ""), ("photos/02.jpg", "")]


def test_a_list_that_contains_itself_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "one.txt").write_text("photos/01.jpg\nphotos/two.txt\n")
    (home / "photos" / "two.txt").write_text("02.jpg\n../one.txt\n")
    assert main(["predict", "small", "one.txt"]) == 2
    assert "one.txt: expected a list of photos, received a list that includes itself" in capsys.readouterr().err
    (home / "photos" / "two.txt").write_text("02.jpg\n")
    assert main(["predict", "small", "one.txt", "photos/two.txt", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 3


def test_parquet_has_the_same_predictions(home: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert main(["predict", "small", "photos", "--output", "answers.parquet"]) == 0
    assert main(["predict", "small", "photos", "--output", "answers.jsonl"]) == 0
    rows = parquet.read_table(home / "answers.parquet").to_pylist()
    lines = [json.loads(line) for line in (home / "answers.jsonl").read_text().splitlines()]
    for row, line in zip(rows, lines, strict=True):
        assert {name: row[name] for name in line} == line
        assert row["label"] == (line["labels"][0] if "labels" in line else None)


def test_without_pyarrow_parquet_is_refused_before_any_work(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], classified: list[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["predict", "small", "photos", "--output", "answers.parquet"]) == 2
    assert "topgraft[parquet]" in capsys.readouterr().err
    assert classified == [] and not list(home.glob("*.part"))


def test_without_any_readable_photo_no_file_is_written(home: Path) -> None:
    assert main(["predict", "small", "photos/bad.jpg", "nowhere.jpg", "--output", "answers.csv"]) == 3
    assert not list(home.glob("answers*"))


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction("a", error="why"),
        Prediction("b", ("x", "y"), (0.75, 0.25)),
        Prediction("c", ("x",), (0.5,), True, None, "features", "far", 0.125, (Neighbour("d/e.jpg", "x", 0.25),)),
    ],
)
def test_predictions_survive_json(prediction: Prediction) -> None:
    assert Prediction.from_json(json.loads(json.dumps(prediction.to_json()))) == prediction


@pytest.mark.slow  # starts the command three times, and lets it work until it is killed
def test_a_killed_run_is_resumed_and_concurrent_runs_are_refused(home: Path) -> None:
    with zipfile.ZipFile(home / "many.zip", "w") as archive:
        for index in range(3000):
            archive.writestr(f"{index}.jpg", photo(size=(800, 600)))
    command = [*COMMAND, "predict", "small", "many.zip", "--output", "answers.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TOPGRAFT_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, preexec_fn=heed_interrupts)
    part = home / "answers.jsonl.part"
    wait_until(lambda: part.exists() and part.read_bytes().count(b"\n") > 100, 60, process)
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2 and "another command" in second.stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part.read_bytes().count(b"\n") - 1
    assert 100 <= kept < 3000 and not (home / "answers.jsonl").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert f"Resuming after {kept} predictions" in again.stderr
    images = [json.loads(line)["image"] for line in (home / "answers.jsonl").read_text().splitlines()]
    assert images == [f"many.zip/{index}.jpg" for index in range(3000)]


def test_a_folder_and_a_zip_of_it_have_the_same_photos_and_name_what_is_passed_over(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "model")
    names = ["IMG1", "a.jpg", "._a.jpg", "Thumbs.db", ".ipynb_checkpoints/a-checkpoint.jpg", "@eaDir/a.jpg", "deep/b"]
    with zipfile.ZipFile(home / "mixed.zip", "w") as archive:
        for name in names:
            (home / "mixed" / name).parent.mkdir(parents=True, exist_ok=True)
            (home / "mixed" / name).write_bytes(PHOTO)
            archive.writestr(name, PHOTO)
        (home / "mixed" / "notes.txt").write_text("a text")
        archive.writestr("notes.txt", "a text")
    found = {}
    for source in ("mixed", "mixed.zip"):
        assert main(["predict", "small", source, "--output", f"{source}.csv"]) == 0
        with open(f"{source}.csv", newline="") as stream:
            found[source] = [(row["image"].removeprefix(f"{source}/"), row["error"]) for row in csv.DictReader(stream)]
        [line] = [record.getMessage() for record in caplog.records if "are not photos" in record.getMessage()]
        assert line.startswith("passed over 5 ") and "notes.txt" in line and "@eaDir" in line
        caplog.clear()
    assert found["mixed"] == found["mixed.zip"] == [("IMG1", ""), ("a.jpg", ""), ("deep/b", "")]
