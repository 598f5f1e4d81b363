"""Train the two models of docs/reports/ on the demo dataset, and write its report and their comparison again.

Run it after changing the templates or the script of the report: `tests/evaluation/test_committed_reports.py` compares
them. It takes some minutes.
"""

import tempfile
from pathlib import Path

from model import durable
from model.bundle_files import REPORT
from model.config import TrainConfig
from model.evaluation.comparison import compare_models
from model.evaluation.comparison.files import PAGE
from model.registry import find_bundle
from model.runs.trainer import train
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace

REPORTS = Path(__file__).parent / "reports"
NAME, SMALLER = "traffic-signs", "small-photos"
_SHOWN_FOLDER = "/home/ana/signs"


def main() -> None:
    """Write both pages; the folder of the workspace is replaced by that of an example."""
    with tempfile.TemporaryDirectory() as directory:
        workspace = Workspace(Path(directory))
        write_demo_dataset(workspace.data / NAME)
        train(TrainConfig(dataset=NAME, name=NAME), workspace)
        train(TrainConfig(dataset=NAME, name=SMALLER, image_size=64, epochs=10), workspace)
        new, base = find_bundle(workspace, NAME), find_bundle(workspace, SMALLER)
        compare_models(base, [new], NAME, workspace, output=workspace.root)
        pages = {f"{NAME}.html": new.directory / REPORT, f"{NAME}-comparison.html": workspace.root / PAGE}
        for name, path in pages.items():
            text = path.read_text(encoding="utf-8").replace(directory, _SHOWN_FOLDER)
            durable.write_text(REPORTS / name, text)


if __name__ == "__main__":
    main()
