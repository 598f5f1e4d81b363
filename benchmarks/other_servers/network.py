"""A photo to an answer with Pillow and ONNX Runtime, in as few steps as possible."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

_TOP = 5


class Network:
    """The network of a model on disk.

    Args:
        folder: has model.onnx and manifest.json.
        threads: of one call of ONNX Runtime.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self._classes: list[str] = manifest["classes"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        _, height, width, _ = self._session.get_inputs()[0].shape
        self._size = (width, height)

    def classify(self, content: bytes) -> dict[str, Any]:
        """The most probable classes of an encoded photo."""
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", self._size)
        pixels = np.asarray(image.convert("RGB").resize(self._size, Image.Resampling.BILINEAR))
        [[probabilities]] = self._session.run(["probabilities"], {"image": pixels[None]})
        best = np.argsort(-probabilities)[:_TOP]
        return {
            "labels": [self._classes[index] for index in best],
            "probabilities": [float(probabilities[index]) for index in best],
        }


def load_network() -> Network:
    """The network that the environment variables select."""
    return Network(Path(os.environ["BENCHMARK_MODEL"]), int(os.environ["BENCHMARK_THREADS"]))
