"""Commands on a hostile model and hostile photos: nothing that a terminal acts on is written."""

import dataclasses
import io
import json
import os
import pty
import re
import sys
import threading
from pathlib import Path

import pytest

from model.cli.command import main, topgraft
from model.cli.output import BarProgress, LineProgress, accept_all_characters, progress_display
from model.cli.training_results import show_training
from model.config import TrainConfig
from model.shown import CONTROLS
from model.training_result import TrainingResult, Tuning, TuningRow
from tests.support.photos import encoded, random_image
from tests.support.small_model import measured, write_model, write_small_model
from tests.support.subcommands import untried

# Colours, the title of the window, a cleared screen in C1, a forged line, and text from right to left.
HOSTILE = "\x1b[31m\x1b]0;title\x07\x9b2J\rforged\x08\x7f\u202egpj\u2066\u200b[bold]:bomb:[/]"
CLASSES = (f"{HOSTILE}\nError: forged", "\udcff\ud800", "\U000e0041\u2028=1+1")
LABELS = ("a\u202egpj[bold]", "\u2066\u202ea\u200bb\ufeffc", "\U000e0041\u200d=1+1")
"""Labels that a dataset may have: UTF-8 without control characters."""
NAMES = (f"{HOSTILE}.png", "line\nError: forged.png", os.fsdecode(b"\xff\x9b.png"), "\u0642\u0637\u0629.png")
FORBIDDEN = re.compile(f"(?!\n)[{CONTROLS}]")
# What rich and a terminal driver write: colours, the cursor, and a carriage return at the end of a line.
OF_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a hostile model, a dataset of three classes, and other photos."""
    home = tmp_path_factory.mktemp("hostile")
    rows = [row | {"class": name} for row, name in zip(measured()["per_class"], CLASSES, strict=True)]
    counts = {split: dict.fromkeys(CLASSES, 10) for split in ("train", "val", "test")}
    changes = {
        "classes": CLASSES,
        "backbone": HOSTILE,
        "versions": {"topgraft": HOSTILE},
        "train_config": {"weights": HOSTILE},
        "dataset": {"path": HOSTILE, "counts": counts, "fingerprint": HOSTILE},
        "metrics": {"test": measured() | {"per_class": rows}},
    }
    write_model(home / "models" / "evil", **changes)
    for number, name in enumerate(("turned", "worse")):
        write_small_model(home / "models" / name, classes=LABELS, always=number)
    damaged = home / "models" / HOSTILE.replace("/", "")
    damaged.mkdir()
    (damaged / "manifest.json").write_text(json.dumps({"format": HOSTILE}))
    (home / "backbones" / "evil").mkdir(parents=True)
    record = {"image_size": 32, "scaling": HOSTILE, "features": 9, "sha256": HOSTILE}
    record |= {"name": "evil", "source": HOSTILE, "license": HOSTILE}
    (home / "backbones" / "evil" / "backbone.json").write_text(json.dumps(record))
    _write_photos(home / "photos")
    for number, name in enumerate((HOSTILE.replace("/", ""), "b", "c")):
        _write_photos(home / "data" / "classes" / name, 3 * number)
    _write_labelled(home / "data" / "labelled")
    return home


def _write_labelled(folder: Path) -> None:
    """Photos with the classes of the models `turned` and `worse`, in a dataset and in a COCO file."""
    for name in ("images", "dataset_files"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        (folder / "images" / f"{number}.png").write_bytes(encoded(random_image(100 + number), "PNG"))
    rows = "".join(f"{number}.png {number % 3}\n" for number in range(12))
    (folder / "dataset_files" / "train.txt").write_text(rows)
    (folder / "dataset_files" / "classes.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    files = [*(f"{number}.png" for number in range(12)), f"{HOSTILE}.png"]
    coco = {
        "images": [{"id": number, "file_name": name, "width": 80, "height": 60} for number, name in enumerate(files)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(LABELS)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": number % 3, "bbox": [0, 0, 20, 20]}
            for number in range(len(files))
        ],
    }
    (folder.parent / "coco.json").write_text(json.dumps(coco))


def _write_photos(folder: Path, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (folder / name.replace("/", "")).write_bytes(encoded(random_image(seed + number), "PNG"))
    (folder / f"broken {HOSTILE.replace('/', '')}.jpg").write_bytes(b"no image")


COMMANDS = {
    "demo": ("demo", "--workspace", f"no{HOSTILE}"),
    "list": ("models", "list"),
    "leaderboard": ("models", "--leaderboard"),
    "show": ("models", "show", "evil"),
    "damaged": ("models", "show", HOSTILE),
    "unknown model": ("models", "show", f"no{HOSTILE}"),
    "promote": ("models", "promote", f"no{HOSTILE}"),
    "promote first": ("models", "promote", "worse"),
    "promote better": ("models", "promote", "turned", "--if-better", "labelled", "--output", "{home}/promotion"),
    "rollback": ("models", "rollback"),
    "track": ("models", "track", f"no{HOSTILE}"),
    "cancel": ("models", "cancel", HOSTILE),
    "remove": ("models", "remove", "--yes", HOSTILE + "x"),
    "watch": ("models", "watch", f"no{HOSTILE}"),
    "predict": ("predict", "evil", "photos"),
    "predict csv": ("predict", "evil", "photos", "--output", "{home}/answers.csv"),
    "predict json": ("predict", "evil", "photos", "--output", "{home}/answers.json"),
    "predict lines": ("predict", "evil", "photos", "--output", "{home}/answers.jsonl"),
    "predict nothing": ("predict", "evil", f"no{HOSTILE}"),
    "synthesize": ("synthesize", f"no{HOSTILE}", "procedural", "{home}/synthetic"),
    "pipeline list": ("pipeline", "list"),
    "pipeline run": ("pipeline", "run", f"no{HOSTILE}"),
    "pipeline export": ("pipeline", "export", f"no{HOSTILE}", "--format", HOSTILE),
    "featurize": ("featurize", "{home}/data/classes", "{home}/features", "--model", "evil"),
    "featurize nothing": ("featurize", f"no{HOSTILE}", "{home}/features"),
    "evaluate": ("evaluate", "evil", "classes"),
    "evaluate page": ("evaluate", "turned", "labelled", "--report", "{home}/report.html"),
    "compare": ("compare", "turned", "worse", "labelled", "--output", "{home}/comparison"),
    "compare nothing": ("compare", "turned", f"no{HOSTILE}", "labelled"),
    "import-labels": (
        "import-labels",
        "{home}/data/coco.json",
        "{home}/cut",
        "--images",
        "{home}/data/labelled/images",
    ),
    "import-labels nothing": ("import-labels", f"no{HOSTILE}", "{home}/cut"),
    "suggest-labels": ("suggest-labels", "evil", "--url", HOSTILE, "--project", "1"),
    "suggest-labels nothing": ("suggest-labels", f"no{HOSTILE}", "--url", "http://127.0.0.1:9", "--project", "1"),
    "backbones list": ("backbones", "list"),
    "backbones add": ("backbones", "add", f"{{home}}/photos/broken {HOSTILE.replace('/', '')}.jpg", "--name", HOSTILE),
    "backbones add nothing": ("backbones", "add", f"no{HOSTILE}"),
    "backbones add badly": ("backbones", "add", "{home}/data/coco.json", "--features-output", HOSTILE),
    "backbones fetch": ("backbones", "fetch", f"no{HOSTILE}"),
    "backbones remove": ("backbones", "remove", f"no{HOSTILE}"),
    "check": ("check", "classes"),
    "check nothing": ("check", f"no{HOSTILE}"),
    "train nothing": ("train", "--dataset", f"no{HOSTILE}"),
    "train badly": ("train", "--dataset", "classes", "--backbone", HOSTILE, "--epochs", HOSTILE),
    "tune nothing": ("tune", "--dataset", f"no{HOSTILE}"),
    "resume": ("resume", f"no{HOSTILE}"),
    "import nothing": ("import", f"no{HOSTILE}"),
    "doctor": ("doctor",),
    "doctor storage": ("doctor", "--storage", HOSTILE),
    "monitor": ("monitor",),
    "monitor model": ("monitor", "evil"),
    "export": ("export", "evil", "--output", "{home}/evil.tar.xz"),
    "export badly": ("export", "evil", "--format", HOSTILE),
    "publish": ("publish", "evil", "--to", f"no{HOSTILE}:", "--dry-run"),
    "publish plan": ("publish", "evil", "--to", "cloud:models", "--title", HOSTILE, "--dry-run"),
    "publish badly": ("publish", "evil", "--to", f"cloud:{HOSTILE}", "--title", HOSTILE),
    "child-module": ("child-module", "evil", "--weights-url", HOSTILE, "--sha256", HOSTILE, "--out", HOSTILE),
    "push": ("push", "evil", f"no{HOSTILE}:x"),
    "pull": ("pull", f"no{HOSTILE}:x"),
    "pack": ("pack", f"no{HOSTILE}"),
    "serve": ("serve", "--port", HOSTILE),
    "page": ("page", "--api", HOSTILE),
    "studio": ("studio", "--no-browser", "--port", HOSTILE),
    "no command": (HOSTILE,),
    "no option": ("models", f"--{HOSTILE}"),
}


def test_every_command_is_tried() -> None:
    missing = untried(topgraft, COMMANDS.values())
    assert not missing, f"add a row to COMMANDS with a text of HOSTILE, or on a model of `home`: {missing}"


@pytest.fixture(autouse=True)
def in_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("TOPGRAFT_HOME", str(home))
    monkeypatch.setenv("TOPGRAFT_BACKBONES", str(home / "backbones"))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_TYPE", "webdav")
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_URL", "http://127.0.0.1:9/remote.php/dav/files/user")


class Terminal:
    """A pseudo-terminal in place of standard output and standard error."""

    def __init__(self, encoding: str) -> None:
        self._main, other = pty.openpty()
        self.stream = open(other, "w", encoding=encoding, errors="strict")  # noqa: SIM115
        self._read = bytearray()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        try:
            while some := os.read(self._main, 1 << 16):
                self._read += some
        except OSError:
            return

    def text(self) -> str:
        """What was written, after the end."""
        self.stream.close()
        self._reader.join(60)
        os.close(self._main)
        return self._read.decode("utf-8")


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Terminal:
    return Terminal(request.param)


def use(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write to a terminal from now on; pytest replaces the streams before the test."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_writes_visible_characters_to_files_of_any_encoding(
    command: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for encoding, as_json in (("ascii", False), ("utf-8", True)):
        written = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
        for name, stream in written.items():
            monkeypatch.setattr(sys, name, stream)
        arguments = [argument.replace("{home}", str(home)) for argument in command]
        status = main([*arguments, "--json"] if as_json else arguments)
        shown = {name: _content(stream) for name, stream in written.items()}
        assert status != 1, shown
        assert not FORBIDDEN.search("".join(shown.values())), shown
        assert "\nError: forged" not in shown["stdout"] and "\nforged" not in shown["stderr"]
        assert not as_json or json.loads(shown["stdout"])
    for page in home.rglob("*.html"):
        assert not FORBIDDEN.search(page.read_text(encoding="utf-8")), page
    assert command[0] != "compare" or "no" in command[2] or (home / "comparison" / "comparison.html").exists()
    assert command[0] != "featurize" or "no" in command[1] or (home / "features" / "_SUCCESS").exists(), shown


def _content(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("terminal", ["utf-8", "ascii"], indirect=True)
@pytest.mark.parametrize("name", ["list", "show", "predict", "evaluate", "check", "monitor", "monitor model"])
def test_a_command_writes_visible_characters_to_a_terminal(
    name: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(terminal, monkeypatch)
    status = main(list(COMMANDS[name]))
    monkeypatch.undo()
    shown = OF_TERMINAL.sub("", terminal.text())
    assert status != 1 and not FORBIDDEN.search(shown), shown
    assert "\\x1b" in shown or name == "monitor"


def _search() -> Tuning:
    row = TuningRow(HOSTILE, {HOSTILE: HOSTILE}, 1, 0.5, 0.9, (0.8, 1.0), 0.9, (0.8, 1.0), 5.0, 20.0, True)
    return Tuning(TrainConfig(dataset="x"), (row,), {HOSTILE: HOSTILE}, HOSTILE, 1, 10, 1.0)


@pytest.mark.parametrize("terminal", ["utf-8", "ascii"], indirect=True)
def test_a_training_shows_visible_characters(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    use(terminal, monkeypatch)
    accept_all_characters()
    with progress_display() as progress:
        assert isinstance(progress, BarProgress)
        for step in (1, 2):
            progress(HOSTILE, step, 2, **{HOSTILE: 0.5})
    LineProgress()(HOSTILE, 2, 2, **{HOSTILE: 0.5})
    fields = {field.name: None for field in dataclasses.fields(TrainingResult)}
    texts = dict.fromkeys(("warnings", "remarks", "marks"), (HOSTILE,)) | {"model": HOSTILE, "path": Path(HOSTILE)}
    result = TrainingResult(**fields | texts | {"seconds": 1.0, "metrics": {}, "tuning": _search()})
    show_training(result)
    monkeypatch.undo()
    shown = OF_TERMINAL.sub("", terminal.text())
    assert not FORBIDDEN.search(shown), shown
    assert "[bold]" in shown and ":bomb:" in shown
