"""Out-of-memory errors of a GPU halve the batches instead of failing the training."""

import keras
import numpy as np
import pytest

from model.config import TrainConfig
from model.errors import TrainingError
from model.features.extractor import extract_features
from model.features.out_of_memory import with_batches_that_fit
from model.resources import is_out_of_memory
from model.results import InputSpec
from model.runs.trainer import train
from tests.support.trainings import FINE_TUNED


class XlaRuntimeError(RuntimeError):
    """Named as JAX names its own."""


def _exhausted() -> Exception:
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[32,112,112,32]")


@pytest.mark.parametrize(
    "error",
    [
        XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1234 bytes."),
        RuntimeError("bfc_arena.cc:376 AllocateRawInternal: Failed to allocate memory for requested buffer of size 1"),
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
    ids=["JAX", "ONNX Runtime", "CUDA"],
)
def test_out_of_memory_errors_of_every_library_are_recognised(error):
    assert is_out_of_memory(error)


def test_out_of_memory_errors_of_tensorflow_are_recognised_and_others_raised():
    assert is_out_of_memory(_exhausted())
    with pytest.raises(ValueError, match="shape"):
        with_batches_that_fit(lambda size: np.zeros(size).reshape(3, 5), 32)


def test_batches_are_halved_until_they_fit():
    tried = []

    def work(size: int) -> int:
        tried.append(size)
        if size > 5:
            raise _exhausted()
        return size

    assert with_batches_that_fit(work, 32) == 4 and tried == [32, 16, 8, 4]


def test_the_error_of_too_little_memory_for_one_image_states_the_remedy():
    def work(size: int) -> int:
        raise _exhausted()

    with pytest.raises(TrainingError, match="Lower image_size"):
        with_batches_that_fit(work, 32)


def test_features_are_extracted_in_smaller_parts(shapes):
    from model.results import Sample, no_progress

    samples = [Sample(path, path.name, 0) for path in sorted((shapes / "circle").iterdir())]

    def extract(images: np.ndarray) -> np.ndarray:
        if len(images) > 3:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1")
        return images.mean(axis=(1, 2))

    features = extract_features(extract, samples, InputSpec.square(16), no_progress)
    whole = extract_features(lambda images: images.mean(axis=(1, 2)), samples, InputSpec.square(16), no_progress)
    assert np.array_equal(features, whole)


@pytest.mark.usefixtures("tiny_network")
@pytest.mark.slow
@pytest.mark.parametrize("good_steps", [0, 5], ids=["at the first step", "in the second epoch"])
def test_a_training_out_of_memory_continues_in_smaller_batches_and_reports_it(
    workspace, shapes, monkeypatch, good_steps
):
    train_on_batch = keras.Model.train_on_batch
    sizes: list[int] = []
    epochs: list[int] = []

    def on_a_small_gpu(self, inputs, *arguments, **options):
        sizes.append(len(inputs))
        if len(inputs) > 4 and len(sizes) > good_steps:
            raise _exhausted()
        return train_on_batch(self, inputs, *arguments, **options)

    def watch(phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if phase == "fine_tune" and done > 0:
            epochs.append(done)

    monkeypatch.setattr(keras.Model, "train_on_batch", on_a_small_gpu)
    options = vars(FINE_TUNED) | {"dataset": str(shapes), "epochs": 3, "folds": 0, "test_fraction": 0.0}
    result = train(TrainConfig(**options), workspace, watch)
    assert [warning for warning in result.warnings if "fine-tuning ended with batches of 4" in warning]
    assert epochs == sorted(epochs) and set(epochs) == {1, 2, 3}
    smaller = sizes[good_steps + 1 :]
    images_of_an_epoch = 30
    left = 3 * images_of_an_epoch - sum(sizes[:good_steps])
    assert max(smaller) <= 4 and abs(sum(smaller) - left) <= 4
