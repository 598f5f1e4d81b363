"""Loading a Keras network that a stranger has saved: it is data, and never becomes code.

Keras builds whatever the file's description names, which can be Python code (Lambda), a file of this
machine or another framework's pickle. Hence the description is read and checked before Keras sees
it: each object in it must be in the tables below. What Keras is given is a copy that holds nothing
but the checked description and the weights. The optimizer and other training state stay behind.

Files of Keras 2 describe some layers in ways that Keras 3 refuses; the copy is brought up to date.
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
# Layers that networks of Keras itself bring along, and where it has them: nothing but arithmetic.
_BROUGHT_ALONG = {
    _SCALE_LAYER: "inception_resnet_v2",
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
}

# Arguments of Keras 2 that say nothing: its separable convolutions have one group and no kernel as such.
_EMPTY_ARGUMENTS = {
    "DepthwiseConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}

_KERAS_FILES = ("config.json", "metadata.json", "model.weights.h5")
_DEEPEST = 200


def load_untrusted_network(checkpoint: Path, work_directory: Path) -> keras.Model:
    """Load a network from an .h5 or .keras file, without compiling it.

    Args:
        checkpoint: the file; it is only read.
        work_directory: an existing folder for the copy, which may be removed afterwards.

    Raises:
        ModelError: the file is damaged, or describes something that is not a plain layer of Keras.
    """
    with _damage_explained(checkpoint):
        safe = _copy(checkpoint, work_directory)
        return keras.models.load_model(safe, custom_objects=_brought_along(), compile=False, safe_mode=True)


def check_untrusted_network(checkpoint: Path, work_directory: Path) -> None:
    """See that a network could be loaded by `load_untrusted_network`, without loading it.

    Raises:
        ModelError: as there.
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
        # With a number it comes from the operating system: the disk is full, say.
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
        f"{checkpoint}: expected a network saved by Keras, whole, received: {reason[-1][:300]}. "
        "Fetch the file again, or save it anew from the environment it was trained in"
    )


def _copy_h5(checkpoint: Path, work_directory: Path) -> Path:
    copy = work_directory / "network.h5"
    copyfile(checkpoint, copy)
    with h5py.File(copy, "r+") as file:
        _refuse_unsafe_data(file, checkpoint)
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(
                f"{checkpoint}: expected a whole network, found weights at most. Save it by model.save(), not "
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
            f"{checkpoint}: Keras {version} has written it, in a way that Keras 3 cannot read. "
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
        raise ModelError(f"{checkpoint}: expected the description of a network, received {str(description)[:100]!r}")
    # How it was compiled names optimizers and losses, custom ones among them; none of that is loaded.
    description.pop("compile_config", None)
    _bring_up_to_date(description)
    refused = sorted({_name(item) for item in _objects(description) if not _is_known(item)})
    if refused:
        raise ModelError(
            f"{checkpoint}: expected a network of layers that Keras has built in, found {name_some(refused)}. Such "
            "layers can run any code, so they are not loaded. Replace them by built-in ones, and save the network anew"
        )
    return description


def _name(item: Mapping[str, Any]) -> str:
    settings = item.get("config")
    name = settings.get("name") if isinstance(settings, dict) else settings
    shown = f"{item['class_name']} {str(name)[:60]!r}" if name else str(item["class_name"])
    return shown if item.get("module") in (None, "keras", "keras.layers") else f"{shown} of {item['module']}"


def _objects(value: Any, depth: int = 0) -> Iterator[Description]:
    """All that Keras would make an object of, from the outside in."""
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
    if name in _BROUGHT_ALONG:
        return module in (None, f"{_APPLICATIONS}.{_BROUGHT_ALONG[name]}")
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


def _bring_up_to_date(description: Description) -> None:
    """Change a description by Keras 2 so that Keras 3 takes it, without a change of what it computes."""
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
    """Replace each text inside a JSON value, in place where it can hold others; return what became of it."""
    if isinstance(value, dict):
        value.update({key: _replace_text(item, replace) for key, item in value.items()})
    elif isinstance(value, list):
        value[:] = [_replace_text(item, replace) for item in value]
    return replace(value) if isinstance(value, str) else value


def _refuse_unsafe_data(group: h5py.Group, checkpoint: Path) -> None:
    """An HDF5 file can point to other files of this machine, or claim arrays of any size: refuse such a one."""
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


def _brought_along() -> dict[str, type[keras.layers.Layer]]:
    """These layers by their names; files of Keras 2 name the first without saying where it is."""
    return {
        name: getattr(importlib.import_module(f"{_APPLICATIONS}.{module}"), name)
        for name, module in _BROUGHT_ALONG.items()
    }
