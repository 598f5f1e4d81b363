"""The ONNX graph of a trained model: the names of its input and outputs, and a session to run it.

ONNX Runtime computes only the outputs that are requested.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from model.dataset.pipeline import in_threads
from model.resources import available_processors, release_free_memory

IMAGE = "image"
PROBABILITIES = "probabilities"
FEATURES = "features"
FEATURE_MAP = "feature_map"
ACTIVATION_MAP = "activation_map"


def open_session(graph: Path | bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open a session on a GPU if onnxruntime-gpu is installed and finds one, else on the CPU.

    Args:
        graph: a file, or its content.
        threads: CPU threads for one batch; None means all processors of this process.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_processors()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without this, threads spin between calls and take processor time from other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in preferred if name in onnxruntime.get_available_providers()]
    source = graph if isinstance(graph, bytes) else str(graph)
    session = onnxruntime.InferenceSession(source, options, providers=providers)
    if not is_on_gpu(session):
        # ONNX Runtime keeps the content for the day when a GPU fails.
        session._model_bytes = None
    release_free_memory()
    return session


def is_on_gpu(session: onnxruntime.InferenceSession) -> bool:
    """Whether a session computes on a GPU, where batches are faster than single images."""
    return session.get_providers()[0] != "CPUExecutionProvider"


def takes_batches(session: onnxruntime.InferenceSession) -> bool:
    """Whether batches are faster than single images: on a GPU, of a network for any number of images."""
    return is_on_gpu(session) and not isinstance(session.get_inputs()[0].shape[0], int)


def run_each(
    session: onnxruntime.InferenceSession, outputs: Sequence[str], images: np.ndarray, threads: int | None
) -> list[np.ndarray]:
    """Outputs of each image, as the session returns them of a batch.

    On a CPU, single images take less time and memory than batches, and least in as many threads as there are
    processors by a session with one thread. The outputs of an image do not depend on the others.

    Args:
        images: uint8 (n, height, width, 3), n at least 1.
        threads: images computed at the same time; None means one per processor of this process.
    """

    def run(image: np.ndarray) -> list[np.ndarray]:
        found: list[np.ndarray] = session.run(list(outputs), {IMAGE: image[None]})
        return found

    rows = [run(images[0])] if len(images) == 1 else in_threads(run, images, threads)
    return [np.concatenate(values) for values in zip(*rows, strict=True)]
