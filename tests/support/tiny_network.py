"""A network of three convolutions in place of MobileNetV3Small, for tests of complete trainings.

Its training steps are traced, and it is converted to ONNX, in a tenth of the time; all other code is the same.
"""

import sys
from typing import TYPE_CHECKING

from model.networks.tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

REPLACED = "MobileNetV3Small"
# Runs the command `topgraft` with the tiny network, in a process of its own.
COMMAND = (sys.executable, "-m", "tests.support.tiny_network")


def build_tiny_network(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> "keras.Model":
    """The network from pixels to a feature map of 128 channels, as `keras.applications` builds its own.

    Its weights are random; `build_backbone` draws those in place of pretrained ones with the same seed each time.
    """
    import keras

    assert not include_top
    pixels = keras.Input(input_shape)
    values = keras.layers.Rescaling(1 / 127.5, -1.0)(pixels)
    for number, (channels, stride) in enumerate(((8, 2), (16, 2), (128, 1))):
        values = keras.layers.Conv2D(channels, 3, stride, "same", use_bias=False, name=f"convolution_{number}")(values)
        values = keras.layers.BatchNormalization(name=f"normalization_{number}")(values)
        values = keras.layers.ReLU()(values)
    return keras.Model(pixels, values)


def use_tiny_network() -> None:
    """Replace the network in this process, until its end."""
    import_tensorflow()
    import keras

    setattr(keras.applications, REPLACED, build_tiny_network)


def main() -> int:
    """Run the command `topgraft` with the tiny network."""
    from model.cli import main as topgraft

    use_tiny_network()
    return topgraft()


if __name__ == "__main__":
    sys.exit(main())
