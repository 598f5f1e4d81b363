"""Handling a GPU that runs out of memory: repeat the work with half the batch size."""

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

from model.errors import TrainingError
from model.resources import is_out_of_memory

T = TypeVar("T")

log = logging.getLogger(__name__)


def with_batches_that_fit(work: Callable[[int], T], batch_size: int) -> T:
    """Call `work` with a batch size, halved each time the memory of the device runs out.

    Args:
        work: from a batch size to a result; it is repeated as a whole.

    Raises:
        TrainingError: the memory is too small for a single image.
    """
    while True:
        try:
            return work(batch_size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise TrainingError(
                    "expected enough memory, or GPU memory if a GPU is used, for one image at a time, found too "
                    "little. Lower image_size, choose a smaller backbone, or close other programs that use this memory."
                ) from error
            log.warning("out of memory with %d images at a time: trying %d", batch_size, batch_size // 2)
        batch_size //= 2
        # The error is out of scope, so its references to tensors of the failed work are freed, except for cycles.
        gc.collect()
