"""Out of memory on a GPU: the same work again with half as many images at a time."""

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

from model.errors import TrainingError
from model.resources import is_out_of_memory

T = TypeVar("T")

log = logging.getLogger(__name__)


def with_batches_that_fit(work: Callable[[int], T], batch_size: int) -> T:
    """Do work with this many images at a time; half as many, and so on, where the memory of the device runs out.

    Args:
        work: from the batch size to its result; begun anew with the next.

    Raises:
        TrainingError: there is too little for a single image.
    """
    while True:
        try:
            return work(batch_size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise TrainingError(
                    "expected enough memory, that of the GPU where there is one, for a single image at a time, found "
                    "too little. Lower image_size, take a smaller backbone, or end what else uses the memory."
                ) from error
            log.warning("out of memory with %d images at a time: trying %d", batch_size, batch_size // 2)
        batch_size //= 2
        # The error is gone now, and with it what held the tensors of the failed work, but for circles.
        gc.collect()
