"""Importing TensorFlow without the messages that its native code writes to the terminal."""

import os
import sys
import tempfile

from model.home import prepare_keras
from model.resources import available_processors


def import_tensorflow() -> None:
    """Import TensorFlow with a thread for each processor of this process; call it before TensorFlow is used.

    Its messages are shown only if the import fails. Its log level does not apply to them, since they are written
    before it is read.
    """
    if "tensorflow" in sys.modules:
        return
    prepare_keras()
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
