"""A damaged or hostile model in models/: everything else works as without it, and it is one line in the lists."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import api
from api.errors import ApiError
from model.bundle import open_bundle
from model.bundle_files import MANIFEST
from model.cli.command import main
from model.errors import ModelDamagedError
from model.publishing.card import model_card
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.fake_predictor import Upload
from tests.support.odd_files import spoiled
from tests.support.odd_manifests import FILES, VALUES
from tests.support.photos import photo
from tests.support.small_model import write_model

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
    return write_model(workspace.models / "odd", created="2026-01-02T00:00:00Z").directory / MANIFEST


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process: its exit status, and what it wrote."""

    def run(*arguments: object) -> tuple[int, str]:
        status = main([*map(str, arguments)])
        written = capsys.readouterr()
        return status, written.out + written.err

    return run


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_commands_refuse_it_and_serve_the_others(
    kind: str, odd: Path, workspace: Workspace, command: Command, tmp_path: Path
) -> None:
    HOSTILE[kind](odd)
    image = tmp_path / "photo.jpg"
    image.write_bytes(photo())
    status, shown = command("models", "list")
    assert status == 0 and len(shown) < _MAX_SHOWN
    assert "whole" in shown and "odd" in shown
    for arguments in (
        ("models", "show", "whole"),
        ("predict", "whole", image),
        ("predict", "latest", image),
        ("models", "promote", "whole"),
        ("models", "rollback"),
        ("export", "whole", "--output", tmp_path / "whole.tar.xz"),
    ):
        status, shown = command(*arguments)
        assert status == 0 and len(shown) < _MAX_SHOWN, (arguments, shown[:1000])
    for arguments in (
        ("models", "show", "odd"),
        ("models", "promote", "odd"),
        ("predict", "odd", image),
        ("evaluate", "odd", tmp_path),
        ("export", "odd", "--output", tmp_path / "odd.tar.xz"),
    ):
        status, shown = command(*arguments)
        assert status not in (0, 1), (arguments, shown[:1000])
        assert "Traceback" not in shown and len(shown) < _MAX_SHOWN
    assert command("models", "list", "--json")[0] == 0


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
