"""Trainings that are stopped, and the results that they are compared by."""

import csv

from model.config import TrainConfig
from model.workspace import Workspace
from tests.support.tiny_network import REPLACED

# For the fixture `tiny_network`: all layers are trained from random weights.
FINE_TUNED = TrainConfig(
    name="m",
    backbone=REPLACED,
    weights="none",
    image_size=32,
    epochs=4,
    patience=10,
    batch_size=8,
    checkpoint_minutes=0.0,
)


class Interruption(KeyboardInterrupt):
    """Raised by a test to stop a training."""


def rows(workspace: Workspace, name: str = FINE_TUNED.name) -> list[list[str]]:
    """The rows of a model's results.csv, without their times."""
    with open(workspace.models / name / "results.csv", newline="") as stream:
        return [[value for key, value in row.items() if key != "seconds"] for row in csv.DictReader(stream)]
