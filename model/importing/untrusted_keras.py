"""Loading a Keras network from an untrusted source as data, never as code.

The configuration and the weights are checked before Keras, which would build whatever they claim, is imported. Keras
then loads a copy that contains only the checked configuration and the weights, without the optimizer and other
training state. Keras 2 writes some layers in ways that Keras 3 refuses; the copy is converted.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import h5py

from model.errors import ArchiveError, ModelError
from model.files.archive_limits import ArchiveLimits
from model.files.archives import unpack_archive
from model.files.browsing import name_some
from model.files.zip_members import open_zip
from model.importing.hdf5_weights import check_weights
from model.importing.keras_configuration import (
    APPLICATION_LAYERS,
    APPLICATIONS,
    MAX_CONFIGURATION_BYTES,
    read_configuration,
)
from model.reading import read_json, read_regular

if TYPE_CHECKING:
    import keras

_KERAS_FILES = ("config.json", "metadata.json", "model.weights.h5")
_MAX_METADATA_BYTES = 1024**2
# Keras does not compress; some networks are packed again.
_LIMITS = ArchiveLimits(entries=10, total_bytes=16 * 1024**3, entry_bytes=16 * 1024**3, ratio=20.0)


def load_untrusted_network(checkpoint: Path, work_directory: Path) -> keras.Model:
    """Load a network from an .h5 or .keras file, without compiling it.

    Args:
        checkpoint: file of the network; it is only read.
        work_directory: existing folder for a temporary copy.

    Raises:
        ModelError: the file is damaged, or contains something that is not a built-in layer of Keras.
    """
    with _damage_explained(checkpoint):
        safe = _copy(checkpoint, work_directory)
        # Loaded late: most hostile files are refused before, without TensorFlow.
        import keras

        return keras.models.load_model(safe, custom_objects=_application_layers(), compile=False, safe_mode=True)


def check_untrusted_network(checkpoint: Path, work_directory: Path) -> None:
    """Check that `load_untrusted_network` would accept a network, without loading it.

    Raises:
        ModelError: as `load_untrusted_network`.
    """
    with _damage_explained(checkpoint):
        _copy(checkpoint, work_directory)


def _copy(checkpoint: Path, work_directory: Path) -> Path:
    copy = _copy_keras if checkpoint.suffix == ".keras" else _copy_h5
    return copy(checkpoint, work_directory)


@contextlib.contextmanager
def _damage_explained(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except OSError as error:
        # With an errno the error is one of the operating system, such as a full disk.
        if error.errno is not None:
            raise
        raise _damaged(checkpoint, error) from error
    # A damaged file makes h5py and Keras raise anything: RuntimeError, KeyError, TypeError, ValueError ...
    except Exception as error:
        raise _damaged(checkpoint, error) from error


def _damaged(checkpoint: Path, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    # Keras puts the cause last, after pages of configuration.
    return ModelError(
        f"{checkpoint}: expected a complete network saved by Keras, received: {reason[-1][:300]}. "
        "Download the file again, or save it again in the environment it was trained in"
    )


def _copy_h5(checkpoint: Path, work_directory: Path) -> Path:
    copy = work_directory / "network.h5"
    copyfile(checkpoint, copy)
    with h5py.File(copy, "r+") as file:
        weights = check_weights(file, checkpoint, checkpoint.stat().st_size)
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(
                f"{checkpoint}: expected a complete network, found only weights. Save it with model.save(), not "
                "save_weights()"
            )
        description = read_configuration(text, checkpoint, weights)
        file.attrs["model_config"] = json.dumps(description)
        for name in ("training_config", "optimizer_weights"):
            if name in file.attrs:
                del file.attrs[name]
            if name in file:
                del file[name]
    return copy


def _copy_keras(checkpoint: Path, work_directory: Path) -> Path:
    parts = work_directory / "parts"
    _check_entries(checkpoint)
    try:
        unpack_archive(checkpoint, parts, _LIMITS)
    except ArchiveError as error:
        raise ModelError(f"{checkpoint}: expected a network saved by Keras, received: {error.message}") from error
    metadata = read_json(parts / "metadata.json", _MAX_METADATA_BYTES)
    version = str(metadata.get("keras_version", ""))[:100]
    if version.startswith("2."):
        raise ModelError(
            f"{checkpoint}: it was written by Keras {version} in a form that Keras 3 cannot read. "
            "Save it as .h5 in the environment it was trained in: model.save('final_model.h5')"
        )
    stored = parts / "model.weights.h5"
    with h5py.File(stored, "r") as file:
        weights = check_weights(file, checkpoint, stored.stat().st_size)
    text = read_regular(parts / "config.json", MAX_CONFIGURATION_BYTES)
    description = read_configuration(text, checkpoint, weights) | {"compile_config": None}
    copy = work_directory / "network.keras"
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr("config.json", json.dumps(description))
        for name in ("metadata.json", "model.weights.h5"):
            archive.write(parts / name, name)
    return copy


def _check_entries(checkpoint: Path) -> None:
    """Refuse a .keras file by its list of entries, before anything is unpacked."""
    with open(checkpoint, "rb") as stream, open_zip(stream, str(checkpoint), _LIMITS) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sorted(entry.filename for entry in archive.infolist()) != sorted(_KERAS_FILES):
            raise ModelError(
                f"{checkpoint}: expected {', '.join(_KERAS_FILES)} in it, found {name_some(sorted(sizes))}"
            )
    for name, limit in (("config.json", MAX_CONFIGURATION_BYTES), ("metadata.json", _MAX_METADATA_BYTES)):
        if sizes[name] > limit:
            raise ModelError(f"{checkpoint}: expected {name} of at most {limit:,} bytes, found {sizes[name]:,}")


def _application_layers() -> dict[str, type[keras.layers.Layer]]:
    """Layers of keras.applications by name; Keras 2 writes the first one without its module."""
    return {
        name: getattr(importlib.import_module(f"{APPLICATIONS}.{module}"), name)
        for name, module in APPLICATION_LAYERS.items()
    }
