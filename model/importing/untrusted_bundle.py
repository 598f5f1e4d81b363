"""A trained model of Topgraft that comes from elsewhere: every file is known, whole, and data.

The manifest says what each file must be; here it is seen that it lists all of them, that none but those a model has
are there, and that none can become code: not the networks, not the arrays, not the report in a browser.
"""

import math
import re
import zipfile
from pathlib import Path

import numpy as np

from model import bundle as bundles
from model import bundle_files
from model.bundle import ENGINES, Bundle, Manifest, open_bundle
from model.bundle_files import MLFLOW_RUN, BundleFile, find_bundle_file
from model.config import RESIZE_MODES
from model.errors import ModelError
from model.evaluation.report.render import SAFE_BEGINNING
from model.export.comparison_photos import draw_photos
from model.files.browsing import name_some
from model.importing.untrusted_graph import check_untrusted_graph
from model.importing.untrusted_network import check_untrusted_network
from model.serving.predictor import load_predictor
from model.serving.reference_features import read_training_features

_LEADS_ELSEWHERE = re.compile(rb"[/\\\\]|\.\.")
_LARGEST_IMAGE = 4096


def check_untrusted_bundle(directory: Path, work_directory: Path) -> Bundle:
    """Open a model that came as somebody's archive, when all of it is as it should be.

    A report that could run scripts in a browser is removed, and the bundle that is returned does not list it.

    Args:
        directory: holds manifest.json.
        work_directory: an existing folder for copies, which may be removed afterwards.

    Raises:
        ModelError, ModelDamagedError: something is missing, changed, unknown, or could be more than data.
    """
    bundle = open_bundle(directory)
    _check_names(bundle)
    bundle.verify()
    _check_manifest(bundle.manifest, directory.name)
    for name in bundle.manifest.files:
        _check_content(directory / name, find_bundle_file(name), work_directory)
    bundle = _without_unsafe_report(bundle)
    _check_answers(bundle)
    return bundle


def _check_names(bundle: Bundle) -> None:
    there = {path.relative_to(bundle.directory).as_posix() for path in bundle.directory.rglob("*") if path.is_file()}
    listed = set(bundle.manifest.files)
    unlisted = sorted(there - listed - {bundle_files.MANIFEST, MLFLOW_RUN})
    strange = sorted(name for name in listed if find_bundle_file(name) is None)
    if unlisted or strange:
        found = [f"{name_some(unlisted)} not in the manifest"] if unlisted else []
        found += [f"{name_some(strange)}, which a model does not have"] if strange else []
        raise ModelError(f"{bundle.name}: expected the files of a trained model, found {' and '.join(found)}.")


def _check_content(path: Path, row: BundleFile | None, work_directory: Path) -> None:
    """Check a file by the kind of its content; text and the report, which is checked on its own, are only data."""
    if row is None:
        raise AssertionError(f"{path}: the names of all files were checked before")
    if row.content == "onnx":
        check_untrusted_graph(path)
    elif row.content == "keras":
        check_untrusted_network(path, work_directory)
    elif row.content == "arrays":
        _check_arrays(path)
    elif row.content == "tensorboard settings":
        _check_settings_of_tensorboard(path)


def _check_manifest(manifest: Manifest, name: str) -> None:
    problems = []
    classes = manifest.classes
    if not classes or len(set(classes)) != len(classes) or not all(isinstance(one, str) and one for one in classes):
        problems.append("classes: expected different names")
    if not isinstance(manifest.image_size, int) or not 1 <= manifest.image_size <= _LARGEST_IMAGE:
        problems.append(f"image_size: expected 1 to {_LARGEST_IMAGE}, received {manifest.image_size!r}")
    if manifest.resize not in RESIZE_MODES or manifest.engine not in ENGINES:
        problems.append(f"resize, engine: unknown values {manifest.resize!r}, {manifest.engine!r}")
    if not isinstance(manifest.temperature, (int, float)) or not 0 < manifest.temperature < math.inf:
        problems.append(f"temperature: expected a number above 0, received {manifest.temperature!r}")
    for field in ("name", "created", "backbone", "scaling"):
        if not isinstance(getattr(manifest, field), str):
            problems.append(f"{field}: expected a text")
    for field in ("versions", "train_config", "dataset", "metrics", "thresholds", "parity"):
        if not isinstance(getattr(manifest, field), dict):
            problems.append(f"{field}: expected an object")
    engine_file = bundle_files.ONNX_MODEL if manifest.engine == "onnx" else bundle_files.KERAS_MODEL
    if engine_file not in manifest.files:
        problems.append(f"files: expected {engine_file}, which serves it")
    if problems:
        raise ModelError(f"{name}: {bundle_files.MANIFEST} cannot be used: {'; '.join(problems)}.")


def _check_arrays(path: Path) -> None:
    """Arrays of numbers only: anything else in such a file is a pickle, which is code."""
    try:
        if path.name == bundle_files.TRAINING_FEATURES:
            read_training_features(path.read_bytes())
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                arrays[name]
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"{path.name}: expected arrays of numbers, received: {error}. It is not imported.") from error


def _check_settings_of_tensorboard(path: Path) -> None:
    """They name files, which TensorBoard hands out: only such beside them."""
    if _LEADS_ELSEWHERE.search(path.read_bytes()):
        raise ModelError(f"{path.name}: expected names of files beside it, found a path that leads elsewhere.")


def _without_unsafe_report(bundle: Bundle) -> Bundle:
    """Our reports begin with a policy that lets no script run, whatever follows it."""
    report = bundle.directory / bundle_files.REPORT
    if bundle_files.REPORT not in bundle.manifest.files or report.read_bytes().startswith(SAFE_BEGINNING.encode()):
        return bundle
    report.unlink()
    return Bundle(bundle.directory, bundles.write_manifest(bundle.directory, bundle.manifest))


def _check_answers(bundle: Bundle) -> None:
    predictor = load_predictor(bundle)
    photos = draw_photos(2)
    try:
        answers = predictor.probabilities(np.stack([predictor.decode(photo) for photo in photos]))
    # ONNX Runtime and Keras raise classes of their own for a graph of other shapes.
    except Exception as error:
        raise ModelError(f"{bundle.name}: expected a model that answers, received: {error}") from error
    expected = (len(photos), len(bundle.manifest.classes))
    if answers.shape != expected or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise ModelError(f"{bundle.name}: expected probabilities {expected}, received {answers.shape}: {answers[:1]}")
