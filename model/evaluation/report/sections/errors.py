"""Most confident errors, with the class activation maps of the predicted classes."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from model.evaluation.confident_errors import evaluations_with_errors
from model.evaluation.evaluate import Evaluation
from model.evaluation.report.content import ReportContent
from model.evaluation.report.sections.uncertain import neighbours_of

_THUMBNAIL = (200, 200)


def values(content: ReportContent) -> dict[str, Any]:
    """Values of errors.html.jinja."""
    evaluations = {name: content.evaluations[name] for name in evaluations_with_errors(content.evaluations)}
    shown = [
        {
            **vars(error),
            "photos": content.photos_of(error.measurement),
            "neighbours": neighbours_of(content, error.name),
            "image": data_uri(error.image),
            "overlay": data_uri(error.overlay),
            "occlusion": None if error.maps_agree or error.occlusion is None else data_uri(error.occlusion),
        }
        for error in content.confident_errors
    ]
    return {
        "counts": [
            {"count": _errors_of(evaluation), "images": len(evaluation.labels), "photos": content.photos_of(name)}
            for name, evaluation in evaluations.items()
        ],
        "count": sum(map(_errors_of, evaluations.values())),
        "errors": shown,
        "with_occlusion": sum(error.maps_agree is not None for error in content.confident_errors),
        "out_of_fold": "cross_validation" in evaluations,
        "several": len(evaluations) > 1,
    }


def _errors_of(evaluation: Evaluation) -> int:
    return int((evaluation.probabilities.argmax(axis=1) != evaluation.labels).sum())


def data_uri(image: np.ndarray) -> str:
    """A small JPEG of an image uint8 (height, width, 3), as the address of an image in a page."""
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail(_THUMBNAIL)
    stream = io.BytesIO()
    thumbnail.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
