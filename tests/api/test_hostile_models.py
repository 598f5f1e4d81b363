"""A damaged or hostile model in models/: everything else works as without it, and it is one line in the lists."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import api
from api.errors import ApiError
from model.bundle import open_bundle
from model.bundle_files import MANIFEST
from model.cli.command import main, topgraft
from model.errors import ModelDamagedError
from model.publishing.card import model_card
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.fake_predictor import Upload
from tests.support.odd_files import spoiled
from tests.support.odd_manifests import FILES, VALUES
from tests.support.photos import encoded, photo, random_image
from tests.support.small_model import CLASSES, write_model, write_small_model
from tests.support.subcommands import untried

_MAX_SHOWN = 4000
_ODD = ("null", "huge", "text", "list", "object")


def replaced(field: str, value: Any) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))

    return replace


def unlisted_size(path: Path) -> None:
    (path.parent / "model.onnx").write_bytes(b"x")


def both(*changes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: [change(path) for change in changes]


_MISSING = {str(number): {"sha256": "0" * 64, "size": 1} for number in range(10_000)}
HOSTILE: dict[str, Callable[[Path], object]] = FILES | {
    "a metric that is a text": replaced("metrics", {"test": {"accuracy": "<b>0.9</b>"}}),
    "an unknown measurement": replaced("metrics", {"test": {"unknown": 3, "uncertain": 1}}),
    "created in the future": both(replaced("created", "9999-12-31T23:59:59+00:00"), unlisted_size),
    "created after all years": both(replaced("created", "99999-01-01"), unlisted_size),
    "a name of 1,000,000 characters": replaced("classes", ["x" * 1_000_000, "y"]),
    "1,000,000 classes": replaced("classes", [str(number) for number in range(1_000_000)]),
    "10,000 missing files": replaced("files", _MISSING),
    "a file name too long for the disk": replaced("files", {"x" * 900: {"sha256": "0" * 64, "size": 1}}),
    "a damaged network": unlisted_size,
}


@pytest.fixture
def odd(workspace: Workspace) -> Path:
    """The manifest of the model `odd`, which is newer than the model `whole`."""
    write_model(workspace.models / "whole")
    write_small_model(workspace.models / "other", created="2025-01-01T00:00:00Z", always=0)
    return write_model(workspace.models / "odd", created="2026-01-02T00:00:00Z").directory / MANIFEST


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of the classes of the models."""
    folder = tmp_path_factory.mktemp("dataset")
    for place, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(4):
            (folder / name / f"{number}.png").write_bytes(encoded(random_image(4 * place + number), "PNG"))
    return folder


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def on_paths(command: Command, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command with paths in place of `{photo}`, `{dataset}` and `{new}`, which is new each time."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_TYPE", "webdav")
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_URL", "http://127.0.0.1:9/remote.php/dav/files/user")
    numbers = itertools.count()

    def run(*row: str) -> tuple[int, str]:
        paths = {"photo": dataset / "red" / "0.png", "dataset": dataset, "new": tmp_path / f"new-{next(numbers)}"}
        return command(*(text.format(**paths) for text in row))

    return run


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process: its exit status, and what it wrote."""

    def run(*arguments: object) -> tuple[int, str]:
        status = main([*map(str, arguments)])
        written = capsys.readouterr()
        return status, written.out + written.err

    return run


WITH_OTHERS = (
    ("models", "list"),
    ("models", "--leaderboard"),
    ("models", "show", "whole"),
    ("monitor",),
    ("predict", "whole", "{photo}"),
    ("predict", "latest", "{photo}"),
    ("models", "promote", "whole"),
    ("models", "rollback"),
    ("export", "whole", "--output", "{new}.tar.xz"),
)
# Of these, a single kind is enough: they open the models that they are given, and the list of all.
SLOWER = (
    ("evaluate", "whole", "{dataset}"),
    ("compare", "whole", "other", "{dataset}", "--output", "{new}"),
    ("models", "promote", "whole"),
    ("models", "promote", "other", "--if-better", "{dataset}", "--output", "{new}"),
)
REFUSED = (
    ("models", "show", "odd"),
    ("models", "promote", "odd"),
    ("models", "promote", "odd", "--if-better", "{dataset}", "--output", "{new}"),
    ("models", "track", "odd"),
    ("predict", "odd", "{photo}"),
    ("suggest-labels", "odd", "--url", "http://127.0.0.1:9", "--project", "1"),
    ("evaluate", "odd", "{dataset}"),
    ("compare", "odd", "whole", "{dataset}", "--output", "{new}"),
    ("compare", "whole", "odd", "{dataset}", "--output", "{new}"),
    ("export", "odd", "--output", "{new}.tar.xz"),
    ("push", "odd", "cloud:models"),
    ("publish", "odd", "--to", "cloud:models", "--dry-run"),
    ("publish", "odd", "--to", "cloud:models"),
    ("child-module", "odd", "--weights-url", "https://127.0.0.1/odd", "--sha256", "0" * 64, "--out", "{new}"),
)
# Names of trainings, pipelines and backbones, the counters of a model, and what it is removed by.
NOT_OF_MODELS = (
    "resume",
    "monitor",
    "models remove",
    "models cancel",
    "models watch",
    "backbones fetch",
    "backbones remove",
    "pipeline run",
    "pipeline export",
)


def test_every_command_on_a_model_is_tried() -> None:
    missing = untried(topgraft, REFUSED, on_models=True) - set(NOT_OF_MODELS)
    assert not missing, f"add a row to REFUSED, on the model `odd`, or a name to NOT_OF_MODELS: {missing}"


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_commands_refuse_it_and_serve_the_others(kind: str, odd: Path, on_paths: Command) -> None:
    HOSTILE[kind](odd)
    for expected, rows in ((True, WITH_OTHERS), (False, REFUSED)):
        for row in rows:
            status, shown = on_paths(*row)
            assert (status == 0) is expected and status != 1, (row, shown[:1000])
            assert "Traceback" not in shown and len(shown) < _MAX_SHOWN
            assert row != ("models", "list") or ("whole" in shown and "odd" in shown)
    assert on_paths("models", "list", "--json")[0] == 0


@pytest.mark.parametrize("kind", ["a metric that is a text", "a name of 1,000,000 characters"])
def test_others_are_evaluated_and_compared_beside_it(kind: str, odd: Path, on_paths: Command) -> None:
    HOSTILE[kind](odd)
    for row in SLOWER:
        status, shown = on_paths(*row)
        assert status in (0, 6) and "Traceback" not in shown and len(shown) < _MAX_SHOWN, (row, shown[:1000])


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_service_names_it_and_answers_with_the_others(
    kind: str, odd: Path, workspace: Workspace, upload: Callable[..., Upload]
) -> None:
    HOSTILE[kind](odd)
    metadata = json.dumps(api.get_metadata(), allow_nan=False)
    assert '"whole"' in metadata and len(metadata) < 20_000
    for name in ("latest", "whole"):
        answer = api.predict(image=upload(photo()), model=name, accept="application/json")
        assert answer["model"] == "whole"
    with pytest.raises(ApiError) as caught:
        api.predict(image=upload(photo()), model="odd", accept="application/json")
    assert 400 <= caught.value.status < 600 and caught.value.status != 500
    assert len(caught.value.message) < _MAX_SHOWN


def test_whatever_a_manifest_may_say_can_be_shown_and_served(odd: Path, workspace: Workspace, command: Command) -> None:
    content = json.loads(odd.read_text()) | {
        "thresholds": {
            "confidence": 0.5,
            "distance": 0.5,
            "unknown": {"false_alarm_rate": 0.05, "images": 4, "extrapolated": True},
            "uncertain": {
                "accuracy": 0.9,
                "accuracy_interval": [0, 1],
                "coverage": 1,
                "images": 4,
                "measured_on": "val",
            },
            "confidence_by_class": {"red": 0.3},
        },
    }
    content["dataset"] |= {"folds": 5}
    content["metrics"]["test"] |= {"unknown": 1, "uncertain": 1, "accepted": 2, "accepted_accuracy": 0.5}
    files = content.pop("files")
    accepted = 0
    for name, changed in spoiled(content):
        if name.rpartition(" = ")[2] in _ODD or name.endswith("missing"):
            odd.write_text(json.dumps(changed | {"files": files}))
            try:
                bundle = open_bundle(odd.parent)
            except ModelDamagedError:
                continue
            accepted += 1
            assert model_card(bundle.manifest)
            load_predictor(bundle)
            assert command("models", "show", "odd")[0] == 0
    assert accepted > 50


def test_odd_values_of_all_fields_leave_the_list_whole(odd: Path, workspace: Workspace, command: Command) -> None:
    content = json.loads(odd.read_text())
    for field, value in VALUES:
        odd.write_text(json.dumps(content | {field: value}))
        status, shown = command("models", "list")
        assert status == 0 and "whole" in shown and len(shown) < _MAX_SHOWN
