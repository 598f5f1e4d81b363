"""The graphs that Topgraft exports can be imported: their operators are known, and their cost can be computed."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from model.backbones import BACKBONES
from model.errors import ExportError
from model.importing.untrusted_onnx import check_untrusted_graph
from model.networks.onnx_export import convert_backbone
from model.networks.onnx_head import attach_head
from model.networks.pretrained import build_backbone
from model.networks.quantization import quantize
from tests.support.short_networks import SHORT

SIZE = 96
# The members of a family have the same operators, also with fewer blocks.
TRIED_BACKBONES = (
    "EfficientNetLite0",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "InceptionV3",
    "Xception",
    *SHORT,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED_BACKBONES)
def test_the_graphs_of_every_family_are_accepted_in_float32_and_int8(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in SHORT:
        monkeypatch.setattr(keras.applications, name, SHORT[name])
    try:
        backbone = convert_backbone(build_backbone(BACKBONES[name], SIZE, "none"))
    except ExportError as error:
        pytest.skip(f"served by Keras: {error}")
    path, quantized = tmp_path / "model.onnx", tmp_path / "quantized.onnx"
    path.write_bytes(with_head(backbone).SerializeToString())
    check_untrusted_graph(path, SIZE)
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    quantized.write_bytes(quantize(path, images))
    check_untrusted_graph(quantized, SIZE)


def with_head(backbone: onnx.ModelProto) -> onnx.ModelProto:
    """The graph of a classifier of two classes."""
    features = next(output for output in backbone.graph.output if output.name == "features")
    width = features.type.tensor_type.shape.dim[1].dim_value
    return attach_head(backbone, np.zeros((width, 2), np.float32), np.zeros(2, np.float32), temperature=1.0)
