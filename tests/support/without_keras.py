"""Run in a spawned process where Keras and TensorFlow cannot be imported; it imports nothing of ours at its top."""

import pickle
import sys

BLOCKED = ("keras", "tensorflow", "tf2onnx", "torch", "jax")


def decode_and_extract(encoded: bytes, pickled_spec: bytes, pickled_extractor: bytes) -> tuple[bytes, list[float]]:
    """The decoded image as bytes and its features, with a pickled `InputSpec` and `FeatureExtractor`."""
    loaded = [name for name in BLOCKED if name in sys.modules]
    assert not loaded, f"imported before they could be blocked: {loaded}"
    sys.modules.update(dict.fromkeys(BLOCKED))

    from model.dataset.images import decode_image

    image = decode_image(encoded, pickle.loads(pickled_spec))
    extractor = pickle.loads(pickled_extractor)
    return image.tobytes(), extractor(image[None])[0].tolist()
