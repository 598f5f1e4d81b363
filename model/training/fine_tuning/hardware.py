"""What Keras computes on, and how to make the most of it."""

import dataclasses
import logging
from collections.abc import Sequence

import keras

from model.training.fine_tuning.replicas import Devices, Mirrored, OneDevice

# Tensor cores, which multiply 16-bit numbers several times as fast, came with this one.
_TENSOR_CORES = (7, 0)

log = logging.getLogger(__name__)


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


def precision(present: Sequence[Gpu]) -> str:
    """What layers compute in: mixed precision (Micikevicius et al., 2018) where all GPUs gain by it."""
    gains = bool(present) and all(gpu.compute_capability >= _TENSOR_CORES for gpu in present)
    return "mixed_float16" if gains else "float32"


def devices(present: Sequence[Gpu], smallest_batch: int) -> Devices:
    """All GPUs where there are several, but no more than a batch has images."""
    names = [gpu.name for gpu in present[:smallest_batch]]
    if len(names) < 2:
        return OneDevice()
    log.info("each batch is shared by %s", ", ".join(names))
    return Mirrored(names)


def make_reproducible(seed: int, present: Sequence[Gpu]) -> None:
    """Fix the random numbers; and where there is no GPU, have TensorFlow add up in the same order each time.

    On a GPU that order costs speed, and rules out XLA: there a repeated training differs in the last digits.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow" and not present:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
