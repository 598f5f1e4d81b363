"""Each form of a model answers as the model does, and its program runs as it is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle, find_bundle
from model.dataset.synthetic import write_demo_dataset
from model.errors import ConfigError, ModelError
from model.publishing.photos import draw_photos, find_photos
from model.serving.predictor import load_predictor
from model.training.formats import exporting
from model.training.formats.exporting import FORMS, export_form
from model.training.imports.importing import import_model
from model.workspace import Workspace
from tests.publishing.conftest import write_model
from tests.training.test_imgclas import CLASSES, small_backbone, with_head, write_folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model in Keras and in ONNX, small enough to convert in a moment."""
    import keras

    keras.utils.set_random_seed(1)
    root = tmp_path_factory.mktemp("small")
    (root / "models").mkdir()
    folder = write_folder(root / "small", with_head(small_backbone()), file="final_model.keras")
    import_model(folder, Workspace(root))
    return find_bundle(Workspace(root), "small")


@pytest.mark.slow  # converts by TensorFlow, and starts each program
@pytest.mark.parametrize("form", FORMS)
def test_each_form_answers_as_the_model_and_its_program_too(small: Bundle, tmp_path: Path, form: str) -> None:
    exported = export_form(small, form, tmp_path / form)
    assert exported.max_difference < 1e-4 and "drawn photos" in exported.compared_on
    assert (tmp_path / form / "classes.txt").read_text().splitlines() == list(CLASSES)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photos(1)[0])
    expected = next(iter(load_predictor(small).predict([("photo", photo.read_bytes())])))
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / form / exported.program), str(photo)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    label, _, probability = ran.stdout.strip().rpartition(": ")[2].rpartition(" ")
    assert label == expected.labels[0]
    # The program reads a large photo whole, the service only as finely as it needs.
    assert float(probability) == pytest.approx(expected.probabilities[0], abs=0.02)


def test_a_form_that_answers_otherwise_is_not_written(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), 1 / 3, np.float32)

    monkeypatch.setitem(exporting.FORMS, "onnx", exporting.Form("model.onnx", FORMS["onnx"].write, wrong))
    with pytest.raises(ModelError, match="Nothing was written"):
        export_form(bundle, "onnx", tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists() and list(tmp_path.glob(".onnx*")) == []


def test_a_folder_that_is_there_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    with pytest.raises(ConfigError, match="a name that is free"):
        export_form(bundle, "onnx", tmp_path / "onnx")


def test_photos_of_its_own_test_split_are_taken_where_they_are(tmp_path: Path) -> None:
    write_demo_dataset(tmp_path / "signs", images_per_class=3)
    bundle = write_model(tmp_path / "models" / "signs", dataset={"path": str(tmp_path / "signs")})
    assert "drawn" in find_photos(bundle).origin
    listed = (tmp_path / "signs" / "dataset_files" / "test.txt").read_text()
    (bundle.directory / "dataset_files" / "test.txt").write_text(listed)
    photos = find_photos(bundle, 5)
    assert photos.origin == "5 test photos of its dataset" and photos.decode(bundle).shape == (5, 8, 8, 3)
