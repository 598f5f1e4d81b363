"""Whether a training fits into the memory there is, told before time is spent: the system would kill it without a word.

The estimates are of the right size, no more; what they multiply was measured, with TensorFlow on a processor.
"""

import math
from typing import TYPE_CHECKING

from model.errors import TrainingError
from model.resources import spare_memory

if TYPE_CHECKING:
    import keras

_BYTES = 4
# The features, scaled, stacked with their views, and once more for the final head.
_COPIES_OF_FEATURES = 4
# Kept for the way back, of all that layers put out. With BatchNormalization frozen, less is kept.
_SHARE_OF_OUTPUTS = 0.5
_SHARE_OF_OUTPUTS_FROM_SCRATCH = 1.4
# Libraries, compiled steps, batches on their way.
_BYTES_BESIDE = 300_000_000


def refuse_too_many_features(images: int, features: int, views: int) -> None:
    """Refuse to train a head on more features than there is memory for, before the views are made.

    Args:
        views: of each image, beside the image itself.

    Raises:
        TrainingError: it says what to lower.
    """
    needed = _COPIES_OF_FEATURES * _BYTES * images * features * (1 + views)
    spare = spare_memory()
    if needed > spare:
        lower = "augmented_views, or the backbone's size" if views else "the backbone's size"
        raise TrainingError(
            f"expected memory for the features of {images} images in {1 + views} views, about {_gigabytes(needed)}, "
            f"found {_gigabytes(spare)}. Lower {lower}, or give the deployment more memory."
        )


def fine_tuning_bytes(network: "keras.Model", batch_size: int, from_scratch: bool) -> int:
    """About how much memory fine-tuning takes, in bytes, beside what the process takes already.

    Args:
        network: what is trained, from its inputs on.
    """
    outputs = sum(math.prod(output.shape[1:]) for layer in _layers(network) for output in _outputs(layer))
    share = _SHARE_OF_OUTPUTS_FROM_SCRATCH if from_scratch else _SHARE_OF_OUTPUTS
    # Weights, gradients, two moments, their average, and the best.
    return _BYTES_BESIDE + round(_BYTES * (share * batch_size * outputs + 6 * network.count_params()))


def memory_remark(network: "keras.Model", batch_size: int, from_scratch: bool) -> str:
    """A sentence where fine-tuning will most likely be killed for its memory; empty where it fits."""
    needed, spare = fine_tuning_bytes(network, batch_size, from_scratch), spare_memory()
    if needed <= spare:
        return ""
    return (
        f"fine-tuning takes about {_gigabytes(needed)} of memory and {_gigabytes(spare)} are there: if it is killed, "
        f"lower batch_size (now {batch_size}) or image_size, or choose a smaller backbone or fine_tune = top"
    )


def _layers(network: "keras.Model") -> list["keras.layers.Layer"]:
    """The layers, with those of models that are layers themselves."""
    found: list[keras.layers.Layer] = []
    for layer in network.layers:
        found += _layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _outputs(layer: "keras.layers.Layer") -> list["keras.KerasTensor"]:
    return layer.output if isinstance(layer.output, list) else [layer.output]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
