"""Export of a model to other formats, with an example program, checked to give the same predictions."""

import dataclasses
import logging
import os
import shutil
import uuid
from pathlib import Path

import numpy as np

from model import durable
from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.dataset.lists import write_classes
from model.errors import ConfigError, ModelError
from model.export import runtimes
from model.export.comparison_photos import find_photos
from model.export.model_files import PARITY_LIMIT
from model.export.runtimes import Run, Write
from model.export.usage_program import PROGRAM, usage_program
from model.networks.tensorflow_import import import_tensorflow
from model.serving.predictor import load_predictor
from model.shown import printable

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Form:
    """Export format: the name of its file or folder, and the functions that write and run it."""

    file: str
    write: Write
    run: Run


FORMS = {
    "onnx": Form(ONNX_MODEL, runtimes.write_onnx, runtimes.run_onnx),
    "saved_model": Form(runtimes.SAVED_MODEL, runtimes.write_saved_model, runtimes.run_saved_model),
    "litert": Form(runtimes.LITERT_MODEL, runtimes.write_litert, runtimes.run_litert),
    "keras": Form(KERAS_MODEL, runtimes.write_keras, runtimes.run_keras),
}


@dataclasses.dataclass(frozen=True)
class ExportedForm:
    """Result of an export.

    Attributes:
        directory: folder of the model, `classes.txt` and the example program.
        usage: source of the example program.
        program: file name of the example program.
        max_difference: largest difference of a probability from the served model.
        compared_on: description of the photos used for the comparison.
    """

    directory: Path
    usage: str
    program: str
    max_difference: float
    compared_on: str


def export_form(bundle: Bundle, name: str, directory: Path) -> ExportedForm:
    """Export a model to the format `name` (a key of `FORMS`) into the new folder `directory`, completely or not at all.

    Raises:
        ConfigError: the folder exists.
        ModelError: the model cannot be exported to this format, or a probability differs by 0.0001 or more.
    """
    if directory.exists():
        raise ConfigError(
            f"{directory}: expected a new folder, found an existing one. Remove it, or choose another with --output."
        )
    bundle.verify()
    if name != "onnx" and KERAS_MODEL not in bundle.manifest.files:
        raise ModelError(
            f"{bundle.name}: expected a model with {KERAS_MODEL} for the format {name}, found one of the network "
            f"{bundle.manifest.backbone}, which was added in ONNX. Use the format onnx."
        )
    if name != "onnx":
        import_tensorflow()
    form = FORMS[name]
    staging = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    staging.mkdir(parents=True)
    try:
        form.write(bundle, staging / form.file)
        photos = find_photos(bundle)
        images = photos.decode(bundle)
        difference = float(np.abs(form.run(staging / form.file, images) - _expected(bundle, name, images)).max())
        log.info("%s as %s agrees with the served model to %.1e on %s", bundle.name, name, difference, photos.origin)
        if not difference < PARITY_LIMIT:
            raise ModelError(
                f"{bundle.name}: expected {name} within {PARITY_LIMIT} of the served model on {photos.origin}, found a "
                f"difference of {difference:.2g}. Nothing was written. Use another format."
            )
        usage = usage_program(bundle.manifest, name, form.file)
        # A line break in a name would shift the names of all other classes.
        write_classes(staging, tuple(map(printable, bundle.manifest.classes)))
        durable.write_text(staging / PROGRAM, usage)
        os.rename(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return ExportedForm(directory, usage, PROGRAM, difference, photos.origin)


def _expected(bundle: Bundle, name: str, images: np.ndarray) -> np.ndarray:
    """Probabilities of the served model; for an int8 model, those of the float32 network it was made from."""
    if bundle.manifest.precision == "float32" or name == "onnx":
        return load_predictor(bundle).probabilities(images)
    return runtimes.run_keras(bundle.directory / KERAS_MODEL, images)
