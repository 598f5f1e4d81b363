"""Fine-tuning: the last block of a pretrained backbone with the head, or a whole network from scratch.

What lies below the trained part is run once and its output kept on disk, so an epoch costs only
the part that changes.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from model.config import TrainConfig
from model.results import Dataset, Progress, Sample
from model.training.features import decoded_batches
from model.training.head import Epoch, Head
from model.training.network import cut_at_last_block, freeze_batch_normalization

PHASE = "fine_tune"
_WARM_UP = 0.1
_LEARNING_RATE = 1e-4
_LEARNING_RATE_FROM_SCRATCH = 1e-3


def fine_tune(
    backbone: keras.Model,
    head: Head,
    dataset: Dataset,
    weights: Callable[[Sequence[Sample]], np.ndarray],
    config: TrainConfig,
    directory: Path,
    progress: Progress,
) -> Head:
    """Train the last block of `backbone` (all of it where `config.weights` is none) and the head on it.

    The backbone is left with the weights of the epoch of lowest validation loss.

    Args:
        head: where the head starts.
        weights: from samples to the weight of each, float (n,) of mean 1.
        directory: where the outputs of the frozen part are kept meanwhile.

    Returns:
        The head of that epoch, with a row per epoch.
    """
    keras.utils.set_random_seed(config.seed)
    from_scratch = config.weights == "none"
    trunk, block = (None, backbone) if from_scratch else cut_at_last_block(backbone)
    if not from_scratch:
        freeze_batch_normalization(block)
    store = _InputStore(trunk, backbone.input.shape[1:3], config, directory, progress)
    train = _Batches(
        store.write("train", dataset.train), dataset.train, weights(dataset.train), config.batch_size, config.seed
    )
    val = _Batches(store.write("val", dataset.val), dataset.val, weights(dataset.val), config.batch_size, None)
    epochs = config.epochs if from_scratch else config.fine_tune_epochs
    network = _trainable_network(block, head, config, epochs * len(train), from_scratch)
    recorder = _Recorder(network, config.patience, epochs, progress)
    network.fit(train, validation_data=val, epochs=epochs, callbacks=[recorder], shuffle=False, verbose=0)
    kernel, bias = (np.asarray(weight) for weight in network.layers[-1].weights)
    return Head(kernel, bias, 0.0, recorder.best_epoch, tuple(recorder.history))


def _trainable_network(
    block: keras.Model, head: Head, config: TrainConfig, steps: int, from_scratch: bool
) -> keras.Model:
    dense = layers.Dense(head.kernel.shape[1], name="head")
    network = keras.Model(block.input, dense(layers.GlobalAveragePooling2D()(block.output)))
    dense.set_weights([head.kernel, head.bias])
    peak = config.fine_tune_learning_rate or (_LEARNING_RATE_FROM_SCRATCH if from_scratch else _LEARNING_RATE)
    warm_up = max(1, int(_WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        peak / 100, max(1, steps - warm_up), warmup_target=peak, warmup_steps=warm_up
    )
    network.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        metrics=["accuracy"],
    )
    return network


class _InputStore:
    """What enters the trained part, in files mapped to memory: 100,000 images need no memory either."""

    def __init__(
        self,
        trunk: keras.Model | None,
        size: tuple[int, int],
        config: TrainConfig,
        directory: Path,
        progress: Progress,
    ) -> None:
        self._trunk, self._size, self._config = trunk, size, config
        self._directory, self._progress = directory, progress

    def write(self, name: str, samples: Sequence[Sample]) -> np.ndarray:
        """The inputs of one split, as an array (n, height, width, channels) in a file."""
        shape = (*self._size, 3) if self._trunk is None else self._trunk.output.shape[1:]
        dtype = np.uint8 if self._trunk is None else np.float32
        path = self._directory / f"{PHASE}_{name}.npy"
        stored = np.lib.format.open_memmap(path, "w+", dtype, (len(samples), *shape))
        done = 0
        for images in decoded_batches(samples, self._size, self._config.resize, self._config.batch_size):
            stored[done : done + len(images)] = images if self._trunk is None else self._trunk.predict_on_batch(images)
            done += len(images)
            self._progress(f"{PHASE}_inputs", done, len(samples))
        return stored


class _Batches(keras.utils.PyDataset):
    """Batches of stored inputs, labels and weights; in a new order each epoch where there is a seed."""

    def __init__(
        self, inputs: np.ndarray, samples: Sequence[Sample], weights: np.ndarray, batch_size: int, seed: int | None
    ) -> None:
        super().__init__()
        self._inputs, self._weights, self._seed = inputs, weights, seed
        self._labels = np.array([sample.label for sample in samples])
        self._parts = -(-len(inputs) // batch_size)
        self._epoch = 0
        self._arrange()

    def __len__(self) -> int:
        return self._parts

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = np.sort(self._order[index])
        return self._inputs[chosen], self._labels[chosen], self._weights[chosen]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._arrange()

    def _arrange(self) -> None:
        order = np.arange(len(self._inputs))
        if self._seed is not None:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(order)
        self._order = np.array_split(order, self._parts)


class _Recorder(keras.callbacks.Callback):
    """Writes down each epoch, keeps the best weights, stops when nothing improves."""

    def __init__(self, network: keras.Model, patience: int, epochs: int, progress: Progress) -> None:
        super().__init__()
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self._network, self._patience, self._epochs, self._progress = network, patience, epochs, progress
        self._best_val_loss = float("inf")
        self._best_weights = network.get_weights()
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        row = self._row(epoch + 1, logs or {})
        self.history.append(row)
        self._progress(
            PHASE, row.epoch, self._epochs, loss=row.loss, val_loss=row.val_loss, val_accuracy=row.val_accuracy
        )
        if row.val_loss < self._best_val_loss:
            self._best_val_loss, self.best_epoch = row.val_loss, row.epoch
            self._best_weights = self._network.get_weights()
        elif row.epoch - self.best_epoch >= self._patience:
            self._network.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        self._network.set_weights(self._best_weights)

    def _row(self, epoch: int, logs: dict) -> Epoch:
        return Epoch(
            PHASE,
            epoch,
            float(logs["loss"]),
            float(logs["accuracy"]),
            float(logs["val_loss"]),
            float(logs["val_accuracy"]),
            float(np.asarray(self._network.optimizer.learning_rate)),
            time.perf_counter() - self._started,
        )
