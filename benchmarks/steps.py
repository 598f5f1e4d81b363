"""Time of a fine-tuning step with and without XLA, and with mixed precision on GPUs that benefit.

How: EfficientNet-Lite0 on batches of 16 random images, trained as in fine-tuning (`top`: the last block, on the output
of the layers below it; `all`: all layers), with the optimizer that averages weights; and the plain Keras way, the same
layers unfrozen with Adam. The first step, which includes compilation, is reported separately, then the median of five.
The reproducible order of additions, which a training on a processor enables, is disabled, since XLA excludes it.

Depends on: the processor or GPU. On a processor XLA is slower at depthwise convolutions by an order of magnitude,
so trainings use Keras' default, which enables XLA on a GPU only.
"""

import dataclasses
import statistics
import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks.tables import markdown_table, times
from model.backbones import find_backbone
from model.networks.tensorflow_import import import_tensorflow
from model.training.head import random_head

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 16
STEPS = 5
CLASSES = 8


@dataclasses.dataclass(frozen=True)
class Step:
    """Seconds of the first step, and milliseconds per image of the median later step."""

    first: float
    milliseconds: float


def main() -> None:
    """Print the table."""
    import_tensorflow()
    from model.training.fine_tuning.hardware import gpus, precision

    rows = []
    for part in ("top", "all"):
        precisions = sorted({"float32", precision(gpus())})
        ways = {f"`{part}`, {kind}": _measure(_network(part, kind), jit=False) for kind in precisions}
        ways |= {f"`{part}`, {kind}, XLA": _measure(_network(part, kind), jit=True) for kind in precisions}
        base = ways[f"`{part}`, float32"]
        if part == "all":
            ways["Keras: all layers, Adam"] = _measure(_plain(), jit=False)
        rows += [
            [name, f"{step.first:.0f} s", f"{step.milliseconds:.1f} ms", times(step.milliseconds / base.milliseconds)]
            for name, step in ways.items()
        ]
    header = [f"a step of {BATCH_SIZE} images", "the first", "an image", "time relative to float32 without XLA"]
    print(markdown_table(header, rows))


def _network(part: Literal["top", "all", "scratch"], precision: str) -> "keras.Model":
    from model.networks.network import copy_network, cut_at_last_block
    from model.training.fine_tuning.fine_tune import trainable_network

    backbone = _backbone()
    block = copy_network(cut_at_last_block(backbone)[1] if part == "top" else backbone, precision)
    return trainable_network(block, random_head(backbone.output.shape[-1], CLASSES, 0), part, None, 10)


def _plain() -> "keras.Model":
    import keras

    backbone = _backbone()
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    network = keras.Model(backbone.input, keras.layers.Dense(CLASSES)(pooled))
    network.compile(keras.optimizers.Adam(1e-5), keras.losses.CategoricalCrossentropy(from_logits=True))
    return network


def _backbone() -> "keras.Model":
    from model.networks.pretrained import build_backbone

    backbone = find_backbone("EfficientNetLite0")
    return build_backbone(backbone, backbone.image_size, "imagenet")


def _measure(network: "keras.Model", jit: bool) -> Step:
    network.jit_compile = jit
    rng = np.random.default_rng(0)
    shape = (BATCH_SIZE, *network.input.shape[1:])
    of_pixels = network.input.dtype == "uint8"
    inputs = rng.integers(0, 256, shape, np.uint8) if of_pixels else rng.normal(size=shape).astype(np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, BATCH_SIZE)]
    seconds = []
    for _ in range(1 + STEPS):
        started = time.perf_counter()
        network.train_on_batch(inputs, targets)
        seconds.append(time.perf_counter() - started)
    return Step(seconds[0], 1000 * statistics.median(seconds[1:]) / BATCH_SIZE)


if __name__ == "__main__":
    main()
