"""The numbers of a training for TensorBoard."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from model.training.epochs import Epoch


def write_scalars(directory: Path, history: Sequence[Epoch]) -> None:
    """Write a run below `directory` for each phase, with a curve for each number of its epochs."""
    import tensorflow as tf

    for phase in dict.fromkeys(row.phase for row in history):
        writer = tf.summary.create_file_writer(str(directory / phase))
        with writer.as_default():
            for row in history:
                if row.phase == phase:
                    values = dataclasses.asdict(row)
                    for name in values.keys() - {"phase", "epoch"}:
                        tf.summary.scalar(name, values[name], step=row.epoch)
        writer.close()
