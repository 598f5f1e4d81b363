"""Most uncertain photos, each with its nearest training photos."""

from typing import Any

import numpy as np

from model.evaluation.report.content import ReportContent
from model.results import Sample


def values(content: ReportContent) -> dict[str, Any] | None:
    """Values of uncertain.html.jinja; None if the features of the photos are unknown."""
    if content.study is None:
        return None
    evaluation = content.evaluation
    photos = []
    for row in content.study.uncertain:
        probabilities, sample = evaluation.probabilities[row], evaluation.samples[row]
        # Among equal probabilities, the first class is the predicted one; a model may have one class only.
        best = np.argsort(-probabilities, kind="stable")[:2].tolist()
        photos.append(
            {
                "name": sample.name,
                "id": content.thumbnail_ids.get(sample.name),
                "true": evaluation.classes[sample.label],
                "is_correct": best[0] == sample.label,
                "answers": [(evaluation.classes[label], float(probabilities[label])) for label in best],
                "neighbours": neighbours_of(content, sample.name),
            }
        )
    return {"photos": photos}


def neighbours_of(content: ReportContent, name: str) -> list[dict[str, Any]]:
    """The nearest training photos of a photo: name, class and id of the thumbnail."""
    if content.study is None:
        return []
    return [
        {
            "name": near.sample.name,
            "label": content.study.photos.classes[near.sample.label],
            # A training photo of another dataset has no file here, and its name may be that of an evaluated photo.
            "id": content.thumbnail_ids.get(near.sample.name) if near.sample.path.name else None,
        }
        for near in content.study.neighbours.get(name, ())
    ]


def photos_to_show(content: ReportContent) -> list[Sample]:
    """The photos of the section, then the neighbours of all photos that have some."""
    if content.study is None:
        return []
    uncertain = [content.evaluation.samples[row] for row in content.study.uncertain]
    near = [near.sample for found in content.study.neighbours.values() for near in found]
    return uncertain + [sample for sample in near if sample.path.name]
