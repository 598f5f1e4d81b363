"""Values that are written as JSON: dataclasses, paths and numbers of NumPy."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from model.durable import json_text, to_json
from model.results import Dataset, Sample


def test_a_dataclass_is_written_as_the_values_of_its_fields() -> None:
    samples = (Sample(Path("/data/a.jpg"), "a.jpg", 0), Sample(Path("/data/b.jpg"), "b.jpg", 1))
    dataset = Dataset(Path("/data"), ("one", "other"), samples, (), samples[:1])
    assert to_json(dataset) == to_json(dataclasses.asdict(dataset))
    assert json.loads(json_text({"dataset": dataset}))["dataset"]["train"][1] == {
        "path": "/data/b.jpg",
        "name": "b.jpg",
        "label": 1,
    }


def test_numbers_that_json_has_not_are_null() -> None:
    assert to_json([np.float32(0.5), float("nan"), np.array([1, np.inf])]) == [0.5, None, [1.0, None]]
