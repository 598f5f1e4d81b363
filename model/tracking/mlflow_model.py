"""Files of MLflow's model format for a trained model: flavors, signature and requirements.

They are written according to MLflow's documentation and not by MLflow's own functions, which require pandas and load
the network a second time.
"""

import json
import platform
import re
import uuid
from pathlib import Path
from typing import Any

import mlflow
import yaml

from model.bundle import Bundle
from model.bundle_files import ONNX_MODEL

MODEL = "model"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,99}")


def write_model_files(folder: Path, bundle: Bundle, run_id: str) -> None:
    """Write MLmodel, python_env.yaml and requirements.txt; the files of the model belong into the same folder.

    The model then loads with `mlflow.onnx` and `mlflow.pyfunc`, or with `mlflow.keras` if Keras is its engine.
    """
    by_onnx = bundle.manifest.engine == "onnx"
    description = {
        "artifact_path": MODEL,
        "flavors": _onnx_flavors(bundle) if by_onnx else _keras_flavors(bundle),
        "metadata": _preprocessing(bundle),
        "mlflow_version": mlflow.__version__,
        "model_uuid": uuid.uuid4().hex,
        "run_id": run_id,
        "signature": _onnx_signature(bundle) if by_onnx else _keras_signature(bundle),
        "utc_time_created": bundle.manifest.created.replace("T", " ").partition("+")[0],
    }
    packages = ("numpy", "onnx", "onnxruntime") if by_onnx else ("numpy", "keras", "tensorflow")
    known = bundle.manifest.versions
    stated = {name: str(known.get(name, "")) for name in packages}
    # pip would follow further lines and options in the text of a hostile manifest.
    needed = ["mlflow", *(f"{name}=={text}" if _VERSION.fullmatch(text) else name for name, text in stated.items())]
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "MLmodel").write_text(yaml.safe_dump(description), encoding="utf-8")
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join(needed) + "\n", encoding="utf-8")


def _preprocessing(bundle: Bundle) -> dict[str, Any]:
    """How a photo becomes the uint8 input of the network: the fields of the manifest."""
    manifest = bundle.manifest
    return {"image_size": manifest.image_size, "resize": manifest.resize, "intensity": str(manifest.intensity)}


def _onnx_flavors(bundle: Bundle) -> dict[str, Any]:
    onnx = {
        "onnx_version": bundle.manifest.versions.get("onnx", ""),
        "data": ONNX_MODEL,
        "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"],
        "code": None,
    }
    return {"onnx": onnx, "python_function": _python_function("mlflow.onnx") | {"data": ONNX_MODEL}}


def _keras_flavors(bundle: Bundle) -> dict[str, Any]:
    # MLflow looks for model.keras inside the folder that `data` names.
    keras = {"keras_version": bundle.manifest.versions.get("keras", ""), "data": ".", "save_exported_model": False}
    return {"keras": keras, "python_function": _python_function("mlflow.keras")}


def _python_function(loader: str) -> dict[str, Any]:
    return {
        "loader_module": loader,
        "python_version": platform.python_version(),
        "env": {"virtualenv": "python_env.yaml"},
    }


def _onnx_signature(bundle: Bundle) -> dict[str, Any]:
    import onnx

    graph = onnx.load(str(bundle.directory / ONNX_MODEL), load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [_onnx_tensor(value) for value in graph.input if value.name not in weights]
    return _signature(inputs, [_onnx_tensor(value) for value in graph.output])


def _onnx_tensor(value: Any) -> dict[str, Any]:
    from onnx.helper import tensor_dtype_to_np_dtype

    tensor = value.type.tensor_type
    shape = [dimension.dim_value or -1 for dimension in tensor.shape.dim]
    return _tensor(value.name, tensor_dtype_to_np_dtype(tensor.elem_type).name, shape)


def _keras_signature(bundle: Bundle) -> dict[str, Any]:
    size = bundle.manifest.image_size
    image = _tensor("image", "uint8", [-1, size, size, 3])
    return _signature([image], [_tensor("probabilities", "float32", [-1, len(bundle.manifest.classes)])])


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}


def _signature(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}
