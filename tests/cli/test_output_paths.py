"""Outputs that cannot be written: one message for each command, and no internal error."""

import json
from pathlib import Path

import pytest

from model.cli.command import main
from tests.support.colours import write_colour_model, write_colours

_CHILD = ("--weights-url", "https://example.org/a.tar.xz", "--sha256", "0" * 64, "--title", "A", "--author", "B")
# The place of the output is {out}, with the ending that the command expects.
COMMANDS = {
    "evaluate": (".csv", ("evaluate", "a", "photos", "--output", "{out}")),
    "report": (".html", ("evaluate", "a", "photos", "--report", "{out}")),
    "predict": (".csv", ("predict", "a", "data/photos", "--output", "{out}")),
    "predict in parts": ("", ("predict", "a", "data/photos", "--output", "{out}", "--engine", "local")),
    "tune": (".yaml", ("tune", "--dataset", "photos", "--no-train", "--output", "{out}", "--epochs", "x")),
    "check": (".png", ("check", "photos", "--augmentation", "light", "--sheet", "{out}")),
    "compare": ("", ("compare", "a", "b", "photos", "--output", "{out}")),
    "promote": ("", ("models", "promote", "b", "--if-better", "photos", "--output", "{out}")),
    "export": (".tar.xz", ("export", "a", "--output", "{out}")),
    "export onnx": ("", ("export", "a", "--format", "onnx", "--output", "{out}")),
    "pipeline export": (".yaml", ("pipeline", "export", "traffic-signs", "--to", "argo", "--output", "{out}")),
    "featurize": ("", ("featurize", "data/photos", "{out}", "--model", "a")),
    "pack": (".tar", ("pack", "photos", "{out}")),
    "synthesize": ("", ("synthesize", "data/photos", "procedural", "{out}", "--count", "2", "--whole")),
    "import-labels": ("", ("import-labels", "coco.json", "{out}", "--images", "data/photos/red")),
    "child-module": (
        "",
        ("child-module", "a", *_CHILD, "--out", "{out}"),
    ),
}
PLACES = {
    "parent is a file": "file/out{ending}",
    "grandparent is a file": "file/sub/out{ending}",
    "name of 300 letters": "x" * 300 + "{ending}",
    "parent of 300 letters": "x" * 300 + "/out{ending}",
    "other kind": "taken{ending}",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("outputs")
    write_colours(home / "data" / "photos", 4)
    write_colour_model(home / "models", "a", always=0)
    write_colour_model(home / "models", "b")
    (home / "file").write_text("a file")
    coco = {
        "images": [{"id": 1, "file_name": "0.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "red"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20]}],
    }
    (home / "coco.json").write_text(json.dumps(coco))
    return home


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written_is_one_message(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str, place: str
) -> None:
    monkeypatch.setenv("TOPGRAFT_HOME", str(home))
    monkeypatch.chdir(home)
    ending, words = COMMANDS[command]
    out = Path(PLACES[place].format(ending=ending))
    if place == "other kind":
        # A folder where a file is expected, and a file where a folder is.
        out = Path(f"taken-folder{ending}") if ending else Path("file")
        out.mkdir(exist_ok=True) if ending else None
    status = main([word.format(out=out) for word in words])
    printed = capfd.readouterr().err
    assert "internal error" not in printed and "Traceback" not in printed, printed
    assert status in (2, 3, 5), (status, printed[-500:])
    assert str(out)[:20].split("/")[0] in printed
    assert (home / "file").read_text() == "a file"
