"""What new photos are compared with: images that the model was not made of, described as new photos are.

Training images would not do. They lie nearer to themselves than any new photo does, and the axes fit them best.
"""

import io
import zipfile
from pathlib import Path

import numpy as np

from model import durable
from model.bundle import FEATURE_SCALE, Bundle
from model.bundle_files import HELD_OUT_FEATURES
from model.errors import ModelDamagedError

MOST_IMAGES = 2000


def write_held_out(path: Path, rows: np.ndarray) -> None:
    """Write what held-out images are like.

    Args:
        rows: float32 (n, 1 + components), of each image the distance from the training images and its components.
    """
    stream = io.BytesIO()
    np.savez_compressed(stream, rows=np.round(rows * FEATURE_SCALE).astype(np.int16))
    durable.write_bytes(path, stream.getvalue())


def read_held_out(bundle: Bundle) -> np.ndarray | None:
    """Rows of distance and components, int (n, 1 + components), in units of 1 / `FEATURE_SCALE`; None without them.

    Raises:
        ModelDamagedError: the file is missing, changed, or something else.
    """
    if HELD_OUT_FEATURES not in bundle.manifest.files:
        return None
    content = bundle.read_file(HELD_OUT_FEATURES)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = arrays["rows"]
        if rows.ndim != 2:
            raise ValueError(f"expected rows, received an array of shape {rows.shape}")
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelDamagedError(
            f"the model {bundle.name}: expected features of held-out images in {HELD_OUT_FEATURES}, received: {error}. "
            "Train or fetch it again."
        ) from error
    return rows.astype(np.int64)
