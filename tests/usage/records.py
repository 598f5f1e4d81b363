"""Example usage record of a model."""

import dataclasses

from model.results import Prediction
from model.usage.record import Record
from model.usage.store import ModelVersion

PETS = ModelVersion("pets", "0123456789abcdef")


def record(photos: int = 1, first: int = 0) -> Record:
    made = Record()
    for number in range(first, first + photos):
        unsure = Prediction("a", ("cat", "dog"), (0.9, 0.1), uncertain=True, distance=0.25)
        made.add_prediction(dataclasses.replace(unsure, components=(number / 5000, 0.5)))
    made.add_answer("json", 0.01, is_zip=False)
    made.add_error(415)
    return made
