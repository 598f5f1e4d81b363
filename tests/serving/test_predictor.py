"""Predictor: loading errors, forms of input, and the figure of a prediction."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.bundle_files import ONNX_MODEL
from model.config import PredictConfig
from model.errors import ConfigError, ImageError, ModelDamagedError
from model.results import Prediction
from model.serving.prediction_figure import draw_prediction, overlay_activation
from model.serving.predictor import Predictor, load_predictor
from tests.serving.test_parity import CLASSES, _bundle, _photo, _saved
from tests.support.small_model import NAME, write_model


def _predictor(tmp_path) -> Predictor:
    def engine(images: np.ndarray, *outputs: str) -> list[np.ndarray]:
        if outputs == ("activation_map",):
            return [np.linspace(-1, 1, 4 * len(CLASSES), dtype=np.float32).reshape(1, 2, 2, len(CLASSES))]
        return [np.tile(np.float32([0.4, 0.6]), (len(images), 1))]

    return Predictor(_bundle(tmp_path / "m", "squash"), engine)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_graph_that_cannot_be_loaded_is_a_damaged_model(tmp_path, content):
    bundle = _bundle(tmp_path / "m", "squash")
    (bundle.directory / ONNX_MODEL).write_bytes(content)
    with pytest.raises(ModelDamagedError, match="cannot be loaded"):
        load_predictor(bundle)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Exception during initialization: std::bad_alloc")])
def test_out_of_memory_while_loading_is_no_damaged_model(tmp_path, monkeypatch, error):
    def no_memory(*_arguments):
        raise error

    bundle = _bundle(tmp_path / "m", "squash")
    (bundle.directory / ONNX_MODEL).write_bytes(b"")
    monkeypatch.setattr("model.serving.predictor.open_session", no_memory)
    with pytest.raises(MemoryError):
        load_predictor(bundle)


def test_predictions_and_errors_are_in_the_order_of_the_images(tmp_path):
    good = _saved(_photo(), "PNG")
    photos = [("a", good), ("b", b"no image"), *((str(number), good) for number in range(40)), ("z", b"")]
    answers = list(_predictor(tmp_path).predict_stream(photos, PredictConfig(top_k=1)))
    assert [answer.image for answer in answers] == [name for name, _ in photos]
    assert [answer.image for answer in answers if answer.error] == ["b", "z"]
    assert all(answer.labels == ("other",) for answer in answers if not answer.error)


def _inputs(tmp_path: Path) -> dict[str, Any]:
    """One photo in each form that `Predictor.predict` takes."""
    content = _saved(_photo(), "PNG")
    (tmp_path / "photo.png").write_bytes(content)
    pil_image = Image.open(io.BytesIO(content))
    forms = {"text": str(tmp_path / "photo.png"), "path": tmp_path / "photo.png", "bytes": content, "PIL": pil_image}
    return forms | {"array": np.asarray(pil_image.convert("RGB"))}


@pytest.mark.parametrize("form", ["text", "path", "bytes", "PIL", "array"])
def test_one_image_of_any_form_gives_one_prediction_and_several_a_list(tmp_path, form):
    predictor, image = _predictor(tmp_path), _inputs(tmp_path)[form]
    assert np.array_equal(
        predictor.decode(image if form != "text" else Path(image)), predictor.decode(_inputs(tmp_path)["bytes"])
    )
    one = predictor.predict(image)
    assert one.labels[0] == "other" and one.error is None
    assert one.image == (str(tmp_path / "photo.png") if form in ("text", "path") else "image")
    several = predictor.predict([image, image], top_k=1)
    assert [len(prediction.labels) for prediction in several] == [1, 1]


def test_an_image_has_the_same_pixels_in_any_form(tmp_path):
    predictor, forms = _predictor(tmp_path), _inputs(tmp_path)
    expected = predictor.decode(forms["bytes"])
    assert all(np.array_equal(predictor.decode(forms[form]), expected) for form in ("path", "PIL", "array"))


def test_an_array_of_several_images_gives_a_list(tmp_path):
    batch = np.zeros((3, 40, 30, 3), np.uint8)
    predictions = _predictor(tmp_path).predict(batch)
    assert isinstance(predictions, list)
    assert [item.image for item in predictions] == ["image 0", "image 1", "image 2"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.jpg", "nowhere.jpg: expected a readable file"),
        (b"no image", "image: expected an image"),
        (np.zeros((8, 8, 3)), "received float64 of shape"),
        (np.zeros((8, 8), np.uint8), r"received uint8 of shape \(8, 8\)"),
    ],
)
def test_one_image_that_cannot_be_read_is_an_error_and_in_a_list_has_its_own(tmp_path, image, message):
    predictor = _predictor(tmp_path)
    with pytest.raises(ImageError, match=message):
        predictor.predict(image)
    bad, good = predictor.predict([image, _saved(_photo(), "PNG")])
    assert bad.error is not None and not bad.labels and good.error is None


def test_options_of_a_prediction_are_checked(tmp_path):
    predictor, content = _predictor(tmp_path), _saved(_photo(), "PNG")
    with pytest.raises(ConfigError, match="top_k"):
        predictor.predict(content, top_k=0)
    with pytest.raises(ConfigError, match="Did you mean: top_k"):
        predictor.predict(content, topk=1)


@pytest.mark.parametrize("label", ["other", "$x$ & <b>", "a" * 200, "鱼", "line\nbreak"])
def test_the_figure_has_a_fixed_size_for_any_names(tmp_path, label):
    prediction = Prediction(label, ("one", label), (0.7, 0.3), unknown=True)
    pil_image = draw_prediction(_predictor(tmp_path), _saved(_photo(), "PNG"), prediction)
    assert Image.open(io.BytesIO(pil_image)).size == (1000, 500)


def test_the_activation_map_is_that_of_the_requested_class(tmp_path):
    predictor, content = _predictor(tmp_path), _saved(_photo(), "PNG")
    prediction = Prediction("photo", CLASSES, (0.7, 0.3))
    figures = [draw_prediction(predictor, content, prediction, name) for name in ("", *CLASSES)]
    assert figures[0] == figures[1] != figures[2]
    with pytest.raises(ConfigError, match=r"explain_class: .* such as other; received 'othr'"):
        draw_prediction(predictor, content, prediction, "othr")
    with pytest.raises(ConfigError, match="explain_class"):
        next(predictor.predict_stream([("photo", content)], PredictConfig(explain_class="othr")))


def test_drawing_a_file_that_is_no_image_is_an_error(tmp_path):
    with pytest.raises(ImageError):
        draw_prediction(_predictor(tmp_path), b"no image", Prediction("x", ("one",), (1.0,)))


def test_the_overlay_colours_positive_activation_only():
    image = np.full((40, 40, 3), 100, np.uint8)
    activation = np.full((4, 4), -1.0)
    activation[0, 0] = 5.0
    overlay = overlay_activation(image, activation)
    assert overlay.shape == image.shape and overlay.dtype == np.uint8
    assert np.array_equal(overlay[30:, 30:], image[30:, 30:])
    assert np.abs(overlay[:5, :5].astype(int) - 100).max() > 50


def test_the_lightness_of_the_colours_grows_with_the_activation():
    image = np.zeros((1, 200, 3), np.uint8)
    overlay = overlay_activation(image, np.linspace(0, 1, 200, dtype=np.float32)[None])
    lightness = overlay[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -1.5).all() and lightness[-1] > 150 > lightness[0]


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_the_outputs_of_an_image_do_not_depend_on_its_batch(threads: int | None, tmp_path: Path) -> None:
    predictor = load_predictor(write_model(tmp_path / "models" / NAME), threads)
    images = np.random.default_rng(0).integers(0, 256, (9, *predictor.spec.shape), np.uint8)
    together = predictor.probabilities_and_features(images)
    single = [predictor.probabilities_and_features(image[None]) for image in images]
    for values, rows in zip(together, zip(*single, strict=True), strict=True):
        assert np.array_equal(values, np.concatenate(rows))
