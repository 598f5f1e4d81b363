"""The ONNX graph of a trained model: the names of its input and outputs, and a session to run it.

ONNX Runtime computes only the outputs that are requested.
"""

from pathlib import Path

import onnxruntime

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
    release_free_memory()
    return session
