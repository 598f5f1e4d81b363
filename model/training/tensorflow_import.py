"""Importing TensorFlow without the lines its native code writes to every terminal."""

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Import TensorFlow now; what it writes meanwhile is shown only if the import fails.

    Its log level settings do not reach these lines: they are written before they are read.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            import keras  # noqa: F401 - it decides on a backend and loads that
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
