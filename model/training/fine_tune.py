"""Fine-tuning: the last block of a pretrained backbone with the head, or a whole network from scratch.

What lies below the trained part is run once and its output kept on disk, so an epoch costs only
the part that changes. With augmentation this is done once for each image and each view of it; an epoch shows
each image once, in the next of its views, and neighbours in different ones.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from model.config import TrainConfig
from model.results import Dataset, Progress, Sample
from model.serving.keras_engine import HEAD
from model.training.batches import epoch_order, log_priors, mix, soft_targets
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch, Measured, measure, score
from model.training.features import Look, as_decoded, decoded_batches
from model.training.head import Head
from model.training.network import cut_at_last_block, freeze_batch_normalization

PHASE = "fine_tune"
_WARM_UP = 0.1
_LEARNING_RATE = 1e-4
_LEARNING_RATE_FROM_SCRATCH = 1e-3

log = logging.getLogger(__name__)


def fine_tune(
    backbone: keras.Model,
    head: Head,
    dataset: Dataset,
    train_weights: np.ndarray,
    val_weights: np.ndarray,
    config: TrainConfig,
    directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
    looks: Sequence[Look] = (as_decoded,),
) -> Head:
    """Train the last block of `backbone` (all of it where `config.weights` is none) and the head on it.

    The backbone is left with the weights of the best epoch, by `config.stop_on`. A call that finds
    checkpoints of an interrupted one in `directory` goes on from there, to the same result.

    Args:
        head: where the head starts.
        train_weights, val_weights: of the images of these splits, float (n,) of mean 1.
        directory: for the checkpoints, and for the outputs of the frozen part.
        deadline: when to stop with what is best so far.
        looks: the ways to see each training image.

    Returns:
        The head of that epoch, with a row per epoch.
    """
    _make_deterministic(config.seed)
    from_scratch = config.weights == "none"
    trunk, block = (None, backbone) if from_scratch else cut_at_last_block(backbone)
    if not from_scratch:
        freeze_batch_normalization(block)
    store = _InputStore(trunk, backbone.input.shape[1:3], config, directory, progress)
    train_inputs = store.write("train", dataset.train, looks)
    train = _TrainBatches(train_inputs, _labels(dataset.train), train_weights, head.kernel.shape[1], config)
    [val_inputs] = store.write("val", dataset.val, [as_decoded])
    val = _Validation(val_inputs, _labels(dataset.val), val_weights, config.batch_size)
    epochs = config.epochs if from_scratch else config.fine_tune_epochs
    adjustment = log_priors(train.labels, train.classes) if config.imbalance == "logit_adjustment" else None
    network = _trainable_network(block, head, adjustment, config, epochs * len(train), from_scratch)
    loop = _Loop(network, train, val, epochs, config, Checkpoints(directory / "checkpoints"), progress, deadline)
    history, best_epoch = loop.run()
    kernel, bias = (np.asarray(weight) for weight in network.get_layer(HEAD).weights)
    return Head(kernel, bias, 0.0, best_epoch, history)


def _make_deterministic(seed: int) -> None:
    """Fix the random numbers, and have TensorFlow add up in the same order each time."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


class _AdjustedWhileTraining(layers.Layer):
    """Adds something to the logits in training, and passes them on as they are otherwise."""

    def __init__(self, adjustment: np.ndarray) -> None:
        super().__init__()
        self._adjustment = adjustment

    def call(self, logits: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        return logits + self._adjustment if training else logits


def _trainable_network(
    block: keras.Model,
    head: Head,
    adjustment: np.ndarray | None,
    config: TrainConfig,
    steps: int,
    from_scratch: bool,
) -> keras.Model:
    dense = layers.Dense(head.kernel.shape[1], name=HEAD)
    logits = dense(layers.GlobalAveragePooling2D()(block.output))
    network = keras.Model(block.input, logits if adjustment is None else _AdjustedWhileTraining(adjustment)(logits))
    dense.set_weights([head.kernel, head.bias])
    peak = config.fine_tune_learning_rate or (_LEARNING_RATE_FROM_SCRATCH if from_scratch else _LEARNING_RATE)
    warm_up = max(1, int(_WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        peak / 100, max(1, steps - warm_up), warmup_target=peak, warmup_steps=warm_up
    )
    network.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.CategoricalCrossentropy(from_logits=True),
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

    def write(self, name: str, samples: Sequence[Sample], looks: Sequence[Look]) -> np.ndarray:
        """The inputs of one split as an array in a file; a whole one is used again.

        Returns:
            (looks, n, height, width, channels).
        """
        inside = (*self._size, 3) if self._trunk is None else self._trunk.output.shape[1:]
        shape = (len(looks), len(samples), *inside)
        whole = self._directory / f"{PHASE}_{name}.npy"
        if not whole.exists():
            partial = whole.with_suffix(".part")
            self._fill(np.lib.format.open_memmap(partial, "w+", self._dtype, shape), samples, looks)
            partial.rename(whole)
        return np.load(whole, mmap_mode="r")

    @property
    def _dtype(self) -> type:
        return np.uint8 if self._trunk is None else np.float32

    def _fill(self, stored: np.memmap, samples: Sequence[Sample], looks: Sequence[Look]) -> None:
        size, resize, batch_size = self._size, self._config.resize, self._config.batch_size
        for number, look in enumerate(looks):
            done = 0
            for images in decoded_batches(samples, size, resize, batch_size, look):
                inputs = images if self._trunk is None else self._trunk.predict_on_batch(images)
                stored[number, done : done + len(images)] = inputs
                done += len(images)
                self._progress(f"{PHASE}_inputs", number * len(samples) + done, len(looks) * len(samples))
        stored.flush()


class _TrainBatches:
    """Batches of stored inputs, targets and weights, in an order of its own for each epoch.

    The inputs are (views, n, height, width, channels): an epoch takes n images.
    """

    def __init__(
        self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, classes: int, config: TrainConfig
    ) -> None:
        self.labels, self.classes = labels, classes
        self._inputs, self._weights, self._config = inputs, weights, config
        self._parts = -(-len(labels) // config.batch_size)

    def __len__(self) -> int:
        return self._parts

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The batches of an epoch from number `start` on."""
        config = self._config
        order = epoch_order(self.labels, config.seed, epoch, config.imbalance == "sampling")
        for number, part in list(enumerate(np.array_split(order, self._parts)))[start:]:
            # A file is read in its own order; within a batch the order means nothing.
            chosen = np.sort(part)
            inputs = self._inputs[(chosen + epoch) % len(self._inputs), chosen]
            targets = soft_targets(self.labels[chosen], self.classes, config.label_smoothing)
            weights = self._weights[chosen]
            if config.mixup:
                rng = np.random.default_rng((config.seed, epoch, number))
                inputs, targets, weights = mix(inputs, targets, weights, config.mixup, rng)
            yield inputs, targets, weights


class _Validation:
    """The validation images, and how a network does on them."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, batch_size: int) -> None:
        self._inputs, self._labels, self._weights, self._batch_size = inputs, labels, weights, batch_size

    def measure(self, network: keras.Model) -> Measured:
        """Loss, accuracy and macro-F1 of a network that gives logits."""
        starts = range(0, len(self._inputs), self._batch_size)
        batches = (self._inputs[start : start + self._batch_size] for start in starts)
        logits = np.concatenate([network.predict_on_batch(batch) for batch in batches])
        return measure(logits, self._labels, self._weights)


class _Loop:
    """The epochs of one fine-tuning, with everything that a checkpoint must hold."""

    def __init__(
        self,
        network: keras.Model,
        train: _TrainBatches,
        val: _Validation,
        epochs: int,
        config: TrainConfig,
        checkpoints: Checkpoints,
        progress: Progress,
        deadline: Deadline,
    ) -> None:
        self._network, self._train, self._val, self._epochs = network, train, val, epochs
        self._patience, self._interval = config.patience, config.checkpoint_minutes * 60
        self._checkpoints, self._progress, self._deadline = checkpoints, progress, deadline
        self._history: list[Epoch] = []
        self._stop_on = config.stop_on
        self._best_epoch, self._best_score = 0, (float("inf"), float("inf"))
        self._best = self._arrays(network.variables)
        self._step = 0
        self._seconds = 0.0

    def run(self) -> tuple[tuple[Epoch, ...], int]:
        """All epochs that are left; the network then has the weights of the best. Returns the rows and that epoch."""
        self._build()
        self._restore()
        while len(self._history) < self._epochs and not self._is_stuck() and not self._deadline.is_over():
            self._run_epoch(len(self._history) + 1)
        self._assign(self._network.variables, self._best)
        return tuple(self._history), self._best_epoch

    def _build(self) -> None:
        """Make the variables of the metrics and the optimizer, which Keras makes at their first use."""
        self._network.test_on_batch(*next(self._train.epoch(0)))
        self._network.optimizer.build(self._network.trainable_variables)

    def _is_stuck(self) -> bool:
        return len(self._history) - self._best_epoch >= self._patience

    def _run_epoch(self, epoch: int) -> None:
        started = saved = time.perf_counter()
        if self._step == 0:
            self._network.reset_metrics()
        for batch in self._train.epoch(epoch, self._step):
            self._network.train_on_batch(*batch)
            self._step += 1
            if time.perf_counter() - saved > self._interval:
                self._seconds += time.perf_counter() - started
                started = saved = time.perf_counter()
                self._save()
        results = self._network.get_metrics_result()
        val = self._val.measure(self._network)
        row = Epoch(
            PHASE,
            epoch,
            float(results["loss"]),
            float(results["accuracy"]),
            val.loss,
            val.accuracy,
            float(np.asarray(self._network.optimizer.learning_rate)),
            self._seconds + time.perf_counter() - started,
            val.macro_f1,
        )
        self._step, self._seconds = 0, 0.0
        self._record(row)
        self._save()

    def _record(self, row: Epoch) -> None:
        self._history.append(row)
        reached = score(row, self._stop_on)
        if reached < self._best_score:
            self._best_score, self._best_epoch = reached, row.epoch
            self._best = self._arrays(self._network.variables)
        self._progress(
            PHASE,
            row.epoch,
            self._epochs,
            loss=row.loss,
            val_loss=row.val_loss,
            val_accuracy=row.val_accuracy,
            val_macro_f1=row.val_macro_f1,
        )

    def _save(self) -> None:
        """Weights, random state, optimizer and running metrics; the best weights; the rows; the place in the epoch."""
        arrays = self._arrays(self._state_variables(), "now_") | {
            f"best_{key}": value for key, value in self._best.items()
        }
        state = {
            "history": [dataclasses.asdict(row) for row in self._history],
            "best_epoch": self._best_epoch,
            "step": self._step,
            "seconds": self._seconds,
        }
        self._checkpoints.save(arrays, state)

    def _restore(self) -> None:
        found = self._checkpoints.latest()
        if found is None:
            return
        arrays, state = found
        self._assign(self._state_variables(), {key[4:]: value for key, value in arrays.items() if key[:4] == "now_"})
        self._best = {key[5:]: value for key, value in arrays.items() if key[:5] == "best_"}
        self._history = [Epoch(**row) for row in state["history"]]
        self._best_epoch, self._step, self._seconds = state["best_epoch"], state["step"], state["seconds"]
        self._best_score = min((score(row, self._stop_on) for row in self._history), default=self._best_score)
        log.info("going on with epoch %d of fine-tuning", len(self._history) + 1)

    def _state_variables(self) -> list[keras.Variable]:
        return [*self._network.variables, *self._network.optimizer.variables, *self._network.metrics_variables]

    @staticmethod
    def _arrays(variables: Sequence[keras.Variable], prefix: str = "") -> dict[str, np.ndarray]:
        return {f"{prefix}{number}": np.asarray(variable) for number, variable in enumerate(variables)}

    @staticmethod
    def _assign(variables: Sequence[keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
        for number, variable in enumerate(variables):
            variable.assign(arrays[str(number)])


def _labels(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([sample.label for sample in samples], dtype=np.int64)
