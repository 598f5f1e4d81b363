"""The real command in processes of its own, on pictures of two colours."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-c", "import sys; from model.cli import main; sys.exit(main())")
CLASSES = ("blue", "red")
IMAGES_PER_CLASS = 8

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def topgraft(*arguments: object, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `topgraft ARGUMENTS` in `cwd`, without a terminal and without input."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**environment_of_tests(cwd), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def heed_interrupts() -> None:
    """In a child about to start: undo that a shell lets what it runs in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment_of_tests(workspace: Path) -> dict[str, str]:
    """The environment, without what a developer may have set for Topgraft."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOPGRAFT_")}
    return kept | {"PYTHONPATH": str(ROOT), "TOPGRAFT_CACHE": str(workspace / "cache")}


def write_picture(path: Path, color: str, seed: int) -> None:
    """A JPEG of 64 x 48 pixels, noise around a colour: no two are near duplicates."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 120, (6, 8, 3)), np.ones((8, 8, 1)))
    pixels = blocks + (np.array([120, 0, 0]) if color == "red" else np.array([0, 0, 120]))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


def write_photos(folder: Path) -> Path:
    """A folder per class, with eight pictures each."""
    for label, color in enumerate(CLASSES):
        for index in range(IMAGES_PER_CLASS):
            write_picture(folder / color / f"{index}.jpg", color, seed=100 * label + index)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace."""
    (tmp_path / "data").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def run(workspace: Path) -> Run:
    """Run the command inside the empty workspace."""

    def run_there(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return topgraft(*arguments, cwd=workspace, **environment)

    return run_there


@pytest.fixture
def photos(workspace: Path) -> Path:
    """A dataset of two classes in the empty workspace."""
    return write_photos(workspace / "data" / "photos")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A workspace with a model `colors`, trained by the command, and what the training wrote."""
    workspace = tmp_path_factory.mktemp("trained")
    (workspace / "models").mkdir()
    write_photos(workspace / "data" / "photos")
    (workspace / "options.yaml").write_text("epochs: 3\nname: from-file\nseed: 7\nfolds: 0\n", encoding="utf-8")
    ran = topgraft(
        *("train", "--dataset", "photos", "--name", "colors", "--config", "options.yaml", "--json"), cwd=workspace
    )
    assert ran.returncode == 0, ran.stderr
    return workspace, ran
