"""Importing TensorFlow without the lines its native code writes to every terminal."""

import os
import sys
import tempfile

from model.resources import available_processors


def import_tensorflow() -> None:
    """Import TensorFlow now, with a thread for each processor that is ours; call it before TensorFlow is used.

    What it writes meanwhile is shown only if the import fails. Its log level settings do not reach these lines:
    they are written before they are read.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            import keras  # it decides on a backend and loads that

            if keras.backend.backend() == "tensorflow":
                _limit_threads()
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _limit_threads() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(available_processors())
    tf.config.threading.set_inter_op_parallelism_threads(available_processors())
