"""Loading a Keras network from an untrusted source as data, never as code.

Keras builds whatever the configuration in the file names, which can be Python code (Lambda), a file of this
machine or a pickle of another framework. So the configuration is checked before Keras reads it: each object
in it must be in the tables below. Keras then loads a copy that contains only the checked configuration and
the weights, without the optimizer and other training state.

Keras 2 writes some layers in ways that Keras 3 refuses; the copy is converted.
"""

import contextlib
import importlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

import h5py
import keras

from model.errors import ArchiveError, ModelError
from model.files.archive_limits import DATASET_LIMITS
from model.files.archives import unpack_archive
from model.files.browsing import name_some

Description = dict[str, Any]

_LAYERS = frozenset(
    {"Functional", "Model", "Sequential", "InputLayer", "Dense", "Flatten", "Reshape", "Permute"}
    | {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D"}
    | {"MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"}
    | {"BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "Rescaling"}
    | {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
    | {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"}
    | {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"}
)
_SMALL_PARTS = ("initializers", "regularizers", "constraints")
_DATA = frozenset({"DTypePolicy", "Policy", "__keras_tensor__", "__tuple__", "__tensor__", "__numpy__"})
_OPERATIONS = frozenset({"Add", "Subtract", "Multiply", "TrueDivide", "Divide"})
_APPLICATIONS = "keras.src.applications"
_SCALE_LAYER = "CustomScaleLayer"
# Layers defined by networks of keras.applications, and their modules: arithmetic only.
_APPLICATION_LAYERS = {
    _SCALE_LAYER: "inception_resnet_v2",
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
}

# Arguments of Keras 2 without effect: its separable convolutions have one group and no kernel as such.
_EMPTY_ARGUMENTS = {
    "DepthwiseConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}

_KERAS_FILES = ("config.json", "metadata.json", "model.weights.h5")
_DEEPEST = 200


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
        _refuse_unsafe_data(file, checkpoint)
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(
                f"{checkpoint}: expected a complete network, found only weights. Save it with model.save(), not "
                "save_weights()"
            )
        description = _parse(text, checkpoint)
        file.attrs["model_config"] = json.dumps(description)
        for name in ("training_config", "optimizer_weights"):
            if name in file.attrs:
                del file.attrs[name]
            if name in file:
                del file[name]
    return copy


def _copy_keras(checkpoint: Path, work_directory: Path) -> Path:
    parts = work_directory / "parts"
    try:
        unpack_archive(checkpoint, parts, DATASET_LIMITS)
    except ArchiveError as error:
        raise ModelError(f"{checkpoint}: expected a network saved by Keras, received: {error.message}") from error
    found = sorted(path.relative_to(parts).as_posix() for path in parts.rglob("*") if path.is_file())
    if found != sorted(_KERAS_FILES):
        raise ModelError(f"{checkpoint}: expected {', '.join(_KERAS_FILES)} in it, found {', '.join(found)}")
    version = str(json.loads((parts / "metadata.json").read_text(encoding="utf-8")).get("keras_version", ""))
    if version.startswith("2."):
        raise ModelError(
            f"{checkpoint}: it was written by Keras {version} in a form that Keras 3 cannot read. "
            "Save it as .h5 in the environment it was trained in: model.save('final_model.h5')"
        )
    description = _parse((parts / "config.json").read_text(encoding="utf-8"), checkpoint)
    description["compile_config"] = None
    with h5py.File(parts / "model.weights.h5", "r") as file:
        _refuse_unsafe_data(file, checkpoint)
    copy = work_directory / "network.keras"
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr("config.json", json.dumps(description))
        for name in ("metadata.json", "model.weights.h5"):
            archive.write(parts / name, name)
    return copy


def _parse(text: str | bytes, checkpoint: Path) -> Description:
    description = json.loads(text)
    if not isinstance(description, dict):
        raise ModelError(f"{checkpoint}: expected the configuration of a network, received {str(description)[:100]!r}")
    # The compile configuration names optimizers and losses, possibly custom ones; it is not loaded.
    description.pop("compile_config", None)
    _convert_from_keras_2(description)
    refused = sorted({_name(item) for item in _objects(description) if not _is_known(item)})
    if refused:
        raise ModelError(
            f"{checkpoint}: expected a network of built-in Keras layers, found {name_some(refused)}. Such layers "
            "can run any code, so they are not loaded. Replace them with built-in layers, and save the network again"
        )
    return description


def _name(item: Mapping[str, Any]) -> str:
    settings = item.get("config")
    name = settings.get("name") if isinstance(settings, dict) else settings
    shown = f"{item['class_name']} {str(name)[:60]!r}" if name else str(item["class_name"])
    return shown if item.get("module") in (None, "keras", "keras.layers") else f"{shown} of {item['module']}"


def _objects(value: Any, depth: int = 0) -> Iterator[Description]:
    """Objects that Keras would create from a configuration, the outermost first."""
    if depth > _DEEPEST:
        raise ValueError("its description is nested too deep")
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item, depth + 1)


def _is_known(item: Mapping[str, Any]) -> bool:
    name, module = item["class_name"], item.get("module")
    if not isinstance(name, str) or item.get("registered_name") not in (None, name):
        return False
    if name in _APPLICATION_LAYERS:
        return module in (None, f"{_APPLICATIONS}.{_APPLICATION_LAYERS[name]}")
    if module == "keras.src.ops.numpy":
        return name in _OPERATIONS
    if name == "function":
        function = item.get("config")
        return module == "builtins" and isinstance(function, str) and hasattr(keras.activations, function)
    if name in _LAYERS:
        return module in (None, "keras", "keras.layers", "keras.models") or str(module).startswith("keras.src.models.")
    if name in _DATA:
        return module in (None, "keras")
    return any(
        module in (None, f"keras.{part}") and isinstance(getattr(getattr(keras, part), name, None), type)
        for part in _SMALL_PARTS
    )


def _convert_from_keras_2(description: Description) -> None:
    """Convert a configuration written by Keras 2 in place for Keras 3, without changing the computation."""
    renamed: dict[str, str] = {}
    for item in _objects(description):
        if item["class_name"] == f"Custom>{_SCALE_LAYER}":
            item["class_name"] = _SCALE_LAYER
        settings = item.get("config")
        if not isinstance(settings, dict):
            continue
        if settings.get("groups", 1) == 1 and isinstance(item["class_name"], str):
            for argument in _EMPTY_ARGUMENTS.get(item["class_name"], ()):
                settings.pop(argument, None)
        name = settings.get("name")
        if isinstance(name, str) and "/" in name:
            renamed[name] = name.replace("/", "__")
    if renamed:
        _replace_text(description, lambda text: renamed.get(text, text))


def _replace_text(value: Any, replace: Callable[[str], str]) -> Any:
    """Replace each string inside a JSON value, in place in objects and arrays; return the new value."""
    if isinstance(value, dict):
        value.update({key: _replace_text(item, replace) for key, item in value.items()})
    elif isinstance(value, list):
        value[:] = [_replace_text(item, replace) for item in value]
    return replace(value) if isinstance(value, str) else value


def _refuse_unsafe_data(group: h5py.Group, checkpoint: Path) -> None:
    """Refuse an HDF5 file that refers to other files, or declares arrays much larger than the file."""
    largest = checkpoint.stat().st_size * DATASET_LIMITS.ratio
    for name in group:
        link = group.get(name, getlink=True)
        item = group[name] if isinstance(link, h5py.HardLink) else None
        if item is None or (isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)):
            raise ModelError(f"{checkpoint}: expected all weights in the file itself, {name!r} points elsewhere")
        if isinstance(item, h5py.Dataset) and item.nbytes > largest:
            raise ModelError(
                f"{checkpoint}: expected weights of the file's size, {name!r} claims {item.nbytes:,} bytes"
            )
        if isinstance(item, h5py.Group):
            _refuse_unsafe_data(item, checkpoint)


def _application_layers() -> dict[str, type[keras.layers.Layer]]:
    """Layers of keras.applications by name; Keras 2 writes the first one without its module."""
    return {
        name: getattr(importlib.import_module(f"{_APPLICATIONS}.{module}"), name)
        for name, module in _APPLICATION_LAYERS.items()
    }
