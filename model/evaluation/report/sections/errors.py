"""Most confident errors, with the class activation maps of the predicted classes."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from model.evaluation.report.content import ReportContent

_THUMBNAIL = (200, 200)


def values(content: ReportContent) -> dict[str, Any]:
    """Values of errors.html.jinja."""
    evaluation = content.evaluation
    shown = [
        {**vars(error), "image": _data_uri(error.image), "overlay": _data_uri(error.overlay)}
        for error in content.confident_errors
    ]
    return {
        "images": len(evaluation.labels),
        "count": int((evaluation.probabilities.argmax(axis=1) != evaluation.labels).sum()),
        "errors": shown,
        "out_of_fold": content.measurement == "cross_validation",
    }


def _data_uri(image: np.ndarray) -> str:
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail(_THUMBNAIL)
    stream = io.BytesIO()
    thumbnail.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
