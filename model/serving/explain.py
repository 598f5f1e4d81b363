"""An answer as a picture: the photo, where the evidence is, the most probable classes."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from model.dataset.images import decode_image
from model.results import Prediction
from model.serving.predictor import Predictor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE_INCHES = (10, 5)
_DOTS_PER_INCH = 100
_BLUE, _GRAY = "#0072B2", "#8C8C8C"
_LONGEST_LABEL = 28


def answer_picture(predictor: Predictor, content: bytes, prediction: Prediction) -> bytes:
    """Draw what `predictor` said of one image.

    Args:
        content: the encoded image.
        prediction: its answer, without an error.

    Returns:
        A PNG of 1000 x 500 pixels. Its colours differ in lightness too, for readers who do not tell
        red from green.

    Raises:
        ImageError: `content` is not a picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    seen = predictor.decode(content)
    best = predictor.bundle.manifest.classes.index(prediction.labels[0])
    evidence = predictor.activation_maps(seen)[..., best]
    figure = Figure(_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    photo_axes, evidence_axes, bar_axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    _show_photo(photo_axes, decode_image(content), prediction.image)
    _show_evidence(evidence_axes, seen, evidence, prediction.labels[0])
    _show_probabilities(bar_axes, prediction)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def heat_picture(image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """An image with its evidence laid over it, warm where there is most.

    Args:
        image: uint8 (height, width, 3).
        evidence: float (map_height, map_width); what speaks against the class (below 0) is not shown.

    Returns:
        uint8 (height, width, 3).
    """
    from matplotlib import colormaps

    positive = np.maximum(evidence, 0).astype(np.float32)
    scaled = positive / max(float(positive.max()), 1e-9)
    height, width = image.shape[:2]
    smooth = np.asarray(Image.fromarray(scaled).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    colours = colormaps["inferno"](smooth)[..., :3] * 255
    opacity = 0.75 * np.sqrt(smooth)[..., None]
    return (image * (1 - opacity) + colours * opacity).astype(np.uint8)


def _show_photo(axes: "Axes", photo: np.ndarray, name: str) -> None:
    axes.imshow(photo)
    axes.set_axis_off()
    axes.set_title(_short(name), fontsize=11)


def _show_evidence(axes: "Axes", seen: np.ndarray, evidence: np.ndarray, label: str) -> None:
    axes.imshow(heat_picture(seen, evidence))
    axes.set_axis_off()
    axes.set_title(f"evidence for {_short(label)}", fontsize=11)


def _show_probabilities(axes: "Axes", prediction: Prediction) -> None:
    labels = [_short(label) for label in prediction.labels[:10]]
    values = prediction.probabilities[:10]
    colours = [_GRAY if prediction.unknown or position else _BLUE for position in range(len(values))]
    positions = range(len(values))
    axes.barh(positions, values, color=colours, height=0.35, align="edge")
    for position, (label, value) in enumerate(zip(labels, values, strict=True)):
        weight: Any = "bold" if position == 0 else "normal"
        axes.text(0, position - 0.06, label, va="bottom", fontsize=11, weight=weight)
        axes.text(1, position - 0.06, f"{value:.1%}", va="bottom", ha="right", fontsize=11, weight=weight)
    axes.set_xlim(0, 1)
    axes.set_ylim(max(5, len(values)) - 0.3, -0.6)
    axes.set_axis_off()
    if prediction.unknown:
        axes.set_title("not sure: below the threshold", fontsize=11)


def _short(text: str) -> str:
    shown = text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
    return shown.replace("$", r"\$")
