"""Fine-tuning: the head with the last block of a pretrained backbone, with all of it, or a network from scratch.

The frozen part is run once for each view of each image and its output kept on disk, so an epoch costs only
the part that is trained. An epoch has each image once, in the next of its views.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers

from model import durable
from model.config import TrainConfig
from model.dataset.pipeline import Transform
from model.dataset.training_data import TrainingData
from model.features.out_of_memory import with_batches_that_fit
from model.networks.network import copy_network, cut_at_last_block, freeze_batch_normalization
from model.reading import UnreadableError, read_regular, unreadable
from model.results import InputSpec, Progress
from model.serving.keras_engine import HEAD
from model.training.batches import MappedInputs, TrainBatches, log_priors
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.fine_tuning.hardware import devices, gpus, make_reproducible, precision
from model.training.fine_tuning.input_store import InputStore, NoTimeForInputsError
from model.training.fine_tuning.learning_rates import LayerwiseAdam, factors_by_depth
from model.training.fine_tuning.replicas import MirroredLossScale
from model.training.fine_tuning.training_loop import Plan, TrainingLoop, Validation
from model.training.head_candidates import Head
from model.training.journal import NO_JOURNAL, Journal

PHASE = "fine_tune"
_LEARNING_RATE = 1e-4
_LEARNING_RATE_FROM_SCRATCH = 1e-3
_MAX_DIGITS = 20

log = logging.getLogger(__name__)

Part = Literal["top", "all", "scratch"]
"""The part that is trained with the head: the last block, the whole backbone, or all layers from random weights."""


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The result of fine-tuning.

    Attributes:
        head: head of the best epoch, with a row per epoch; `best_epoch` is 0 if the deadline passed before the first.
        val_logits: float32 (n, classes), of the validation images; empty if the deadline passed before.
        batch_size: the images in a step; fewer than requested if the memory of a GPU was too small.
    """

    head: Head
    val_logits: np.ndarray
    batch_size: int


def fine_tune(
    backbone: keras.Model,
    head: Head,
    part: Part,
    data: TrainingData,
    train_weights: np.ndarray,
    val_weights: np.ndarray,
    config: TrainConfig,
    directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
    transforms: Sequence[Transform | None] = (None,),
    journal: Journal = NO_JOURNAL,
) -> Tuned:
    """Train a part of `backbone`, and the head on it.

    The backbone is left with the weights of the best epoch, by `config.stop_on`. An interrupted call is resumed
    from its checkpoints in `directory`, to the same result. If the memory of a GPU runs out, training continues
    from the last checkpoint with half the batch size.

    Args:
        head: the head to begin with.
        data: the images; the splits train and val are used.
        train_weights, val_weights: weights of the images of these splits, float (n,) of mean 1.
        directory: for the checkpoints, and for the outputs of the frozen part.
        deadline: time at which to stop with the best weights so far.
        transforms: to each view of the training images; None for the image itself.
        journal: records each epoch.

    Raises:
        TrainingError: the memory of the GPU is too small for a single image.
    """
    present = gpus()
    make_reproducible(config.seed, present)
    trunk, block = cut_at_last_block(backbone) if part == "top" else (None, backbone)
    height, width = backbone.input.shape[1:3]
    spec = InputSpec(height, width, config.resize, data.intensity)
    plan, classes = _plan(config, part), head.kernel.shape[1]
    time_for_inputs = NO_DEADLINE if plan.min_epochs else deadline
    store = InputStore(trunk, spec, config.batch_size, directory, PHASE, progress, time_for_inputs)
    try:
        train_inputs = store.write("train", data.samples("train"), transforms)
        [val_inputs] = store.write("val", data.samples("val"), [None])
    except NoTimeForInputsError:
        untouched = dataclasses.replace(head, best_epoch=0, history=())
        return Tuned(untouched, np.empty((0, classes), np.float32), config.batch_size)
    labels = data.labels[data.rows("train")]
    adjustment = log_priors(labels, classes) if config.imbalance == "logit_adjustment" else None

    checkpoints, smaller = Checkpoints(directory / "checkpoints"), directory / "batch_size.txt"

    def attempt(batch_size: int) -> Tuned:
        durable.write_text(smaller, str(batch_size))
        train = TrainBatches(MappedInputs(train_inputs), labels, train_weights, classes, config, batch_size)
        val = Validation(val_inputs, data.labels[data.rows("val")], val_weights, batch_size)
        used = devices(present, min(train.smallest_batch, val.smallest_batch))
        with used.scope():
            copy = copy_network(block, precision(present))
            network = trainable_network(copy, head, part, adjustment, len(train))
        loop = TrainingLoop(network, train, val, plan, used, checkpoints, progress, deadline, journal)
        history, best_epoch = loop.run()
        block.set_weights(copy.get_weights())
        kernel, bias = (np.asarray(weight) for weight in network.get_layer(HEAD).weights)
        return Tuned(Head(kernel, bias, 0.0, best_epoch, history), val.logits(network, used), batch_size)

    first = _smaller_batch(smaller) or config.batch_size
    return with_batches_that_fit(attempt, first)


def _smaller_batch(path: Path) -> int | None:
    """Batch size that fitted into memory before an interruption; None if none is recorded."""
    try:
        with unreadable():
            return max(1, int(read_regular(path, _MAX_DIGITS)))
    except FileNotFoundError:
        return None
    except UnreadableError as error:
        log.warning("%s: expected a batch size, received: %s. The requested one is used.", path, error)
        return None


def trainable_network(
    block: keras.Model, head: Head, part: Part, adjustment: np.ndarray | None, steps_per_epoch: int
) -> keras.Model:
    """A compiled network from the inputs of `block` to logits, with the layers of `block`.

    In a pretrained one, BatchNormalization layers keep their statistics and scale, the learning rate falls with the
    distance from the head, and weights are averaged over about an epoch.

    Args:
        adjustment: added to the logits while training, float32 (classes,).
    """
    dense = layers.Dense(head.kernel.shape[1], name=HEAD, dtype="float32")
    logits = dense(layers.GlobalAveragePooling2D(dtype="float32")(block.output))
    dense.set_weights([head.kernel, head.bias])
    network = keras.Model(block.input, logits if adjustment is None else _AdjustedWhileTraining(adjustment)(logits))
    if part == "scratch":
        factors, momentum = [1.0] * len(network.trainable_variables), 0.0
    else:
        freeze_batch_normalization(block)
        factors, momentum = factors_by_depth(network, block), 1 - 1 / steps_per_epoch
    adam = LayerwiseAdam(factors, momentum)
    network.compile(
        MirroredLossScale(adam) if "float16" in str(block.output.dtype) else adam,
        keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        metrics=["accuracy"],
    )
    network.optimizer.build(network.trainable_variables)
    return network


class _AdjustedWhileTraining(layers.Layer):
    """Adds an adjustment to the logits in training, and returns them unchanged in inference."""

    def __init__(self, adjustment: np.ndarray) -> None:
        super().__init__(dtype="float32")
        self._adjustment = adjustment

    def call(self, logits: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        return logits + self._adjustment if training else logits


def _plan(config: TrainConfig, part: Part) -> Plan:
    """A network from scratch gets one epoch at least, since without it there is no model."""
    scratch = part == "scratch"
    return Plan(
        phase=PHASE,
        epochs=config.epochs if scratch else config.fine_tune_epochs,
        min_epochs=1 if scratch else 0,
        peak=config.fine_tune_learning_rate or (_LEARNING_RATE_FROM_SCRATCH if scratch else _LEARNING_RATE),
        patience=config.patience,
        stop_on=config.stop_on,
        checkpoint_seconds=config.checkpoint_minutes * 60,
    )
