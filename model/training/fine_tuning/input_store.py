"""What enters the trained part of a network, made once and kept in files mapped to memory."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from model.features.extraction import Look, decoded_batches
from model.features.out_of_memory import with_batches_that_fit
from model.results import InputSpec, Progress, Sample
from model.training.deadline import NO_DEADLINE, Deadline


class NoTimeForInputsError(Exception):
    """The time was over before all inputs were made."""


class InputStore:
    """Decoded images, or what a frozen trunk makes of them: 100,000 of them need no memory."""

    def __init__(
        self,
        trunk: keras.Model | None,
        spec: InputSpec,
        batch_size: int,
        directory: Path,
        phase: str,
        progress: Progress,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """Args:
        trunk: from uint8 images to the inputs; None where the images themselves are.
        spec: the input of the network, to which the images are resized.
        batch_size: images that pass through the trunk together, at most.
        directory: for the files; they begin with the name of the phase.
        progress: told of `<phase>_inputs`, in images.
        deadline: when to give up.
        """
        self._trunk, self._spec, self._batch_size = trunk, spec, batch_size
        self._directory, self._phase, self._progress, self._deadline = directory, phase, progress, deadline

    def write(self, name: str, samples: Sequence[Sample], looks: Sequence[Look]) -> np.ndarray:
        """The inputs of one split as an array in a file; a whole one is used again.

        Returns:
            (looks, n, height, width, channels): uint8 images, or float32 from the trunk.

        Raises:
            OSError: they find no room on the disk.
            NoTimeForInputsError: the time was over before.
        """
        whole = self._directory / f"{self._phase}_{name}.npy"
        if not whole.exists():
            inside = self._spec.shape if self._trunk is None else self._trunk.output.shape[1:]
            partial = whole.with_suffix(".part")
            stored = np.lib.format.open_memmap(partial, "w+", self._dtype, (len(looks), len(samples), *inside))
            _claim(partial)
            with_batches_that_fit(lambda size: self._fill(stored, samples, looks, size), self._batch_size)
            partial.rename(whole)
        return np.load(whole, mmap_mode="r")

    @property
    def _dtype(self) -> type:
        return np.uint8 if self._trunk is None else np.float32

    def _fill(self, stored: np.memmap, samples: Sequence[Sample], looks: Sequence[Look], batch_size: int) -> None:
        for number, look in enumerate(looks):
            done = 0
            for images in decoded_batches(samples, self._spec, batch_size, look):
                if self._deadline.is_over():
                    raise NoTimeForInputsError
                inputs = images if self._trunk is None else self._trunk.predict_on_batch(images)
                stored[number, done : done + len(images)] = inputs
                done += len(images)
                self._progress(f"{self._phase}_inputs", number * len(samples) + done, len(looks) * len(samples))
        stored.flush()


def _claim(path: Path) -> None:
    """Take the room of a file on the disk now: a full disk met while filling it would kill the process."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
