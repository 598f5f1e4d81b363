"""Scaling of pixels to the input of a network, as one factor and one offset per channel: x -> factor * x + offset."""

import numpy as np

from model.backbones import Scaling

# Mean and standard deviation per channel (RGB) of the images in [0, 1] that the networks were trained on.
_STATISTICS = {
    # https://github.com/pytorch/vision/blob/main/references/classification/presets.py
    "torch": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    # https://github.com/openai/CLIP/blob/main/clip/clip.py
    "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
}
_ALIKE = {
    "lite": (1 / 128, -127 / 128),
    "tf": (1 / 127.5, -1.0),
    "unit": (1 / 255, 0.0),
    "none": (1.0, 0.0),
    "built_in": (1.0, 0.0),
}


def factor_and_offset(scaling: Scaling) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Factor and offset for pixels in [0, 255].

    Returns:
        A number each where all channels are scaled alike, else an array (3,) in float64 each.

    Raises:
        KeyError: `caffe`, which swaps channels besides.
    """
    if scaling in _STATISTICS:
        mean, deviation = (np.array(values) for values in _STATISTICS[scaling])
        return 1 / (255 * deviation), -mean / deviation
    return _ALIKE[scaling]
