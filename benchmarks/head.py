"""Training the head: our NumPy against a Dense layer in Keras, on the same features.

How: EfficientNet-Lite0's features of the demo dataset, computed once and not timed. Each method trains for 30 epochs
and evaluates the validation images after each epoch; the median excludes the first epoch, in which Keras compiles.
Keras takes batches of 32; an epoch of Topgraft is one step of L-BFGS on all images. Topgraft trains four L2 strengths
side by side, as in a training, and then a single one; Keras trains one.

Depends on: the size of the head and of a batch. The more computation a step has, the less the overhead of a framework
matters.
"""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown_table, times
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.features.extractor import FeatureExtractor, extract_features
from model.networks.converted_backbone import converted_backbone
from model.networks.tensorflow_import import import_tensorflow
from model.results import SPLITS, InputSpec, no_progress
from model.synthesis.composition import write_demo_dataset
from model.training.head import train_head
from model.training.head_candidates import HeadOptions, LabelledFeatures

EPOCHS = 30
BATCH_SIZE = 32
LEARNING_RATE = 1.0
KERAS_LEARNING_RATE = 1e-3

Splits = dict[str, LabelledFeatures]


@dataclasses.dataclass(frozen=True)
class Trained:
    """Milliseconds of the median epoch, and accuracy on the test images."""

    milliseconds: float
    accuracy: float


def main() -> None:
    """Print the table."""
    splits, classes = _features()
    keras = _train_with_keras(splits, classes)
    ways = {
        "Keras: Dense, Adam, `model.fit`": keras,
        "topgraft, one L2 strength": _train_with_numpy(splits, classes, 1e-4),
        "topgraft, four side by side (the default)": _train_with_numpy(splits, classes, None),
    }
    rows = [
        [name, f"{way.milliseconds:.1f} ms", times(keras.milliseconds / way.milliseconds), f"{way.accuracy:.3f}"]
        for name, way in ways.items()
    ]
    counts = f"{len(splits['train'].labels)} photos, {splits['train'].features.shape[1]} features, {classes} classes"
    print(markdown_table([counts, "an epoch", "faster", "accuracy"], rows))


def _features() -> tuple[Splits, int]:
    backbone = find_backbone("EfficientNetLite0")
    spec = InputSpec.square(backbone.image_size)
    extract = FeatureExtractor(converted_backbone(backbone, backbone.image_size), spec)
    with tempfile.TemporaryDirectory() as directory:
        write_demo_dataset(Path(directory))
        dataset = prepare_dataset(Path(directory), TrainConfig(), Path(directory)).dataset
        splits: dict[str, LabelledFeatures] = {}
        for split in SPLITS:
            samples = dataset.split(split)
            features = extract_features(extract, samples, spec, no_progress)
            labels = np.array([sample.label for sample in samples])
            splits[split] = LabelledFeatures(features, labels, np.ones(len(samples), np.float32))
    return splits, len(dataset.classes)


def _train_with_numpy(splits: Splits, classes: int, l2: float | None) -> Trained:
    options = HeadOptions(EPOCHS, EPOCHS, BATCH_SIZE, LEARNING_RATE, l2, seed=0)
    moments = [time.perf_counter()]
    head = train_head(splits["train"], splits["val"], classes, options, lambda *_: moments.append(time.perf_counter()))
    milliseconds = 1000 * statistics.median(np.diff(moments)[1:])
    return Trained(milliseconds, _accuracy(head.logits(splits["test"].features), splits["test"]))


def _train_with_keras(splits: Splits, classes: int) -> Trained:
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    moments = [time.perf_counter()]
    network = keras.Sequential([keras.Input((splits["train"].features.shape[1],)), keras.layers.Dense(classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(KERAS_LEARNING_RATE), loss, metrics=["accuracy"])
    network.fit(
        splits["train"].features,
        splits["train"].labels,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(splits["val"].features, splits["val"].labels),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: moments.append(time.perf_counter()))],
        verbose=0,
    )
    milliseconds = 1000 * statistics.median(np.diff(moments)[1:])
    return Trained(milliseconds, _accuracy(network.predict(splits["test"].features, verbose=0), splits["test"]))


def _accuracy(logits: np.ndarray, data: LabelledFeatures) -> float:
    return float((logits.argmax(axis=1) == data.labels).mean())


if __name__ == "__main__":
    main()
