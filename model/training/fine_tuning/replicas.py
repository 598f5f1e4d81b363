"""Training on one device, or on several GPUs that share each batch."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from model.training.batches import Batch


class Devices(Protocol):
    """What a network is trained on.

    Attributes:
        replicas: how many share a batch.
    """

    replicas: int

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network and its optimizer are made."""

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Make what the network lacks before its first batch."""

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """A batch of at least `replicas` images as `train_on_batch` takes it."""

    def inputs(self, inputs: np.ndarray) -> Any:
        """Inputs (n, ...) of at least `replicas` images as `predict_on_batch` takes them."""


class OneDevice:
    """The one that Keras uses by itself."""

    replicas = 1

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Nothing special."""
        return contextlib.nullcontext()

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Keras does."""

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """As it is."""
        return batch

    def inputs(self, inputs: np.ndarray) -> Any:
        """As they are."""
        return inputs


class Mirrored:
    """Several devices of TensorFlow, each with a copy of the weights; gradients are added up.

    Keras gives each of them the whole of a batch that comes as an array, so it is divided here.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: of the devices, such as `GPU:0`.
        """
        import tensorflow as tf

        self._strategy = tf.distribute.MirroredStrategy(list(names))
        self.replicas: int = self._strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """That of the strategy."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Metrics are made from arrays, never from parts of them."""
        inputs, targets, weights = next(batches)
        network.test_on_batch(inputs[:1], targets[:1], weights[:1])

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """A part for each device."""
        return tuple(self.inputs(array) for array in evened(batch, self.replicas))

    def inputs(self, inputs: np.ndarray) -> Any:
        """A part for each device; the outputs come back in one piece and in order."""
        import tensorflow as tf

        parts = np.array_split(inputs, self.replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )


class MirroredLossScale(keras.optimizers.LossScaleOptimizer):
    """Dynamic loss scaling (Micikevicius et al., 2018) that leaves a step out where it overflows on any device.

    That of Keras looks at the first device only, whose part of the batch may be harmless.
    """

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Whether the gradients of all devices are finite; called on each of them."""
        import tensorflow as tf

        overflown = tf.cast(tf.logical_not(super().check_finite(grads)), tf.int32)
        context = tf.distribute.get_replica_context()
        return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, overflown), 0)


def evened(batch: Batch, parts: int) -> Batch:
    """A batch with other weights, so that the mean loss of its parts, as `numpy.array_split` makes them, is that of
    the whole, though they differ by an image."""
    inputs, targets, weights = batch
    sizes = [len(part) for part in np.array_split(weights, parts)]
    factors = np.repeat([size * parts / len(weights) for size in sizes], sizes)
    return inputs, targets, (weights * factors).astype(weights.dtype)
