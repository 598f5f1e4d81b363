"""Estimates of the memory of a training, checked early because the system kills processes without a message.

The estimates are rough; their factors were measured with TensorFlow on a CPU.
"""

import math
from typing import TYPE_CHECKING

from model.errors import TrainingError
from model.resources import spare_memory

if TYPE_CHECKING:
    import keras

_BYTES = 4
# The features, scaled, stacked with their views, and again for the final head.
_COPIES_OF_FEATURES = 4
# Fraction of all layer outputs that is kept for the backward pass; less with BatchNormalization frozen.
_KEPT_OUTPUTS = 0.5
_KEPT_OUTPUTS_FROM_SCRATCH = 1.4
# Libraries, compiled steps, prefetched batches.
_OVERHEAD_BYTES = 300_000_000


def refuse_too_many_features(images: int, features: int, views: int) -> None:
    """Check that the features of a head and its views fit into memory, before views are extracted.

    Args:
        views: number of augmented views of each image, without the image itself.

    Raises:
        TrainingError: the features do not fit; the message names the option to lower.
    """
    needed, spare = _feature_bytes(images, features, views), spare_memory()
    if needed > spare:
        lower = "augmented_views, or the backbone's size" if views else "the backbone's size"
        raise TrainingError(
            f"expected memory for the features of {images} images in {1 + views} views, about {_gigabytes(needed)}, "
            f"found {_gigabytes(spare)}. Lower {lower}, or give the deployment more memory."
        )


def are_features_small(images: int, features: int) -> bool:
    """Whether a head can be trained on features, without views, in half of the free memory."""
    return _feature_bytes(images, features, 0) <= spare_memory() // 2


def fine_tuning_bytes(network: "keras.Model", batch_size: int, from_scratch: bool) -> int:
    """Estimate the additional memory of fine-tuning in bytes.

    Args:
        network: the trained part.
    """
    outputs = sum(math.prod(output.shape[1:]) for layer in _layers(network) for output in _outputs(layer))
    kept = _KEPT_OUTPUTS_FROM_SCRATCH if from_scratch else _KEPT_OUTPUTS
    # Weights, gradients, two moments, their average, and the best.
    return _OVERHEAD_BYTES + round(_BYTES * (kept * batch_size * outputs + 6 * network.count_params()))


def memory_remark(network: "keras.Model", batch_size: int, from_scratch: bool) -> str:
    """A warning if fine-tuning will probably not fit into memory; else empty."""
    needed, spare = fine_tuning_bytes(network, batch_size, from_scratch), spare_memory()
    if needed <= spare:
        return ""
    return (
        f"fine-tuning takes about {_gigabytes(needed)} of memory and {_gigabytes(spare)} are free: if it is killed, "
        f"lower batch_size (now {batch_size}) or image_size, or choose a smaller backbone or fine_tune = top"
    )


def _feature_bytes(images: int, features: int, views: int) -> int:
    return _COPIES_OF_FEATURES * _BYTES * images * features * (1 + views)


def _layers(network: "keras.Model") -> list["keras.layers.Layer"]:
    """The layers, including those of nested models."""
    found: list[keras.layers.Layer] = []
    for layer in network.layers:
        found += _layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _outputs(layer: "keras.layers.Layer") -> list["keras.KerasTensor"]:
    return layer.output if isinstance(layer.output, list) else [layer.output]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
