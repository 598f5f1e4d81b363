"""Export formats: each predicts as the model, and its example script runs unchanged."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle
from model.errors import ConfigError, ModelError
from model.export import formats as exporting
from model.export.comparison_photos import draw_photos, find_photos
from model.export.formats import FORMS, export_form
from model.registry import find_bundle
from model.runs.import_run import import_model
from model.serving.predictor import load_predictor
from model.storage.copies import cached_copy_path
from model.storage.pulling import pull
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace
from tests.support.command import ROOT
from tests.support.imgclas_models import CLASSES, small_backbone, with_head, write_folder
from tests.support.small_model import write_model

LISTS = "lists in dataset_files/; splits of the dataset"
PLANKTON = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "phytoplankton-mini"


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
def test_every_format_and_its_script_predict_as_the_model(small: Bundle, tmp_path: Path, form: str) -> None:
    exported = export_form(small, form, tmp_path / form)
    assert exported.max_difference < 1e-4 and "synthetic photos" in exported.compared_on
    assert (tmp_path / form / "classes.txt").read_text().splitlines() == list(CLASSES)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photos(1)[0])
    expected = next(iter(load_predictor(small).predict_stream([("photo", photo.read_bytes())])))
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


def test_a_format_with_different_predictions_is_not_written(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), 1 / 3, np.float32)

    monkeypatch.setitem(exporting.FORMS, "onnx", exporting.Form("model.onnx", FORMS["onnx"].write, wrong))
    with pytest.raises(ModelError, match="Nothing was written"):
        export_form(bundle, "onnx", tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists() and list(tmp_path.glob(".onnx*")) == []


WITHOUT_TENSORFLOW = """
import pathlib, sys
from model.bundle import open_bundle
from model.export.formats import export_form
source, target = map(pathlib.Path, sys.argv[1:])
export_form(open_bundle(source), "onnx", target)
print({"tensorflow", "keras"} & set(sys.modules))
"""


def test_onnx_is_exported_without_tensorflow(bundle: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(bundle.directory), str(tmp_path / "onnx")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_an_existing_folder_is_not_overwritten(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    with pytest.raises(ConfigError, match="expected a new folder"):
        export_form(bundle, "onnx", tmp_path / "onnx")


def trained_on(place: str, lists: Path, directory: Path, layout: str = LISTS) -> Bundle:
    """A model that knows its test photos from the list in the folder `lists`, and their place."""
    bundle = write_model(directory, dataset={"path": place, "layout": layout})
    (bundle.directory / "dataset_files" / "test.txt").write_text((lists / "test.txt").read_text())
    return bundle


@pytest.mark.skipif(not PLANKTON.is_dir(), reason=f"there are no photos in {PLANKTON}")
def test_formats_are_compared_on_test_photos_of_an_archive(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "plankton"), "gztar", PLANKTON.parent, PLANKTON.name)
    bundle = trained_on(archive, PLANKTON / "dataset_files", tmp_path / "models" / "plankton")
    exported = export_form(bundle, "onnx", tmp_path / "onnx")
    assert exported.compared_on == "8 test photos of its dataset" and exported.max_difference < 1e-4


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset alone in a folder, with other files of the same names beside its images folder."""
    folder = tmp_path_factory.mktemp("wrapped") / "signs"
    write_demo_dataset(folder, images_per_class=3)
    shutil.copytree(folder / "images", folder / "a-thumbnails")
    [other] = draw_photos(1)
    for thumbnail in (folder / "a-thumbnails").rglob("*.jpg"):
        thumbnail.write_bytes(other)
    return folder


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_photos_of_an_archive_are_read_from_its_images_folder(signs: Path, tmp_path: Path, form: str) -> None:
    archive = shutil.make_archive(str(tmp_path / "signs"), form, signs.parent)
    in_archive = trained_on(archive, signs / "dataset_files", tmp_path / "models" / "archive")
    in_folder = trained_on(str(signs), signs / "dataset_files", tmp_path / "models" / "folder")
    found, expected = find_photos(in_archive, 99), find_photos(in_folder, 99)
    assert found.origin == expected.origin == "8 test photos of its dataset"
    assert sorted(found.content) == sorted(expected.content)


def test_photos_of_an_archive_of_class_folders_are_found(signs: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "signs"), "tar", signs / "images")
    bundle = trained_on(archive, signs / "dataset_files", tmp_path / "models" / "signs", "a folder per class")
    assert find_photos(bundle).origin == "8 test photos of its dataset"


def test_a_truncated_archive_does_not_stop_an_export(signs: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "signs"), "tar", signs / "images"))
    bundle = trained_on(str(archive), signs / "dataset_files", tmp_path / "models" / "signs", "a folder per class")
    archive.write_bytes(archive.read_bytes()[:3000])
    assert "synthetic" in find_photos(bundle).origin


def test_photos_of_a_remote_dataset_are_read_from_its_complete_local_copy(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    archive = shutil.make_archive(str(tmp_path / "signs"), "tar", signs.parent)
    place = "rshare:datasets/signs.tar"
    bundle = trained_on(place, signs / "dataset_files", tmp_path / "models" / "signs")
    shutil.copytree(signs, cached_copy_path(place))
    assert "synthetic" in find_photos(bundle).origin, "a copy that was not carried to its end"
    shutil.rmtree(cached_copy_path(place))
    pull(archive, cached_copy_path(place), mirror=True)
    assert find_photos(bundle).origin == "8 test photos of its dataset"


def test_photos_of_the_test_split_are_read_in_place(signs: Path, tmp_path: Path) -> None:
    assert "synthetic" in find_photos(write_model(tmp_path / "models" / "unknown")).origin
    bundle = trained_on(str(signs), signs / "dataset_files", tmp_path / "models" / "signs")
    photos = find_photos(bundle, 5)
    assert photos.origin == "5 test photos of its dataset" and photos.decode(bundle).shape == (5, 8, 8, 3)
