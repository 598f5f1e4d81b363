"""Training on one device, or on several GPUs with a part of each batch."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from model.training.batches import Batch


class Devices(Protocol):
    """The devices that a network is trained on.

    Attributes:
        replicas: the number of parts of a batch.
    """

    replicas: int

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network and its optimizer are created."""

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Create the state that the network needs before its first batch."""

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """A batch of at least `replicas` images in the form for `train_on_batch`."""

    def inputs(self, inputs: np.ndarray) -> Any:
        """Inputs (n, ...) of at least `replicas` images in the form for `predict_on_batch`."""


class OneDevice:
    """The default device of Keras."""

    replicas = 1

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """A context without effect."""
        return contextlib.nullcontext()

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Do nothing: Keras creates its state by itself."""

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """The batch itself."""
        return batch

    def inputs(self, inputs: np.ndarray) -> Any:
        """The inputs themselves."""
        return inputs


class Mirrored:
    """Several devices of TensorFlow, each with a copy of the weights; gradients are summed.

    Keras passes a batch of arrays to each of them as a whole, so it is divided here.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: names of the devices, such as `GPU:0`.
        """
        import tensorflow as tf

        self._strategy = tf.distribute.MirroredStrategy(list(names))
        self.replicas: int = self._strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The scope of the strategy."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def build(self, network: keras.Model, batches: Iterator[Batch]) -> None:
        """Create the metrics from arrays, since they cannot be created from distributed values."""
        inputs, targets, weights = next(batches)
        network.test_on_batch(inputs[:1], targets[:1], weights[:1])

    def batch(self, batch: Batch) -> tuple[Any, ...]:
        """A part for each device."""
        return tuple(self.inputs(array) for array in balanced(batch, self.replicas))

    def inputs(self, inputs: np.ndarray) -> Any:
        """A part for each device; the outputs are returned in one array and in order."""
        import tensorflow as tf

        parts = np.array_split(inputs, self.replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )


class MirroredLossScale(keras.optimizers.LossScaleOptimizer):
    """Dynamic loss scaling (Micikevicius et al., 2018) that skips a step if it overflows on any device.

    The optimizer of Keras checks the first device only.
    """

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Whether the gradients of all devices are finite; called on each of them."""
        import tensorflow as tf

        overflown = tf.cast(tf.logical_not(super().check_finite(grads)), tf.int32)
        context = tf.distribute.get_replica_context()
        return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, overflown), 0)


def balanced(batch: Batch, parts: int) -> Batch:
    """A batch with weights corrected so that the mean loss of its parts, as split by `numpy.array_split`, is that of
    the whole batch, although the sizes of parts differ by one."""
    inputs, targets, weights = batch
    sizes = [len(part) for part in np.array_split(weights, parts)]
    factors = np.repeat([size * parts / len(weights) for size in sizes], sizes)
    return inputs, targets, (weights * factors).astype(weights.dtype)
