"""An answer as a picture: the photo, where the evidence is, the most probable classes.

Colours are of Okabe and Ito (2008), which readers with any colour vision tell apart, and the map of the evidence
grows lighter with it.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from model.dataset.images import decode_image
from model.results import Prediction
from model.serving.lettering import Colour, draw_text
from model.serving.predictor import Predictor

_SIZE = (1000, 500)
_MARGIN, _COLUMN, _GAP = 18, 310, 18
_TOP, _BOTTOM = 112, 456
_MOST_BARS = 9
_INK, _GRAY, _FAINT = (27, 36, 48), (95, 104, 114), (224, 228, 232)
_BLUE, _VERMILION, _SHADOW = (0, 114, 178), (213, 94, 0), (150, 156, 164)


def answer_picture(predictor: Predictor, content: bytes, prediction: Prediction, explain_class: str = "") -> bytes:
    """Draw what `predictor` said of one image.

    Args:
        content: the encoded image.
        prediction: its answer, without an error.
        explain_class: the class whose evidence is shown; empty for the most probable one.

    Returns:
        A PNG of 1000 x 500 pixels.

    Raises:
        ImageError: `content` is not a picture.
        ConfigError: there is no such class.
    """
    explained = explain_class or prediction.labels[0]
    position = predictor.class_index(explained)
    photo, seen = decode_image(content), predictor.decode(content)
    evidence = predictor.activation_maps(seen)[..., position]
    # A squashed photo can be shown as it was: the map stretches with it.
    below = photo if predictor.bundle.manifest.resize == "squash" else seen
    picture = Image.new("RGB", _SIZE, "white")
    _draw_heading(picture, prediction)
    _draw_picture(picture, _column(0), "the photo", photo)
    _draw_evidence(picture, _column(1), explained, below, evidence)
    _draw_probabilities(picture, _column(2), prediction)
    png = io.BytesIO()
    picture.save(png, "PNG")
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


def _column(number: int) -> int:
    """The left edge of a column, in pixels."""
    return _MARGIN + number * (_COLUMN + _GAP)


def _draw_heading(picture: Image.Image, prediction: Prediction) -> None:
    """The answer in large letters; below it why it is unknown, or the name of the image."""
    whole = _SIZE[0] - 2 * _MARGIN
    if prediction.unknown:
        draw_text(picture, (_MARGIN, 42), "Unknown", 26, whole, _VERMILION, bold=True)
        draw_text(picture, (_MARGIN, 68), prediction.unknown_explanation, 15, whole, _INK)
        return
    share = f"{prediction.probabilities[0]:.1%}"
    draw_text(picture, (_SIZE[0] - _MARGIN, 42), share, 26, 130, _BLUE, bold=True, align="right")
    draw_text(picture, (_MARGIN, 42), prediction.labels[0], 26, whole - 150, _INK, bold=True)
    draw_text(picture, (_MARGIN, 68), prediction.image, 15, whole, _GRAY)


def _draw_picture(picture: Image.Image, left: int, caption: str, pixels: np.ndarray) -> int:
    """Fit an image into a column, under its caption; returns the height of its lower edge."""
    draw_text(picture, (left, _TOP - 10), caption, 15, _COLUMN, _GRAY)
    image = Image.fromarray(pixels)
    scale = min(_COLUMN / image.width, (_BOTTOM - _TOP) / image.height)
    fitted = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    picture.paste(fitted, (left, _TOP))
    return _TOP + fitted.height


def _draw_evidence(picture: Image.Image, left: int, label: str, image: np.ndarray, evidence: np.ndarray) -> None:
    speaks = evidence.max() > 0
    caption = f"evidence for {label}" if speaks else f"nothing here speaks for {label}"
    small = Image.fromarray(image)
    small.thumbnail((2 * _COLUMN, 2 * _COLUMN))
    bottom = _draw_picture(picture, left, caption, heat_picture(np.asarray(small), evidence))
    if speaks:
        _draw_scale(picture, left, bottom + 12)


def _draw_scale(picture: Image.Image, left: int, top: int) -> None:
    """What the colours of the evidence mean."""
    from matplotlib import colormaps

    strip = colormaps["inferno"](np.linspace(0, 1, 150))[None, :, :3] * 255
    picture.paste(Image.fromarray(strip.astype(np.uint8)).resize((150, 8)), (left + 44, top + 2))
    draw_text(picture, (left, top + 11), "little", 13, 40, _GRAY)
    draw_text(picture, (left + 202, top + 11), "much", 13, 60, _GRAY)


def _draw_probabilities(picture: Image.Image, left: int, prediction: Prediction) -> None:
    draw_text(picture, (left, _TOP - 10), "probabilities", 15, _COLUMN, _GRAY)
    rows = list(zip(prediction.labels, prediction.probabilities, strict=True))[:_MOST_BARS]
    for place, (label, value) in enumerate(rows):
        sure = place == 0 and not prediction.unknown
        _draw_bar(picture, (left, _TOP + 38 * place), label, value, _BLUE if sure else _SHADOW, bold=place == 0)


def _draw_bar(
    picture: Image.Image, corner: tuple[int, int], label: str, value: float, colour: Colour, bold: bool
) -> None:
    left, top = corner
    draw_text(picture, (left, top + 15), label, 15, _COLUMN - 70, _INK, bold)
    draw_text(picture, (left + _COLUMN, top + 15), f"{value:.1%}", 15, 65, _INK, bold, align="right")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top + 22, left + _COLUMN - 1, top + 29), _FAINT)
    if round(_COLUMN * value):
        draw.rectangle((left, top + 22, left + round(_COLUMN * value) - 1, top + 29), colour)
