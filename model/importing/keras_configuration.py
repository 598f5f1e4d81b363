"""Configuration of a Keras network from an untrusted source: each object in it must be in the tables of this module.

Keras builds whatever a configuration names, which can be Python code (Lambda), a file of this machine or a pickle of
another framework. The tables are stated here, not taken from Keras, so that hostile files are refused before
TensorFlow is loaded.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from model.errors import ModelError
from model.files.browsing import name_some
from model.reading import parse_json
from model.received import quoted

Description = dict[str, Any]

MAX_CONFIGURATION_BYTES = 32 * 1024**2
"""Size of a configuration; those of the largest backbones take 2 MB."""

_LAYERS = frozenset(
    {"Functional", "Model", "Sequential", "InputLayer", "Dense", "Flatten", "Reshape", "Permute"}
    | {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D"}
    | {"MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"}
    | {"BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "Rescaling"}
    | {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
    | {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"}
    | {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"}
)
_PARTS = {
    "initializers": frozenset(
        {"Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer"}
        | {"LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal"}
        | {"RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"}
    ),
    "regularizers": frozenset({"L1", "L1L2", "L2", "OrthogonalRegularizer"}),
    "constraints": frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"}),
}
_ACTIVATIONS = frozenset(
    {"celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish"}
    | {"hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid"}
    | {"silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax"}
    | {"squareplus", "swish", "tanh", "tanh_shrink", "threshold"}
)
_DATA = frozenset({"DTypePolicy", "Policy", "__keras_tensor__", "__tuple__", "__tensor__", "__numpy__"})
_OPERATIONS = frozenset({"Add", "Subtract", "Multiply", "TrueDivide", "Divide"})
APPLICATIONS = "keras.src.applications"
_SCALE_LAYER = "CustomScaleLayer"
# Layers defined by networks of keras.applications, and their modules: arithmetic only.
APPLICATION_LAYERS = {
    _SCALE_LAYER: "inception_resnet_v2",
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
}

# Arguments of Keras 2 without effect: its separable convolutions have one group and no kernel as such.
_EMPTY_ARGUMENTS = {
    "DepthwiseConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}

_MAX_DEPTH = 200
_MAX_OBJECTS = 50_000
# Larger than any side, number of channels or of units; products of sizes are bounded by the weights in the file.
_MAX_SIZE = 1_000_000
_ARBITRARY = frozenset({"seed", "shared_object_id"})
_COUNTS = ("units", "filters")


def read_configuration(text: str | bytes, checkpoint: object, weights: int) -> Description:
    """Parse and check the configuration of a network, and convert one of Keras 2.

    Args:
        text: JSON.
        checkpoint: the file, for messages.
        weights: numbers in the weights of the file.

    Raises:
        ModelError: it names an object that is not in the tables, or sizes that do not fit the weights.
        UnreadableError: it is no JSON, or too large or deep.
    """
    if len(text) > MAX_CONFIGURATION_BYTES:
        raise ModelError(
            f"{checkpoint}: expected a configuration of at most {MAX_CONFIGURATION_BYTES:,} bytes, found {len(text):,}"
        )
    description = parse_json(text, _MAX_DEPTH)
    if not isinstance(description, dict):
        raise ModelError(f"{checkpoint}: expected the configuration of a network, received {quoted(description)}")
    # The compile configuration names optimizers and losses, possibly custom ones; it is not loaded.
    description.pop("compile_config", None)
    _check_sizes(description, checkpoint, weights)
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


def _check_sizes(description: Description, checkpoint: object, weights: int) -> None:
    """Refuse sizes that no network has: Keras would allocate them before it compares them with the weights."""
    if sum(1 for _ in _objects(description)) > _MAX_OBJECTS:
        raise ModelError(f"{checkpoint}: expected at most {_MAX_OBJECTS:,} layers and parts of layers, found more")
    for name, size in _sizes(description):
        if abs(size) > _MAX_SIZE:
            raise ModelError(f"{checkpoint}: expected sizes of at most {_MAX_SIZE:,}, found {name} = {quoted(size)}")
    channels = sum(size for name, size in _sizes(description) if name in _COUNTS)
    if channels > weights:
        raise ModelError(
            f"{checkpoint}: expected weights for the {channels:,} units and filters of its layers, found "
            f"{weights:,} numbers"
        )


def _sizes(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Whole numbers in a configuration, and the names of their options."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _ARBITRARY:
                yield from _sizes(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _sizes(item, name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
        yield name, int(value)


def _objects(value: Any) -> Iterator[Description]:
    """Objects that Keras would create from a configuration, the outermost first."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _is_known(item: Mapping[str, Any]) -> bool:
    name, module = item["class_name"], item.get("module")
    if not isinstance(name, str) or item.get("registered_name") not in (None, name):
        return False
    if name in APPLICATION_LAYERS:
        return module in (None, f"{APPLICATIONS}.{APPLICATION_LAYERS[name]}")
    if module == "keras.src.ops.numpy":
        return name in _OPERATIONS
    if name == "function":
        function = item.get("config")
        return module == "builtins" and isinstance(function, str) and function in _ACTIVATIONS
    if name in _LAYERS:
        return module in (None, "keras", "keras.layers", "keras.models") or str(module).startswith("keras.src.models.")
    if name in _DATA:
        return module in (None, "keras")
    return any(module in (None, f"keras.{part}") and name in names for part, names in _PARTS.items())


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
