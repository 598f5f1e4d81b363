"""A predictor without a network, and uploads as DEEPaaS makes them."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from model.bundle import Bundle
from model.bundle_files import ONNX_MODEL
from model.config import PREDICT_DEFAULTS, PredictConfig
from model.dataset.images import decode_image
from model.errors import ImageError, ModelDamagedError
from model.results import InputSpec, Prediction

CLASSES = ("dark", "bright", "other")


class Upload(NamedTuple):
    """DEEPaaS's UploadedFile."""

    name: str
    filename: str
    content_type: str
    original_filename: str


class FakePredictor:
    """Says `bright` or `dark`; sees the mean of the pixels."""

    spec = InputSpec.square(8)
    marks = ("uncertain",)
    judged_by = ()

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        if (bundle.directory / ONNX_MODEL).read_bytes() == b"corrupt":
            raise ModelDamagedError(f"the model {bundle.name} cannot be loaded")

    def decode(self, content: bytes) -> np.ndarray:
        return decode_image(content, self.spec)

    def predict_stream(
        self,
        images: Iterable[tuple[str, bytes]],
        config: PredictConfig = PREDICT_DEFAULTS,
        on_error: Callable[[tuple[str, bytes], ImageError], Prediction] | None = None,
    ) -> Iterator[Prediction]:
        for name, content in images:
            try:
                brightness = float(self.decode(content).mean() / 255)
            except ImageError as error:
                yield Prediction(name, error=error.message) if on_error is None else on_error((name, content), error)
                continue
            ranked = sorted(zip((1 - brightness, brightness, 0.0), CLASSES, strict=True), reverse=True)[: config.top_k]
            yield Prediction(name, tuple(label for _, label in ranked), tuple(value for value, _ in ranked))

    def class_index(self, name: str) -> int:
        return CLASSES.index(name)

    def activation_maps(self, image: np.ndarray) -> np.ndarray:
        return np.ones((2, 2, len(CLASSES)), np.float32)
