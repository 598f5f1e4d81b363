"""Inputs of the trained part of a network, computed once and kept in memory-mapped files."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from model.dataset.pipeline import Transform, decoded_batches
from model.features.out_of_memory import with_batches_that_fit
from model.results import InputSpec, Progress, Sample
from model.training.deadline import NO_DEADLINE, Deadline


class NoTimeForInputsError(Exception):
    """The time limit was reached before all inputs were computed."""


class InputStore:
    """Decoded images, or the outputs of a frozen trunk for them, on disk: their number is not limited by memory."""

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
        trunk: from uint8 images to the inputs; None if the inputs are the images themselves.
        spec: the input of the network, to which the images are resized.
        batch_size: the maximum number of images in a call of the trunk.
        directory: folder of the files, whose names begin with the phase.
        progress: reports the phase `<phase>_inputs`, in images.
        deadline: time at which to stop.
        """
        self._trunk, self._spec, self._batch_size = trunk, spec, batch_size
        self._directory, self._phase, self._progress, self._deadline = directory, phase, progress, deadline

    def write(self, name: str, samples: Sequence[Sample], transforms: Sequence[Transform | None]) -> np.ndarray:
        """Compute the inputs of one split into a file, unless a complete one exists.

        Args:
            transforms: to each view of the images; None for the image itself.

        Returns:
            (transforms, n, height, width, channels): uint8 images, or float32 from the trunk.

        Raises:
            OSError: the disk is full.
            NoTimeForInputsError: the deadline passed first.
        """
        whole = self._directory / f"{self._phase}_{name}.npy"
        if not whole.exists():
            inside = self._spec.shape if self._trunk is None else self._trunk.output.shape[1:]
            partial = whole.with_suffix(".part")
            stored = np.lib.format.open_memmap(partial, "w+", self._dtype, (len(transforms), len(samples), *inside))
            _allocate(partial)
            with_batches_that_fit(lambda size: self._fill(stored, samples, transforms, size), self._batch_size)
            partial.rename(whole)
        return np.load(whole, mmap_mode="r")

    @property
    def _dtype(self) -> type:
        return np.uint8 if self._trunk is None else np.float32

    def _fill(
        self, stored: np.memmap, samples: Sequence[Sample], transforms: Sequence[Transform | None], batch_size: int
    ) -> None:
        for number, transform in enumerate(transforms):
            done = 0
            for images in decoded_batches(samples, self._spec, batch_size, transform):
                if self._deadline.is_over():
                    raise NoTimeForInputsError
                inputs = images if self._trunk is None else self._trunk.predict_on_batch(images)
                stored[number, done : done + len(images)] = inputs
                done += len(images)
                self._progress(f"{self._phase}_inputs", number * len(samples) + done, len(transforms) * len(samples))
        stored.flush()


def _allocate(path: Path) -> None:
    """Allocate the disk space of a file: a full disk met while writing to mapped memory would kill the process."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
