"""The devices of Keras: GPUs, precision, and reproducibility."""

import dataclasses
import logging
from collections.abc import Sequence

import keras

from model.training.fine_tuning.replicas import Devices, Mirrored, OneDevice

# The first with tensor cores, which multiply 16-bit numbers several times as fast.
_TENSOR_CORES = (7, 0)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that Keras uses.

    Attributes:
        name: as TensorFlow names it, such as `GPU:0`.
        compute_capability: major and minor number of an NVIDIA GPU, (0, 0) if unknown.
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
    """The dtype policy of layers: mixed precision (Micikevicius et al., 2018) if all GPUs gain from it."""
    gains = bool(present) and all(gpu.compute_capability >= _TENSOR_CORES for gpu in present)
    return "mixed_float16" if gains else "float32"


def devices(present: Sequence[Gpu], smallest_batch: int) -> Devices:
    """All GPUs if there are several, but at most as many as a batch has images."""
    names = [gpu.name for gpu in present[:smallest_batch]]
    if len(names) < 2:
        return OneDevice()
    log.info("each batch is distributed over %s", ", ".join(names))
    return Mirrored(names)


def make_reproducible(seed: int, present: Sequence[Gpu]) -> None:
    """Set the random seed and, without a GPU, make the operations of TensorFlow deterministic.

    On a GPU determinism costs speed and excludes XLA: a repeated training differs in the last digits there.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow" and not present:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
