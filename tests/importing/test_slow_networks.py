"""Imported networks that take long for one photo are refused: by their operators, and by the time of one photo."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from model.bundle import open_bundle
from model.errors import ModelError
from model.importing import untrusted_bundle
from model.importing.network_cost import measure
from tests.support.small_model import write_small_model


def _operations(operator: str) -> int:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1000]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one", values[:1], values[1:])
    return measure(graph, {"x": (1000,), "y": (1000,)}).operations


@pytest.mark.parametrize("operator", ["Sin", "Cos", "Exp", "Erf", "Tanh", "Softmax", "Log", "Sigmoid"])
def test_a_function_costs_more_than_a_sum(operator: str) -> None:
    assert _operations(operator) == 100 * _operations("Neg")


def test_a_model_that_takes_long_for_one_photo_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_model(tmp_path / "slow")
    bundle = open_bundle(tmp_path / "slow")
    untrusted_bundle._check_predictions(bundle)
    monkeypatch.setattr(untrusted_bundle, "MAX_PHOTO_SECONDS", 0.0)
    with pytest.raises(ModelError, match=r"at most 0 s of a processor for one photo"):
        untrusted_bundle._check_predictions(bundle)
