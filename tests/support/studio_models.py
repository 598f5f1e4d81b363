"""A workspace for the views of a model: three models, of which one is damaged, and a dataset of colours."""

from pathlib import Path

from model import durable
from model.bundle import open_bundle, write_manifest
from model.bundle_files import LABEL_ISSUES, REPORT
from model.evaluation.label_issues import HEADER
from model.evaluation.report.policy import safe_beginning
from tests.support.colours import write_colours
from tests.support.nextcloud_server import NAME
from tests.support.small_model import CLASSES, write_model

DATASET = "colours"
BLUE, HURT = "blue", "hurt"
ISSUES = (("red/0.png", "red", "green"), ("green/1.png", "green", "blue"), ("blue/gone.png", "blue", "red"))
"""Suspected labels of the model: path, label and suggestion; there is no photo at the last path."""


def write_workspace(home: Path) -> Path:
    """Write the dataset, the model `NAME` with a report and suspected labels, `BLUE` and `HURT`."""
    dataset = write_colours(home / "data" / DATASET, 6)
    counts = {"train": dict.fromkeys(CLASSES, 6), "val": {}, "test": {}}
    for number, name in enumerate((HURT, BLUE, NAME)):
        directory = home / "models" / name
        about = {"path": str(dataset), "counts": counts, "fingerprint": "0" * 64}
        write_model(directory, created=f"2026-01-0{number + 1}T00:00:00Z", dataset=about)
        if name == NAME:
            rows = [(photo, "train", given, suggested, f"{0.1:.4f}") for photo, given, suggested in ISSUES]
            durable.write_csv(directory / LABEL_ISSUES, HEADER, rows)
            (directory / REPORT).write_text(
                f"{safe_beginning()}<title>report</title></head><body>All of it.</body></html>"
            )
            write_manifest(directory, open_bundle(directory).manifest)
    (home / "models" / HURT / "model.onnx").write_bytes(b"short")
    return home
