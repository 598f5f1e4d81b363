"""Export formats: functions that write a model in each format, and that run it for the comparison.

TensorFlow is imported by those that need it.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.errors import ExportError, ModelError
from model.features.onnx_session import PROBABILITIES, open_session, run_each
from model.reading import with_path

if TYPE_CHECKING:
    import keras

Write = Callable[[Bundle, Path], None]
Run = Callable[[Path, np.ndarray], np.ndarray]
"""From a file or folder and images uint8 (n, height, width, 3) to probabilities float32 (n, classes)."""

SAVED_MODEL = "saved_model"
LITERT_MODEL = "model.tflite"


def write_onnx(bundle: Bundle, path: Path) -> None:
    """Copy the served ONNX graph.

    Raises:
        ModelError: the model has no ONNX graph, because its parity check failed.
    """
    if ONNX_MODEL not in bundle.manifest.files:
        raise ModelError(
            f"{bundle.name}: expected a model with {ONNX_MODEL}; this one is served by Keras, because its "
            "ONNX graph failed the parity check. Export it as keras, saved_model or litert."
        )
    shutil.copyfile(bundle.directory / ONNX_MODEL, path)


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities computed by ONNX Runtime."""
    return run_each(open_session(path, threads=1), [PROBABILITIES], images, threads=None)[0]


def write_keras(bundle: Bundle, path: Path) -> None:
    """Copy the Keras model."""
    shutil.copyfile(bundle.directory / KERAS_MODEL, path)


def run_keras(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities computed by Keras."""
    import keras

    network = keras.models.load_model(path, compile=False, safe_mode=True)
    return np.asarray(network.predict_on_batch(images))


def write_saved_model(bundle: Bundle, path: Path) -> None:
    """Write a TensorFlow SavedModel for TensorFlow Serving, with the endpoint `serve` and any batch size."""
    _load(bundle).export(str(path), format="tf_saved_model", verbose=False)


def run_saved_model(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities computed by TensorFlow, without Keras."""
    import tensorflow as tf

    # The variables are freed together with this object.
    loaded = tf.saved_model.load(str(path))
    return np.asarray(loaded.serve(tf.constant(images)))


def write_litert(bundle: Bundle, path: Path) -> None:
    """Write a LiteRT (TensorFlow Lite) file in float32, for one photo at a time.

    Raises:
        ExportError: LiteRT has no counterpart of an operation of the network.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        # A network that is converted directly loses its weights.
        write_saved_model(bundle, Path(directory))
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        try:
            path.write_bytes(converter.convert())
        # A missing counterpart is reported by exceptions of several classes.
        except Exception as error:
            reason = (with_path(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"{bundle.name} cannot be converted to LiteRT: {reason}") from error


def run_litert(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities computed by the LiteRT interpreter, one image at a time."""
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    [entry], [answer] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        probabilities: np.ndarray = interpreter.get_tensor(answer["index"])[0]
        return probabilities

    return np.stack([run(image) for image in images])


def _interpreter(path: Path) -> Any:
    import tensorflow as tf

    with warnings.catch_warnings():
        # It recommends the package ai-edge-litert, which is the same interpreter.
        warnings.simplefilter("ignore")
        return tf.lite.Interpreter(model_path=str(path))


def _load(bundle: Bundle) -> "keras.Model":
    import keras

    return keras.models.load_model(bundle.directory / KERAS_MODEL, compile=False, safe_mode=True)
