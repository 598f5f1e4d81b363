"""Constants of a graph, computed once: what a graph computes from shapes and weights for each image again."""

from pathlib import Path

import onnx
import onnxruntime

from model.errors import ModelError
from model.reading import without_number
from model.received import quoted

_STANDARD = ("", "ai.onnx")


def fold_constants(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """A graph whose results are the same, without the operators that do not depend on its input.

    Args:
        model: a graph whose input has a fixed shape.
        folder: for temporary files.

    Raises:
        ModelError: ONNX Runtime cannot read the graph.
    """
    source, folded = folder / "source.onnx", folder / "folded.onnx"
    source.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    # Later levels write operators of ONNX Runtime that are not part of the standard.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    # ONNX Runtime raises classes of its own.
    except Exception as error:
        raise ModelError(
            f"expected a network that can be computed, received: {quoted(without_number(error))}"
        ) from error
    result = onnx.load_model_from_string(folded.read_bytes())
    used = [one for one in result.opset_import if one.domain in _STANDARD]
    del result.opset_import[:]
    result.opset_import.extend(used)
    del result.graph.value_info[:]
    return result
