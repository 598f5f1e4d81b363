"""Quantization of an ONNX graph to int8: a quarter of the size, and faster on processors with int8 instructions.

Weights become int8 with a scale per channel; activations uint8, by their range on calibration images
(Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
The head stays float32: it is small, and thresholds were fitted on its outputs.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from model.features.onnx_session import IMAGE
from model.scratch import scratch_folder

_QUANTIZED = ["Conv", "Clip", "Relu", "Add", "Mul", "GlobalAveragePool", "MaxPool"]
_EXCLUDED = {"Gemm", "MatMul", "Softmax"}

log = logging.getLogger(__name__)


def quantize(graph: Path, images: np.ndarray) -> bytes:
    """Quantize the backbone in the graph of a classifier to int8.

    Args:
        graph: model.onnx, which is not changed.
        images: uint8 (n, height, width, 3) for calibration, like the training images.

    Returns:
        A graph with the same inputs and outputs.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with scratch_folder("quantize") as directory:
        prepared, quantized = directory / "prepared.onnx", directory / "quantized.onnx"
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        quantize_static(
            str(prepared),
            str(quantized),
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=[node.name for node in nodes if node.op_type in _EXCLUDED],
        )
        content = quantized.read_bytes()
    log.info("%s in int8: %d of %d bytes", graph.name, len(content), graph.stat().st_size)
    return content


class _Calibration:
    """Calibration images one by one, in the form that ONNX Runtime reads: some networks take no more at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self._steps: Iterator[dict[str, np.ndarray]] = ({IMAGE: image[None]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image, or None after the last."""
        return next(self._steps, None)
