"""Held-out features: the reference distribution for detecting drift, from images the model was not trained on.

Training images are unsuitable: they are closer to each other than new photos are, and the axes are fitted to them.
"""

import io
from pathlib import Path

import numpy as np

from model import durable
from model.bundle import FEATURE_SCALE, Bundle
from model.bundle_files import HELD_OUT_FEATURES
from model.errors import ModelDamagedError
from model.files.arrays import read_arrays
from model.reading import UnreadableError, unreadable

MAX_IMAGES = 2000
_MAX_BYTES = 16 * 1024**2


def write_held_out(path: Path, rows: np.ndarray) -> None:
    """Write held-out features.

    Args:
        rows: float32 (n, 1 + components), distance from the training images and components of each image.
    """
    stream = io.BytesIO()
    np.savez_compressed(stream, rows=np.round(rows * FEATURE_SCALE).astype(np.int16))
    durable.write_bytes(path, stream.getvalue())


def read_held_out(bundle: Bundle) -> np.ndarray | None:
    """Read held-out features: int (n, 1 + components), in units of 1 / `FEATURE_SCALE`; None if there are none.

    Raises:
        ModelDamagedError: the file is missing, changed or invalid.
    """
    if HELD_OUT_FEATURES not in bundle.manifest.files:
        return None
    content = bundle.read_file(HELD_OUT_FEATURES)
    try:
        with unreadable():
            rows = read_arrays(content, _MAX_BYTES)["rows"]
            if rows.ndim != 2:
                raise ValueError(f"expected rows, received an array of shape {rows.shape}")
    except UnreadableError as error:
        raise ModelDamagedError(
            f"the model {bundle.name}: expected features of held-out images in {HELD_OUT_FEATURES}, received: {error}. "
            "Train or download it again."
        ) from error
    return rows.astype(np.int64)
