"""What Keras computes on."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that Keras uses.

    Attributes:
        name: as TensorFlow names it, such as `GPU:0`.
        compute_capability: major and minor number of an NVIDIA GPU, (0, 0) where unknown.
    """

    name: str
    compute_capability: tuple[int, int]


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that TensorFlow sees; none with another backend of Keras."""
    if keras.backend.backend() != "tensorflow":
        return ()
    import tensorflow as tf

    found = []
    for number, device in enumerate(tf.config.list_physical_devices("GPU")):
        details = tf.config.experimental.get_device_details(device)
        found.append(Gpu(f"GPU:{number}", details.get("compute_capability") or (0, 0)))
    return tuple(found)
