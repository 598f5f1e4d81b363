"""The training loop of fine-tuning: steps, validation, the best weights, and checkpoints."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from model.results import Progress
from model.training.batches import Batch, TrainBatches
from model.training.checkpoints import Checkpoints
from model.training.deadline import Deadline
from model.training.epochs import Epoch, measure, score
from model.training.fine_tuning.learning_rates import LayerwiseAdam, learning_rate
from model.training.fine_tuning.replicas import Devices
from model.training.journal import NO_JOURNAL, Journal
from model.training.prefetch import Prefetched

_SECONDS_BETWEEN_REPORTS = 2.0

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Length, learning rate and stopping of a training.

    Attributes:
        phase: name of the training in rows and progress.
        epochs: maximum number of epochs.
        min_epochs: number of epochs that are run even after the deadline; later ones end early at the deadline.
        peak: peak learning rate.
        patience: number of epochs without improvement after which training stops.
        stop_on: the metric to improve (`model.training.epochs.score`).
        checkpoint_seconds: maximum time between two checkpoints; one is also written after each epoch.
    """

    phase: str
    epochs: int
    min_epochs: int
    peak: float
    patience: int
    stop_on: str
    checkpoint_seconds: float


class Validation:
    """The validation images, in batches."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, batch_size: int) -> None:
        """Args:
        inputs: (n, ...).
        labels, weights: (n,); the weights apply to the loss only.
        """
        self.labels, self.weights = labels, weights
        self._batches = np.array_split(inputs, -(-len(labels) // batch_size))

    @property
    def smallest_batch(self) -> int:
        """The number of images in the smallest batch."""
        return min(map(len, self._batches))

    def logits(self, network: keras.Model, devices: Devices) -> np.ndarray:
        """Logits float32 (n, classes) by a network."""
        return np.concatenate([network.predict_on_batch(devices.inputs(batch)) for batch in self._batches])


@dataclasses.dataclass
class _Running:
    """The state of an epoch that has begun.

    Attributes:
        step: the number of batches done.
        images: in these batches.
        loss, right: sums over these images, of the loss and of correct predictions; checkpoints have these names.
        seconds, waited: wall time, and the part of it spent waiting for batches.
    """

    step: int = 0
    images: int = 0
    loss: float = 0.0
    right: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


class TrainingLoop:
    """Training loop over epochs, with the complete state that a checkpoint contains.

    Validation uses the running averages of the weights, and the model keeps these averages.
    A checkpoint of a training with larger batches, or in another precision, is resumed at the same position in
    its epoch.
    """

    def __init__(
        self,
        network: keras.Model,
        train: TrainBatches,
        val: Validation,
        plan: Plan,
        devices: Devices,
        checkpoints: Checkpoints,
        progress: Progress,
        deadline: Deadline,
        journal: Journal = NO_JOURNAL,
    ) -> None:
        """Args:
        network: gives logits; compiled with a `LayerwiseAdam`, built, its loss scaled or not, and the metric accuracy.
        devices: devices on which the network was built.
        deadline: time at which to stop with the best weights so far.
        """
        self._network, self._train, self._val, self._plan, self._devices = network, train, val, plan, devices
        self._checkpoints, self._progress, self._deadline = checkpoints, progress, deadline
        self._journal = journal
        with devices.scope():
            devices.build(network, train.epoch(1))
        self._optimizer: LayerwiseAdam = getattr(network.optimizer, "inner_optimizer", network.optimizer)
        self._history: list[Epoch] = []
        self._best_epoch, self._best_score = 0, (float("inf"), float("inf"))
        self._best = _arrays(network.variables)
        self._running = _Running()

    def run(self) -> tuple[tuple[Epoch, ...], int]:
        """Run the remaining epochs and give the network the weights of the best; return the rows and that epoch."""
        self._restore()
        for row in self._history:
            self._journal.epoch(row, None)
        while not self._is_over():
            self._run_epoch(len(self._history) + 1)
        _assign(self._network.variables, self._best)
        return tuple(self._history), self._best_epoch

    def _is_over(self) -> bool:
        done = len(self._history)
        stuck = done - self._best_epoch >= self._plan.patience
        return done >= self._plan.epochs or stuck or self._must_end()

    def _must_end(self) -> bool:
        return len(self._history) >= self._plan.min_epochs and self._deadline.is_over()

    def _run_epoch(self, epoch: int) -> None:
        running = self._running
        started, before = time.perf_counter(), running.seconds
        saved, reported, waited_before = started, started, running.waited
        batches = Prefetched(self._train.epoch(epoch, running.step))
        for batch in batches:
            self._step(epoch, batch)
            running.seconds = before + time.perf_counter() - started
            running.waited = waited_before + batches.waited
            if self._deadline.is_over():
                break
            if time.perf_counter() - reported > _SECONDS_BETWEEN_REPORTS:
                self._report_step()
                reported = time.perf_counter()
            if time.perf_counter() - saved > self._plan.checkpoint_seconds:
                self._save()
                saved = time.perf_counter()
        self._end_epoch(epoch)

    def _step(self, epoch: int, batch: Batch) -> None:
        steps = len(self._train)
        position = (epoch - 1) * steps + self._running.step
        self._optimizer.learning_rate = learning_rate(position, self._plan.epochs * steps, self._plan.peak)
        self._network.reset_metrics()
        results = self._network.train_on_batch(*self._devices.batch(batch), return_dict=True)
        images = len(batch[0])
        self._running.step += 1
        self._running.images += images
        self._running.loss += float(results["loss"]) * images
        self._running.right += float(results["accuracy"]) * images

    def _end_epoch(self, epoch: int) -> None:
        """Validate, record and save an epoch, with the averaged weights in the network."""
        running = self._running
        measuring = time.perf_counter()
        with self._averaged_weights():
            val_logits = self._val.logits(self._network, self._devices)
            val = measure(val_logits, self._val.labels, self._val.weights)
            row = Epoch(
                self._plan.phase,
                epoch,
                running.loss / running.images,
                running.right / running.images,
                val.loss,
                val.accuracy,
                float(np.asarray(self._optimizer.learning_rate)),
                running.seconds + time.perf_counter() - measuring,
                val.macro_f1,
                running.waited / running.seconds,
            )
            self._record(row)
        self._running = _Running()
        self._report(row)
        self._journal.epoch(row, val_logits)
        self._save()

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        trained = self._network.trainable_variables
        now = _arrays(trained)
        _assign(trained, _arrays(self._optimizer.averages))
        yield
        _assign(trained, now)

    def _record(self, row: Epoch) -> None:
        self._history.append(row)
        reached = score(row, self._plan.stop_on)
        if reached < self._best_score:
            self._best_score, self._best_epoch = reached, row.epoch
            self._best = _arrays(self._network.variables)

    def _report_step(self) -> None:
        """Report the progress within an epoch, which may take many minutes."""
        running = self._running
        self._progress(
            self._plan.phase,
            len(self._history),
            self._plan.epochs,
            step=running.step,
            steps=len(self._train),
            images_per_second=running.images / running.seconds,
            loss=running.loss / running.images,
        )

    def _report(self, row: Epoch) -> None:
        log.info("%s, epoch %d: %.0f %% of the time spent waiting for input", row.phase, row.epoch, 100 * row.waiting)
        self._progress(
            row.phase,
            row.epoch,
            self._plan.epochs,
            loss=row.loss,
            val_loss=row.val_loss,
            val_accuracy=row.val_accuracy,
            val_macro_f1=row.val_macro_f1,
            waiting=row.waiting,
        )

    def _save(self) -> None:
        """Save weights, random state, optimizer and averages; the best weights; the rows; the position in the epoch."""
        arrays = {f"now_{key}": value for key, value in _arrays(self._state_variables()).items()}
        arrays |= {f"scale_{key}": value for key, value in _arrays(self._loss_scale_variables()).items()}
        arrays |= {f"best_{key}": value for key, value in self._best.items()}
        state = {
            "steps": len(self._train),
            "history": [dataclasses.asdict(row) for row in self._history],
            "best_epoch": self._best_epoch,
            "running": dataclasses.asdict(self._running),
        }
        self._checkpoints.save(arrays, state)

    def _restore(self) -> None:
        found = self._checkpoints.latest()
        if found is None:
            return
        arrays, state = found
        _assign(self._state_variables(), _with_prefix(arrays, "now_"))
        if loss_scale := _with_prefix(arrays, "scale_"):
            _assign(self._loss_scale_variables(), loss_scale)
        self._best = _with_prefix(arrays, "best_")
        self._history = [Epoch(**row) for row in state["history"]]
        self._best_epoch, self._running = state["best_epoch"], _Running(**state["running"])
        self._best_score = min((score(row, self._plan.stop_on) for row in self._history), default=self._best_score)
        self._running.step = self._running.step * len(self._train) // state["steps"]
        log.info("resuming with epoch %d of %s", len(self._history) + 1, self._plan.phase)

    def _state_variables(self) -> list[keras.Variable]:
        return [*self._network.variables, *self._optimizer.variables]

    def _loss_scale_variables(self) -> list[keras.Variable]:
        """Variables that only a training in mixed precision has: it may be resumed without its GPU."""
        of_adam = set(map(id, self._optimizer.variables))
        return [variable for variable in self._network.optimizer.variables if id(variable) not in of_adam]


def _arrays(variables: Sequence[keras.Variable]) -> dict[str, np.ndarray]:
    return {str(number): np.array(variable) for number, variable in enumerate(variables)}


def _assign(variables: Sequence[keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
    for number, variable in enumerate(variables):
        variable.assign(arrays[str(number)])


def _with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
