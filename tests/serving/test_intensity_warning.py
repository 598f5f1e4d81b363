"""Photos outside the intensity range of a model are predicted with a warning, wherever predictions are shown."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle import Bundle
from model.cli.prediction import prediction_lines
from model.intensity import FULL, Intensity, IntensityRange
from model.results import Prediction
from model.serving.prediction_figure import draw_prediction
from model.serving.predictor import load_predictor
from model.serving.table import predictions_table, write_parquet
from tests.support.small_model import write_model

GRAY = np.kron(np.random.default_rng(0).integers(0, 256, (12, 16)), np.ones((8, 8), int))
RANGE = IntensityRange(200, 710)

FITTING = {
    "as in training": 200 + 2 * GRAY.astype(np.uint16),
    "somewhat brighter": 300 + 2 * GRAY.astype(np.uint16),
    "floats": 200 + 2 * GRAY.astype(np.float32),
    "signed": 200 + 2 * GRAY.astype(np.int32),
    "8 bits": GRAY.astype(np.uint8),
    "empty": np.full((96, 128), 400, np.uint16),
}
CLIPPED = {
    "all 16 bits": 257 * GRAY.astype(np.uint16),
    "overexposed": 20_000 + GRAY.astype(np.uint16),
    "floats to 1": GRAY.astype(np.float32) / 255,
    "white": np.full((96, 128), 65535, np.uint16),
}
FLAT = {"a tenth of the exposure": (300 + GRAY / 10).astype(np.uint16)}


def encoded(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    return stream.getvalue()


def predict(root: Path, intensity: Intensity, values: np.ndarray) -> Prediction:
    predictor = load_predictor(write_model(root / "models" / "colours", intensity=intensity))
    [streamed] = predictor.predict_stream([("photo.tif", encoded(values))])
    single = predictor.predict(encoded(values))
    of_pillow_image = predictor.predict(Image.fromarray(values))
    assert streamed.warning == single.warning == of_pillow_image.warning
    return streamed


@pytest.mark.parametrize("kind", FITTING)
def test_a_photo_inside_the_range_has_no_warning(tmp_path: Path, kind: str) -> None:
    assert predict(tmp_path, RANGE, FITTING[kind]).warning == ""


@pytest.mark.parametrize("kind", CLIPPED)
def test_a_photo_of_which_more_than_half_is_clipped_has_a_warning(tmp_path: Path, kind: str) -> None:
    prediction = predict(tmp_path, RANGE, CLIPPED[kind])
    assert "outside the intensity range of the model, 200 to 710" in prediction.warning and not prediction.error


@pytest.mark.parametrize("kind", FLAT)
def test_a_photo_of_few_gray_levels_has_a_warning(tmp_path: Path, kind: str) -> None:
    assert "use less than 1/16 of the intensity range of the model" in predict(tmp_path, RANGE, FLAT[kind]).warning


def test_a_16_bit_photo_of_few_gray_levels_has_a_warning_from_a_model_without_a_range(tmp_path: Path) -> None:
    warning = predict(tmp_path, FULL, FITTING["as in training"]).warning
    assert "(200 to 710) use less than 1/16 of the full range, 0 to 65,535" in warning


@pytest.mark.parametrize("kind", ["floats", "signed", "8 bits"])
def test_photos_without_a_full_range_have_no_warning_from_a_model_without_a_range(tmp_path: Path, kind: str) -> None:
    assert predict(tmp_path, FULL, FITTING[kind]).warning == ""


def test_the_warning_is_in_every_form_of_the_answer(tmp_path: Path) -> None:
    prediction = predict(tmp_path, RANGE, CLIPPED["white"])
    assert prediction.to_json()["warning"] == prediction.warning
    assert Prediction.from_json(prediction.to_json()).warning == prediction.warning
    assert f"(warning: {prediction.warning})" in prediction_lines(prediction)[0]
    header, rows = predictions_table([Prediction("a.jpg", ("red",), (1.0,)), prediction])
    assert [row[header.index("warning")] for row in rows] == ["", prediction.warning]
    stream = io.BytesIO()
    write_parquet(stream, [prediction])
    assert pytest.importorskip("pyarrow.parquet").read_table(stream).to_pylist()[0]["warning"] == prediction.warning


def test_without_warnings_the_answer_is_as_before(tmp_path: Path) -> None:
    prediction = predict(tmp_path, RANGE, FITTING["8 bits"])
    assert "warning" not in prediction.to_json()
    assert "warning" not in predictions_table([prediction])[0]


def test_the_figure_shows_the_photo_by_the_range_of_the_model(tmp_path: Path) -> None:
    figures = {}
    for intensity in (RANGE, FULL):
        bundle: Bundle = write_model(tmp_path / str(intensity) / "colours", intensity=intensity)
        predictor, content = load_predictor(bundle), encoded(FITTING["as in training"])
        prediction = dataclasses.replace(predictor.predict(content), unknown=False)
        drawn = Image.open(io.BytesIO(draw_prediction(predictor, content, prediction)))
        photo = drawn.convert("L").crop((30, 150, 300, 300))
        figures[intensity] = photo.getextrema()
    assert figures[RANGE][1] - figures[RANGE][0] > 150
    assert figures[FULL][1] < 10
