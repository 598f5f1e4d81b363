"""Figure of one prediction: the photo, the class activation map, the most probable classes.

Colours are those of Okabe and Ito (2008), distinguishable with any colour vision. The colours of the activation map are
those of inferno by Smith and van der Walt (CC0), whose lightness grows with the value.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from model.dataset.images import decode_image, measure_image
from model.results import InputSpec, Prediction
from model.serving.occlusion import explain
from model.serving.predictor import Predictor
from model.serving.text_rendering import Colour, draw_text

_SIZE = (1000, 500)
_MARGIN, _COLUMN, _GAP = 18, 310, 18
_TOP, _BOTTOM = 112, 456
_MAX_BARS = 9
_INK, _GRAY, _FAINT = (27, 36, 48), (95, 104, 114), (224, 228, 232)
_BLUE, _VERMILION, _SHADOW = (0, 114, 178), (213, 94, 0), (150, 156, 164)
# Every sixteenth colour of inferno, from 0 to 1.
_INFERNO = np.frombuffer(
    bytes.fromhex(
        "000004 0b0724 210c4a 3c0965 57106d 70196e 89226a a32b61 bb3755"
        "d14644 e35932 f1711e f98d0a fcab0f f9ca32 f2e865 fcffa4"
    ),
    np.uint8,
).reshape(-1, 3)


def draw_prediction(predictor: Predictor, content: bytes, prediction: Prediction, explain_class: str = "") -> bytes:
    """Draw the prediction for one image.

    Args:
        content: the encoded image.
        prediction: prediction for the image, without an error.
        explain_class: class of the activation map; empty for the most probable one.

    Returns:
        A PNG of 1000 x 500 pixels.

    Raises:
        ImageError: `content` is not an image.
        ConfigError: there is no such class.
    """
    explained = explain_class or prediction.labels[0]
    index = predictor.class_index(explained)
    shown = _shown_size(*measure_image(content))
    photo = decode_image(content, InputSpec(*shown, intensity=predictor.spec.intensity))
    network_input = predictor.decode(content)
    activation = explain(predictor, network_input, index)
    # A squashed photo can be shown undistorted: the map stretches with it.
    background = photo if predictor.bundle.manifest.resize == "squash" else network_input
    figure = Image.new("RGB", _SIZE, "white")
    _draw_heading(figure, prediction)
    _draw_image(figure, _column(0), "photo", photo)
    _draw_activation(figure, _column(1), explained, background, activation)
    _draw_probabilities(figure, _column(2), prediction)
    png = io.BytesIO()
    figure.save(png, "PNG")
    return png.getvalue()


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a photo is decoded: twice the size at which it is drawn, or its own if that is less."""
    scale = min(1.0, 2 * _COLUMN / width, 2 * (_BOTTOM - _TOP) / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def overlay_activation(image: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """An image with a class activation map laid over it, brighter for higher activation.

    Args:
        image: uint8 (height, width, 3).
        activation: float (map_height, map_width); negative activation is not shown, and neither is a map of one
            position.

    Returns:
        uint8 (height, width, 3).
    """
    if activation.size == 1:
        return image
    positive = np.maximum(activation, 0).astype(np.float32)
    scaled = positive / max(float(positive.max()), 1e-9)
    height, width = image.shape[:2]
    smooth = np.asarray(Image.fromarray(scaled).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    opacity = 0.75 * np.sqrt(smooth)[..., None]
    return (image * (1 - opacity) + _colours(smooth) * opacity).astype(np.uint8)


def _colours(values: np.ndarray) -> np.ndarray:
    """Colours of values in [0, 1]: float (..., 3) in [0, 255], interpolated linearly in the colour map."""
    steps = np.linspace(0, 1, len(_INFERNO))
    return np.stack([np.interp(values, steps, channel) for channel in _INFERNO.T], axis=-1)


def _column(number: int) -> int:
    """The left edge of a column, in pixels."""
    return _MARGIN + number * (_COLUMN + _GAP)


def _draw_heading(figure: Image.Image, prediction: Prediction) -> None:
    """The prediction in large letters; below it why it is unknown or uncertain, or the name of the image."""
    width = _SIZE[0] - 2 * _MARGIN
    if prediction.unknown:
        draw_text(figure, (_MARGIN, 42), "Unknown", 26, width, _VERMILION, bold=True)
        draw_text(figure, (_MARGIN, 68), prediction.unknown_explanation, 15, width, _INK)
        return
    if prediction.uncertain:
        heading = f"Uncertain: {prediction.uncertain_between}"
        draw_text(figure, (_MARGIN, 42), heading, 26, width, _VERMILION, bold=True)
        draw_text(figure, (_MARGIN, 68), prediction.uncertain_explanation, 15, width, _INK)
        return
    probability = f"{prediction.probabilities[0]:.1%}"
    draw_text(figure, (_SIZE[0] - _MARGIN, 42), probability, 26, 130, _BLUE, bold=True, align="right")
    draw_text(figure, (_MARGIN, 42), prediction.labels[0], 26, width - 150, _INK, bold=True)
    if prediction.warning:
        draw_text(figure, (_MARGIN, 68), prediction.warning, 15, width, _VERMILION)
    else:
        draw_text(figure, (_MARGIN, 68), prediction.image, 15, width, _GRAY)


def _draw_image(figure: Image.Image, left: int, caption: str, pixels: np.ndarray) -> int:
    """Fit an image into a column, below its caption; returns the y of its lower edge."""
    draw_text(figure, (left, _TOP - 10), caption, 15, _COLUMN, _GRAY)
    image = Image.fromarray(pixels)
    scale = min(_COLUMN / image.width, (_BOTTOM - _TOP) / image.height)
    fitted = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    figure.paste(fitted, (left, _TOP))
    return _TOP + fitted.height


def _draw_activation(figure: Image.Image, left: int, label: str, image: np.ndarray, activation: np.ndarray) -> None:
    has_positive = activation.max() > 0
    caption = f"activation map: {label}" if has_positive else f"no positive activation: {label}"
    small = Image.fromarray(image)
    small.thumbnail((2 * _COLUMN, 2 * _COLUMN))
    bottom = _draw_image(figure, left, caption, overlay_activation(np.asarray(small), activation))
    if has_positive:
        _draw_colour_bar(figure, left, bottom + 12)


def _draw_colour_bar(figure: Image.Image, left: int, top: int) -> None:
    strip = _colours(np.linspace(0, 1, 150))[None].astype(np.uint8)
    figure.paste(Image.fromarray(strip).resize((150, 8)), (left + 44, top + 2))
    draw_text(figure, (left, top + 11), "low", 13, 40, _GRAY)
    draw_text(figure, (left + 202, top + 11), "high", 13, 60, _GRAY)


def _draw_probabilities(figure: Image.Image, left: int, prediction: Prediction) -> None:
    draw_text(figure, (left, _TOP - 10), "probabilities", 15, _COLUMN, _GRAY)
    rows = list(zip(prediction.labels, prediction.probabilities, strict=True))[:_MAX_BARS]
    for rank, (label, probability) in enumerate(rows):
        marked = prediction.unknown or prediction.uncertain
        colour = _BLUE if rank == 0 and not marked else _SHADOW
        _draw_bar(figure, (left, _TOP + 38 * rank), label, probability, colour, bold=rank == 0)


def _draw_bar(
    figure: Image.Image, corner: tuple[int, int], label: str, probability: float, colour: Colour, bold: bool
) -> None:
    left, top = corner
    draw_text(figure, (left, top + 15), label, 15, _COLUMN - 70, _INK, bold)
    draw_text(figure, (left + _COLUMN, top + 15), f"{probability:.1%}", 15, 65, _INK, bold, align="right")
    draw = ImageDraw.Draw(figure)
    draw.rectangle((left, top + 22, left + _COLUMN - 1, top + 29), _FAINT)
    if round(_COLUMN * probability):
        draw.rectangle((left, top + 22, left + round(_COLUMN * probability) - 1, top + 29), colour)
