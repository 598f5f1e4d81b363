"""Time to publish a model, and reproducibility of its export.

How: an EfficientNet-Lite0 is trained on a few synthetic photos. `topgraft export` and `topgraft publish`, to Nextcloud
on loopback, are timed as whole processes: packing, upload, verification of the upload, public link, download through
it, child module; then publishing again with nothing left to do. The model is exported again from a copy with other file
times, and the sha256 is compared. A network in between adds the time of its bytes, three times.

Depends on: nothing. `python -m benchmarks.publishing` takes less than two minutes on two processors.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import markdown_table, verdict
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace
from tests.support.nextcloud_server import nextcloud
from tests.support.processes import program
from tests.support.publishing_faults import MODEL

IMAGES_PER_CLASS = 4
REPEATS = 3
GOAL_SECONDS = 30.0


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        workspace = train_model(root / "workspace")
        with nextcloud(root / "cloud", f"/models/{MODEL}.tar.xz") as cloud:
            environment = os.environ | cloud.environment()
            export = _seconds(["export", MODEL], workspace, environment)
            first = _seconds(["publish", MODEL, "--to", "rshare:models"], workspace, environment)
            again = _seconds(["publish", MODEL, "--to", "rshare:models"], workspace, environment)
        exported = workspace.root / f"{MODEL}.tar.xz"
        reproducible = _is_reproducible(exported, root / "other_machine", workspace)
        size = f"{exported.stat().st_size / 1e6:.1f} MB"
    print(_table({f"`topgraft export`: {size}": export, "`topgraft publish`": first, "the same again": again}))
    print(f"\n{verdict(f'Goal: published within {GOAL_SECONDS:.0f} s', first <= GOAL_SECONDS)}")
    print(f"\n{verdict('Goal: a copy of the model on another machine exports to the same bytes', reproducible)}")


def train_model(root: Path, *options: str) -> Workspace:
    """Train the model `pets` with these options in a new workspace."""
    (root / "models").mkdir(parents=True)
    write_demo_dataset(root / "data" / "signs", IMAGES_PER_CLASS)
    workspace = Workspace(root)
    _seconds(["train", "--dataset", "signs", "--name", MODEL, *options], workspace, dict(os.environ))
    return workspace


def _seconds(arguments: Sequence[str], workspace: Workspace, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    command = [program("topgraft"), *arguments]
    ran = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if ran.returncode:
        sys.exit(f"topgraft {' '.join(arguments)} failed:\n{ran.stderr}")
    return taken


def _is_reproducible(exported: Path, other_machine: Path, workspace: Workspace) -> bool:
    """Whether a copy with other file times exports to the same bytes."""
    shutil.copytree(workspace.models, other_machine / "models", copy_function=shutil.copyfile)
    _seconds(["export", MODEL], Workspace(other_machine), dict(os.environ))
    contents = [path.read_bytes() for path in (exported, other_machine / exported.name)]
    return len({hashlib.sha256(content).digest() for content in contents}) == 1


def _table(rows: dict[str, float]) -> str:
    return markdown_table(["model", "time"], [[name, f"{seconds:.1f} s"] for name, seconds in rows.items()])


if __name__ == "__main__":
    main()
