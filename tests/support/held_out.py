"""Predictions of the service for the held-out images of a model."""

from pathlib import Path

import numpy as np

from model.bundle import Bundle
from model.serving.predictor import load_predictor


def held_out_as_served(bundle: Bundle) -> np.ndarray:
    """Distance and components that the service reports for each validation and test image, in order."""
    folder = bundle.directory / "dataset_files"
    lines = [line for split in ("val", "test") for line in (folder / f"{split}.txt").read_text().splitlines()]
    photos = [path for path in Path(bundle.manifest.dataset["path"]).rglob("*") if path.is_file()]
    named = [next(path for path in photos if path.as_posix().endswith(line.rpartition(" ")[0])) for line in lines]
    answers = load_predictor(bundle).predict_stream([(path.name, path.read_bytes()) for path in named])
    return np.array([(answer.distance, *answer.components) for answer in answers])
