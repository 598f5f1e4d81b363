"""A model to be logged, and no settings of a developer."""

import os
from pathlib import Path

import pytest

from model.bundle import Manifest, write_manifest
from tests.support.shapes import CLASSES


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a developer may have set, and set a short time limit for servers that do not answer."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A small model on disk, whole: enough to be logged."""
    import onnx
    from onnx import TensorProto, helper

    directory = tmp_path / "models" / "small"
    (directory / "predictions").mkdir(parents=True)
    (directory / "report.html").write_text("<html></html>")
    (directory / "predictions" / "test.csv").write_text("image\n")
    rows = ["phase,epoch,loss,val_loss,seconds", "head,1,0.9,1.0,0.5", "head,2,0.5,nan,0.5", "fine_tune,1,0.4,0.6,2"]
    (directory / "results.csv").write_text("\n".join(rows) + "\n")
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])
    shape = helper.make_tensor_value_info("probabilities", TensorProto.INT64, [4])
    graph = helper.make_graph([helper.make_node("Shape", ["image"], ["probabilities"])], "small", [image], [shape])
    onnx.save(helper.make_model(graph), str(directory / "model.onnx"))
    manifest = Manifest(
        name="small",
        created="2026-11-21T10:15:00.000000+00:00",
        versions={"topgraft": "1", "numpy": "2", "onnx": "1", "onnxruntime": "1", "keras": "3", "tensorflow": "2"},
        classes=CLASSES,
        backbone="EfficientNetLite0",
        image_size=8,
        resize="squash",
        scaling="lite",
        train_config={"dataset": "photos", "name": "small", "l2": None, "group_pattern": "x" * 9000},
        dataset={"path": "/data/photos", "fingerprint": "f00d", "counts": {"train": {"circle": 5, "square": 6}}},
        metrics={"test": {"images": 9, "accuracy": 0.75, "accuracy_interval": [0.5, 0.9], "macro_f1_interval": None}},
        temperature=1.0,
        thresholds={"confidence": 0.5},
        engine="onnx",
        parity={},
        files={},
    )
    write_manifest(directory, manifest)
    return directory
