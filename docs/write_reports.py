"""Train the models of docs/reports/, and write their reports and the comparison of two of them again.

Run it after changing the templates or the script of the report: `tests/evaluation/test_committed_reports.py` compares
them. It takes some minutes. The report of phytoplankton-mini has no photos, because they are not part of Topgraft; it
is written where the datasets folder is beside the checkout.
"""

import re
import sys
import tempfile
from pathlib import Path
from unittest import mock

from benchmarks.real_data import DATASETS
from model import durable
from model.bundle_files import REPORT
from model.config import TrainConfig
from model.evaluation.comparison import compare_models
from model.evaluation.comparison.files import PAGE
from model.evaluation.report import render
from model.registry import find_bundle
from model.runs.trainer import train
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace

REPORTS = Path(__file__).parent / "reports"
NAME, SMALLER = "traffic-signs", "small-photos"
PLANKTON = "phytoplankton-mini"
_SHOWN_FOLDER = "/home/ana/signs"
_PHOTO = re.compile(r'<img src="data:[^"]*" alt="[^"]*">')


def main() -> None:
    """Write the pages; the folder of the workspace is replaced by that of an example."""
    with tempfile.TemporaryDirectory() as directory:
        workspace = Workspace(Path(directory))
        _write_traffic_signs(workspace)
        if (DATASETS / PLANKTON).is_dir():
            _write_plankton(workspace)
        else:
            print(f"Skipped {PLANKTON}: expected the folder {DATASETS / PLANKTON}.", file=sys.stderr)


def _write_traffic_signs(workspace: Workspace) -> None:
    """The report of the demo, and its comparison with a model of smaller photos."""
    write_demo_dataset(workspace.data / NAME)
    train(TrainConfig(dataset=NAME, name=NAME), workspace)
    train(TrainConfig(dataset=NAME, name=SMALLER, image_size=64, epochs=10), workspace)
    new, base = find_bundle(workspace, NAME), find_bundle(workspace, SMALLER)
    compare_models(base, [new], NAME, workspace, output=workspace.root)
    pages = {f"{NAME}.html": new.directory / REPORT, f"{NAME}-comparison.html": workspace.root / PAGE}
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8").replace(str(workspace.root), _SHOWN_FOLDER)
        durable.write_text(REPORTS / name, text)


def _write_plankton(workspace: Workspace) -> None:
    """The report of real photos, without the photos."""
    with mock.patch.object(render, "MAX_THUMBNAIL_BYTES", 0):
        train(TrainConfig(dataset=str(DATASETS / PLANKTON), name=PLANKTON), workspace)
    text = (find_bundle(workspace, PLANKTON).directory / REPORT).read_text(encoding="utf-8")
    text = text.replace(str(DATASETS), f"{_SHOWN_FOLDER}/data").replace(str(workspace.root), _SHOWN_FOLDER)
    durable.write_text(REPORTS / f"{PLANKTON}.html", _PHOTO.sub("", text))


if __name__ == "__main__":
    main()
