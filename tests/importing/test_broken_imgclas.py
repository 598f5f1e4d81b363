"""Models of imgclas that are incomplete, contradict themselves or are no models: each is refused with its reason."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from model.errors import ModelError
from model.importing.bundle_import import import_bundle
from model.importing.imgclas import read_trained_folder
from model.importing.imgclas_import import _Import
from model.registry import model_names
from model.runs.import_run import import_model
from model.workspace import Workspace
from tests.importing.test_imgclas import content_of, edit_description
from tests.support.cost import cost_of
from tests.support.imgclas_models import (
    NAME,
)


def edit_conf(folder: Path, group: str, name: str, value: Any) -> None:
    path = folder / "conf" / "conf.json"
    conf = json.loads(path.read_text())
    if value is None:
        del conf[group][name]
    else:
        conf[group][name] = value
    path.write_text(json.dumps(conf))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def link_outside(folder: Path) -> None:
    with h5py.File(folder / "ckpts" / "final_model.h5", "r+") as file:
        del file["model_weights"]["first"]
        file["model_weights"]["first"] = h5py.ExternalLink("/etc/passwd", "/")


def claim_huge_weights(folder: Path) -> None:
    with h5py.File(folder / "ckpts" / "final_model.h5", "r+") as file:
        file.create_dataset("model_weights/huge", (10**12,), "f4", chunks=(1024,))


def weights_only(folder: Path) -> None:
    with h5py.File(folder / "ckpts" / "final_model.h5", "r+") as file:
        del file.attrs["model_config"]


def no_classes(folder: Path) -> None:
    (folder / "dataset_files" / "classes.txt").unlink()


def one_class_less(folder: Path) -> None:
    (folder / "dataset_files" / "classes.txt").write_text("a\nb\n")


def one_class_less_everywhere(folder: Path) -> None:
    one_class_less(folder)
    edit_conf(folder, "model", "num_classes", 2)


def failed_training(folder: Path) -> None:
    (folder / "ckpts" / "final_model.h5").unlink()


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no checkpoint": (failed_training, "no checkpoint: expected ckpts/final_model.h5.* an empty folder"),
    "no ckpts folder": (lambda folder: shutil.rmtree(folder / "ckpts"), "no such folder"),
    "nothing of it": (lambda folder: shutil.rmtree(folder) or folder.mkdir(), "expected the folder of a model .*empty"),
    "no conf": (lambda folder: (folder / "conf" / "conf.json").unlink(), "conf.json: expected the options"),
    "no JSON": (lambda folder: (folder / "conf" / "conf.json").write_text("{"), "conf.json: expected JSON"),
    "a list": (lambda folder: (folder / "conf" / "conf.json").write_text("[1]"), "expected groups of options"),
    "no mode": (
        lambda folder: edit_conf(folder, "model", "preprocess_mode", None),
        "preprocess_mode: .* found nothing",
    ),
    "odd mode": (
        lambda folder: edit_conf(folder, "model", "preprocess_mode", "mine"),
        "expected one of tf, torch, caffe",
    ),
    "no mean": (lambda folder: edit_conf(folder, "dataset", "mean_RGB", None), "mean_RGB: expected three numbers"),
    "two means": (lambda folder: edit_conf(folder, "dataset", "mean_RGB", [1, 2]), "mean_RGB: expected three numbers"),
    "no size": (lambda folder: edit_conf(folder, "model", "image_size", "big"), "image_size: expected a number"),
    "another size": (lambda folder: edit_conf(folder, "model", "image_size", 41), "expected images of 41 by 41"),
    "no classes": (no_classes, "classes.txt: expected one class name per line"),
    "fewer classes": (one_class_less, "num_classes 3, dataset_files/classes.txt names 2"),
    "another network": (one_class_less_everywhere, r"probabilities of the 2 classes .* outputs \(3,\)"),
    "truncated": (
        lambda folder: truncate(folder / "ckpts" / "final_model.h5"),
        "expected a complete network saved by Keras",
    ),
    "not HDF5": (
        lambda folder: (folder / "ckpts" / "final_model.h5").write_text("<html>"),
        "complete network saved by Keras",
    ),
    "weights only": (weights_only, "found only weights"),
    "a link": (link_outside, "points elsewhere"),
    "huge": (claim_huge_weights, "claims 4,000,000,000,000 bytes"),
    "not a network": (
        lambda folder: edit_description(folder, lambda text: "[]"),
        "expected the configuration of a network",
    ),
    "unknown layer": (
        lambda folder: edit_description(folder, lambda text: text.replace('"SeparableConv2D"', '"Mine"')),
        "found Mine 'separable'",
    ),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_an_incomplete_model_is_refused_with_the_reason(workspace: Workspace, folder: Path, problem: str) -> None:
    spoil, reason = BROKEN[problem]
    spoil(folder)
    before = content_of(folder)
    with pytest.raises(ModelError, match=f"(?s){reason}") as caught:
        import_model(folder, workspace)
    assert caught.value.exit_status == 4
    assert content_of(folder) == before
    assert model_names(workspace) == [] and not (workspace.running / NAME).exists()


def test_a_network_of_fifty_gigabytes_is_not_copied(workspace: Workspace, folder: Path) -> None:
    os.truncate(folder / "ckpts" / "final_model.h5", 50 * 10**9)
    cost = cost_of(lambda: import_model(folder, workspace), ModelError)
    assert "ckpts/final_model.h5: found 50,000,000,000 bytes, expected at most 4,294,967,296" in cost.answer
    assert cost.size < 100_000_000


def test_a_list_that_is_too_long_is_not_copied(folder: Path, tmp_path: Path) -> None:
    os.truncate(folder / "dataset_files" / "train.txt", 50 * 10**9)
    trained = read_trained_folder(folder)
    assert "train" not in trained.counts and "train.txt: cannot be read" in " ".join(trained.warnings)
    _Import(folder, trained, NAME, tmp_path, tmp_path).write_dataset_files()
    assert not (tmp_path / "dataset_files" / "train.txt").exists()


def test_a_file_of_fifty_gigabytes_in_a_model_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").touch()
    os.truncate(tmp_path / "model" / "model.onnx", 50 * 10**9)
    with pytest.raises(ModelError, match=r"model\.onnx: expected a file of at most 4,294,967,296 bytes"):
        import_bundle(tmp_path / "model", tmp_path / "copy", tmp_path)


def test_all_problems_are_reported_together(workspace: Workspace, folder: Path) -> None:
    failed_training(folder)
    no_classes(folder)
    edit_conf(folder, "dataset", "mean_RGB", None)
    with pytest.raises(ModelError, match=r"(?s)no checkpoint.*classes\.txt.*mean_RGB"):
        import_model(folder, workspace)


def test_other_files_and_missing_paths_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with pytest.raises(ModelError, match="found a file that is not an archive"):
        import_model(tmp_path / "text", workspace)
    with pytest.raises(ModelError, match="found nothing"):
        import_model(tmp_path / "absent", workspace)


def test_an_archive_with_a_path_outside_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar.xz", "w:xz") as tar:
        tar.addfile(tarfile.TarInfo("../conf/conf.json"), io.BytesIO())
    with pytest.raises(ModelError, match="leads outside"):
        import_model(tmp_path / "bad.tar.xz", workspace)
