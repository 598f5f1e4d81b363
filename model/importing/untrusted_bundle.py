"""Checks of a Topgraft model from an untrusted source: every file is known, complete and only data.

The manifest must list every file, and only files that a model may have. None of them may become code: neither the
networks, nor the arrays, nor the report in a browser.
"""

import re
import time
from pathlib import Path

import numpy as np

from model import bundle as bundles
from model import bundle_files, durable
from model.bundle import ENGINES, Bundle, Manifest, open_bundle
from model.bundle_files import UNLISTED, BundleFile, find_bundle_file
from model.config import RESIZE_MODES
from model.creation import is_in_future, parse_time
from model.errors import ModelError
from model.evaluation.report.policy import made_safe
from model.export.comparison_photos import draw_photos
from model.files.arrays import read_arrays
from model.files.browsing import name_some
from model.importing.untrusted_keras import check_untrusted_network
from model.importing.untrusted_onnx import check_untrusted_graph
from model.reading import UnreadableError, read_regular, with_path, without_number
from model.received import quoted
from model.serving.predictor import load_predictor
from model.serving.reference_features import MAX_ARRAY_BYTES, read_reference_features

MAX_PHOTO_SECONDS = 10.0
"""Maximum processor time of one photo, after a first one."""

_MAX_SETTINGS_BYTES = 1 << 20
_MAX_REPORT_BYTES = 1 << 26
_LEADS_ELSEWHERE = re.compile(rb"[/\\\\]|\.\.")


def check_untrusted_bundle(directory: Path, work_directory: Path) -> Bundle:
    """Open and check a model from an untrusted source.

    A report that could run scripts in a browser is removed; the returned bundle does not list it.

    Args:
        directory: folder with manifest.json.
        work_directory: existing folder for temporary copies.

    Raises:
        ModelError, ModelDamagedError: files are missing, changed or unknown, or could be more than data.
    """
    bundle = open_bundle(directory)
    _check_names(bundle)
    bundle.verify()
    _check_manifest(bundle.manifest, directory.name)
    for name in bundle.manifest.files:
        _check_content(directory / name, find_bundle_file(name), work_directory, bundle.manifest.image_size)
    bundle = _without_unsafe_report(bundle)
    _check_predictions(bundle)
    return bundle


def _check_names(bundle: Bundle) -> None:
    present = {path.relative_to(bundle.directory).as_posix() for path in bundle.directory.rglob("*") if path.is_file()}
    listed = set(bundle.manifest.files)
    unlisted = sorted(present - listed - UNLISTED)
    strange = sorted(name for name in listed if find_bundle_file(name) is None)
    if unlisted or strange:
        found = [f"{name_some(unlisted)} not in the manifest"] if unlisted else []
        found += [f"{name_some(strange)}, which no model has"] if strange else []
        raise ModelError(f"{bundle.name}: expected the files of a trained model, found {' and '.join(found)}.")


def _check_content(path: Path, row: BundleFile | None, work_directory: Path, image_size: int) -> None:
    """Check a file by the kind of its content; text needs no check, and the report is checked separately."""
    if row is None:
        raise AssertionError(f"{path}: the names of all files were checked before")
    if row.content == "onnx":
        check_untrusted_graph(path, image_size)
    elif row.content == "keras":
        check_untrusted_network(path, work_directory)
    elif row.content == "arrays":
        _check_arrays(path)
    elif row.content == "tensorboard settings":
        _check_settings_of_tensorboard(path)


def _check_manifest(manifest: Manifest, name: str) -> None:
    """Check what an imported manifest needs beyond types and ranges, which `open_bundle` has checked."""
    problems = []
    if manifest.resize not in RESIZE_MODES or manifest.engine not in ENGINES:
        problems.append(f"resize, engine: unknown values {manifest.resize!r}, {manifest.engine!r}")
    try:
        if is_in_future(parse_time(manifest.created)):
            problems.append(f"created: expected a time in the past, received {quoted(manifest.created)}")
    except UnreadableError as error:
        problems.append(f"created: {error}")
    engine_file = bundle_files.served_network(manifest.engine)
    if engine_file not in manifest.files:
        problems.append(f"files: expected {engine_file}, the served network")
    if problems:
        raise ModelError(f"{name}: {bundle_files.MANIFEST} cannot be used: {'; '.join(problems)}.")


def _check_arrays(path: Path) -> None:
    """Check that a file holds arrays of numbers only: anything else in it is a pickle, which is code."""
    try:
        content = read_regular(path, MAX_ARRAY_BYTES)
        if path.name == bundle_files.TRAINING_FEATURES:
            read_reference_features(content)
        else:
            read_arrays(content, MAX_ARRAY_BYTES)
    except ValueError as error:
        raise ModelError(f"{path.name}: expected arrays of numbers, received: {error}. It is not imported.") from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        return read_regular(path, max_bytes)
    except (OSError, UnreadableError) as error:
        raise ModelError(f"{path.name}: {without_number(error)}. It is not imported.") from error


def _check_settings_of_tensorboard(path: Path) -> None:
    """Check that TensorBoard, which serves the files named in these settings, finds them in the same folder."""
    if _LEADS_ELSEWHERE.search(_read(path, _MAX_SETTINGS_BYTES)):
        raise ModelError(f"{path.name}: expected names of files in the same folder, found a path to another one.")


def _without_unsafe_report(bundle: Bundle) -> Bundle:
    """Remove a report without the policy of Topgraft's reports; let one of another version run no script of its own."""
    if bundle_files.REPORT not in bundle.manifest.files:
        return bundle
    report = bundle.directory / bundle_files.REPORT
    content = _read(report, _MAX_REPORT_BYTES)
    safe = made_safe(content)
    if safe == content:
        return bundle
    if safe is None:
        report.unlink()
    else:
        durable.write_bytes(report, safe)
    return Bundle(bundle.directory, bundles.write_manifest(bundle.directory, bundle.manifest))


def _check_predictions(bundle: Bundle) -> None:
    predictor = load_predictor(bundle)
    photos = draw_photos(2)
    try:
        # The first call also prepares the network.
        first, second = (predictor.decode(photo)[None] for photo in photos)
        warm = predictor.probabilities(first)
        start = time.process_time()
        answers = np.concatenate([warm, predictor.probabilities(second)])
        seconds = time.process_time() - start
    # ONNX Runtime and Keras raise classes of their own for a graph of other shapes.
    except Exception as error:
        raise ModelError(f"{bundle.name}: expected a model that can predict, received: {with_path(error)}") from error
    if seconds > MAX_PHOTO_SECONDS:
        raise ModelError(
            f"{bundle.name}: expected a model that takes at most {MAX_PHOTO_SECONDS:g} s of a processor for one photo, "
            f"received one that takes {seconds:.0f} s. It is not imported: each prediction would take as long."
        )
    _check_probabilities(bundle, answers)


def _check_probabilities(bundle: Bundle, answers: np.ndarray) -> None:
    expected = (2, len(bundle.manifest.classes))
    if answers.shape != expected or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise ModelError(f"{bundle.name}: expected probabilities {expected}, received {answers.shape}: {answers[:1]}")
