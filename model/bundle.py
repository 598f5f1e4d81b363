"""Trained model on disk: a folder with a manifest that lists every file with its checksum."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import durable
from model.bundle_files import MANIFEST, UNLISTED
from model.errors import ModelDamagedError
from model.files.checksums import file_sha256
from model.intensity import FULL, Intensity, read_intensity
from model.manifest_migration import FORMAT_VERSION, read_manifest
from model.measurements import (
    MeasuredAccuracy,
    Measurement,
    leading_accuracy,
    leading_measurement,
    leading_summary,
    measured_accuracies,
)
from model.reading import UnreadableError, describe, read_regular
from model.received import listed
from model.results import InputSpec

_MAX_DAMAGES = 20
_MAX_UNLISTED_BYTES = 1024**3

# Held-out features are whole numbers of 1 / FEATURE_SCALE: the last digits of a feature depend on the batch size.
FEATURE_SCALE = 10_000
ENGINES = ("onnx", "keras")


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """Record of a file: sha256 in hexadecimal, and size in bytes."""

    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Manifest: everything that prediction needs to know about the training.

    Attributes:
        created: start of the training, ISO 8601 in UTC.
        versions: versions of topgraft and of the main libraries.
        classes: names in label order.
        image_size: height and width of the input of the network, in pixels.
        resize: resize mode (`TrainConfig.resize`).
        scaling: scaling of pixels inside the network (`Backbone.scaling`).
        train_config: all options of the training.
        dataset: path, fingerprint, counts per split and class, number of rejected images.
        metrics: split -> name -> value.
        temperature: divisor of the logits before softmax; 1 means not calibrated.
        thresholds: `distance`: images farther than this from the training images are marked unknown, if the model has
            reference features; `confidence`: other predictions below are marked uncertain; `confidence_by_class`: class
            name -> the same for predictions of this class, if it has enough images. A missing threshold is not
            applied. `unknown` and `uncertain` describe how the thresholds were fitted, or why one is `off`
            (`model.evaluation.marks.fit_thresholds`); a model of an older version has neither.
        engine: `onnx`, or `keras` if the ONNX export failed its parity check.
        parity: largest difference of a probability between the two engines, and the number of images compared; for an
            int8 network, its validation accuracy and that of the float32 network.
        files: path inside the bundle -> record.
        precision: precision of the network in model.onnx: `float32` or `int8` (`TrainConfig.precision`).
        intensity: range of photos with more than 8 bits per channel, found on the training photos or given by the
            option `intensity`; or `full`.
    """

    name: str
    created: str
    versions: dict[str, str]
    classes: tuple[str, ...]
    backbone: str
    image_size: int
    resize: str
    scaling: str
    train_config: dict[str, Any]
    dataset: dict[str, Any]
    metrics: dict[str, Any]
    temperature: float
    thresholds: dict[str, Any]
    engine: str
    parity: dict[str, float]
    files: dict[str, FileRecord]
    format_version: int = FORMAT_VERSION
    precision: str = "float32"
    intensity: Intensity = FULL

    @property
    def input_spec(self) -> InputSpec:
        """Input of the network: size, resize mode and intensity range."""
        return InputSpec.square(self.image_size, self.resize, self.intensity)

    @property
    def accuracy(self) -> MeasuredAccuracy | None:
        """Accuracy of the evaluation that says most about new images; None if it was not measured."""
        return leading_accuracy(self.metrics, self._folds)

    @property
    def accuracies(self) -> dict[Measurement, MeasuredAccuracy]:
        """Accuracy of each evaluation that has one."""
        return measured_accuracies(self.metrics, self._folds)

    @property
    def leading_measurement(self) -> Measurement | None:
        """The evaluation that says most about new images; None without one."""
        return leading_measurement(self.metrics, self._folds)

    @property
    def leading_metrics(self) -> dict[str, Any]:
        """All metrics of the `leading_measurement`; empty without one."""
        return {} if self.leading_measurement is None else self.metrics[self.leading_measurement]

    @property
    def leading_summary(self) -> dict[str, Any]:
        """Accuracy and macro-F1 of the `leading_measurement`: `model.measurements.leading_summary`."""
        return leading_summary(self.metrics, self._folds)

    @property
    def _folds(self) -> int:
        return int(self.dataset.get("folds") or 0)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Trained model: its folder and its manifest."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name of the model, which is that of its folder."""
        return self.directory.name

    @property
    def size(self) -> int:
        """Bytes of all files that the manifest lists."""
        return sum(record.size for record in self.manifest.files.values())

    @property
    def manifest_sha256(self) -> str:
        """Checksum of the manifest file, and by its records of all files."""
        return file_sha256(self.directory / MANIFEST)

    def verify(self) -> None:
        """Read every file and compare it with the manifest.

        Raises:
            ModelDamagedError: files are missing or have changed; the message lists all of them.
        """
        self._verify(self.manifest.files)

    def verify_file(self, name: str) -> None:
        """Read one file and compare it with the manifest; a file that is not listed there passes.

        Raises:
            ModelDamagedError: the file is missing or has changed.
        """
        self._verify({listed: record for listed, record in self.manifest.files.items() if listed == name})

    def read_file(self, name: str) -> bytes:
        """Read one file and return its content, compared with the manifest.

        Raises:
            ModelDamagedError: the file is missing or has changed.
        """
        record = self.manifest.files.get(name)
        try:
            content = read_regular(self.directory / name, record.size if record else _MAX_UNLISTED_BYTES)
        except (OSError, UnreadableError) as error:
            problem = f"it cannot be read: {describe(error)}"
            raise ModelDamagedError(_damage(self.directory, {name: problem})) from error
        if record is not None and hashlib.sha256(content).hexdigest() != record.sha256:
            raise ModelDamagedError(_damage(self.directory, {name: "its content has changed (sha256)"}))
        return content

    def _verify(self, files: Mapping[str, FileRecord]) -> None:
        problems = _missing_or_resized(self.directory, files)
        for name, record in files.items():
            if name not in problems and file_record(self.directory / name).sha256 != record.sha256:
                problems[name] = "its content has changed (sha256)"
        if problems:
            raise ModelDamagedError(_damage(self.directory, problems))


def open_bundle(directory: Path) -> Bundle:
    """Read the manifest of the model in `directory`, and check that its files exist with the right sizes.

    Raises:
        ModelDamagedError: files are missing or have another size, or the format version is too new.
    """
    path = directory / MANIFEST
    try:
        content = read_manifest(path)
        files = {name: FileRecord(**record) for name, record in content.pop("files").items()}
        intensity = read_intensity(content["intensity"])
        manifest = Manifest(**content | {"classes": tuple(content["classes"]), "files": files, "intensity": intensity})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamagedError(
            f"{path}: expected the manifest of a trained model, received: {describe(error)}. Train or "
            "download the model again."
        ) from error
    problems = _missing_or_resized(directory, files)
    if problems:
        raise ModelDamagedError(_damage(directory, problems))
    return Bundle(directory, manifest)


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` with the records of all files in `directory`; return the written manifest.

    The files in `UNLISTED` have no record.
    """
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    records = {name: file_record(directory / name) for name in names if name not in UNLISTED}
    written = dataclasses.replace(manifest, files=records)
    durable.write_json(directory / MANIFEST, dataclasses.asdict(written))
    return written


def file_record(path: Path) -> FileRecord:
    """Record of a file."""
    return FileRecord(file_sha256(path), path.stat().st_size)


def _missing_or_resized(directory: Path, files: Mapping[str, FileRecord]) -> dict[str, str]:
    problems = {}
    for name, record in files.items():
        path = directory / name
        # Not the method of a path, which raises an error for a name that is too long.
        if not os.path.isfile(path):
            problems[name] = "it is missing"
        elif path.stat().st_size != record.size:
            problems[name] = f"expected {record.size} bytes, found {path.stat().st_size}"
    return problems


def _damage(directory: Path, problems: dict[str, str]) -> str:
    found = listed([f"{name}: {problem}" for name, problem in problems.items()], "; ", _MAX_DAMAGES)
    return f"the model {directory.name} in {directory} is damaged: {found}. Train or download it again, or remove it."


def version_of(created: str, files: Mapping[str, str]) -> str:
    """Identifier of the version of a model; it changes when any of its files changes.

    Args:
        created: creation time in the manifest.
        files: path -> sha256 in the manifest.
    """
    return hashlib.sha256(json.dumps([created, sorted(files.items())]).encode()).hexdigest()[:16]
