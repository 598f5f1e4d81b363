"""Answers of a trained model: encoded images in, predictions out."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from model.bundle import KERAS_MODEL, ONNX_MODEL, Bundle, find_bundle, latest_bundles
from model.config import LATEST
from model.dataset.images import decode_image
from model.errors import ImageError, ModelDamagedError
from model.resources import available_processors
from model.results import Prediction
from model.serving.graph import ACTIVATION_MAP, IMAGE, PROBABILITIES, open_session
from model.serving.keras_engine import keras_engine
from model.workspace import Workspace

# Small batches stay in the processor's cache: on a CPU, 8 take less time an image than 16, and half the memory.
BATCH_SIZE = 8

log = logging.getLogger(__name__)

Engine = Callable[[np.ndarray, str], np.ndarray]


class Predictor:
    """A loaded model. Safe to use from several threads at once.

    Attributes:
        bundle: the model on disk that it came from.
        size: (height, width) of the network's input, in pixels.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.size = (bundle.manifest.image_size, bundle.manifest.image_size)
        self._engine = engine

    def decode(self, content: bytes) -> np.ndarray:
        """An encoded image as the network's input: uint8 (height, width, 3).

        Raises:
            ImageError: the bytes are not a picture, or one with too many pixels.
        """
        return decode_image(content, self.size, self.bundle.manifest.resize)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float32 (n, classes) of images uint8 (n, height, width, 3)."""
        return self._engine(images, PROBABILITIES)

    def activation_maps(self, image: np.ndarray) -> np.ndarray:
        """Where the evidence for each class is: float32 (map_height, map_width, classes).

        The head is linear in the pooled features, so its Grad-CAM is exactly the class activation
        map (Zhou et al., 2016; Selvaraju et al., 2017): the feature map weighted by the class's kernel.

        Args:
            image: uint8 (height, width, 3).
        """
        return self._engine(image[None], ACTIVATION_MAP)[0]

    def predict(
        self, images: Iterable[tuple[str, bytes]], top_k: int = 5, batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """Predict encoded images, in their order, a batch at a time.

        Args:
            images: pairs of a name and an encoded image.
            top_k: how many classes to list, at most as many as there are.

        Yields:
            A prediction for each image; one that cannot be decoded has its `error` set.
        """
        stream = iter(images)
        first = list(itertools.islice(stream, 2))
        if len(first) == 1:
            yield from self._predict_batch([(first[0][0], self._decode_or_error(first[0][1]))], top_k)
            return
        stream = itertools.chain(first, stream)
        with ThreadPoolExecutor(available_processors()) as pool:
            while batch := list(itertools.islice(stream, batch_size)):
                decoded = pool.map(self._decode_or_error, [content for _, content in batch])
                names = [name for name, _ in batch]
                yield from self._predict_batch(list(zip(names, decoded, strict=True)), top_k)

    def _predict_batch(self, batch: list[tuple[str, np.ndarray | str]], top_k: int) -> Iterator[Prediction]:
        pictures = [picture for _, picture in batch if isinstance(picture, np.ndarray)]
        rows = iter(self.probabilities(np.stack(pictures)) if pictures else ())
        for name, picture in batch:
            if isinstance(picture, str):
                yield Prediction(name, error=picture)
            else:
                yield self._prediction(name, next(rows), top_k)

    def _prediction(self, name: str, probabilities: np.ndarray, top_k: int) -> Prediction:
        manifest = self.bundle.manifest
        order = np.argsort(-probabilities, kind="stable")[:top_k]
        return Prediction(
            name,
            tuple(manifest.classes[index] for index in order),
            tuple(float(probabilities[index]) for index in order),
            bool(probabilities[order[0]] < manifest.thresholds.get("confidence", 0.0)),
        )

    def _decode_or_error(self, content: bytes) -> np.ndarray | str:
        try:
            return self.decode(content)
        except ImageError as error:
            return error.message


def find_predictor(workspace: Workspace, name: str = LATEST) -> Predictor:
    """Load a model by name; `latest` is the one promoted, else the newest, that can be loaded.

    Raises:
        NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `model.bundle.find_bundle`.
    """
    if name == LATEST:
        for bundle in latest_bundles(workspace):
            try:
                return load_predictor(bundle)
            except ModelDamagedError as error:
                log.warning("latest: skipping a damaged model: %s", error)
    # Where no model can be loaded, this raises, and says what to do.
    return load_predictor(find_bundle(workspace, name))


def load_predictor(bundle: Bundle, threads: int | None = None) -> Predictor:
    """Load a model for serving, by the engine that its manifest names, from a file that is as it was written.

    Args:
        threads: CPU threads for one batch; None means all processors given to this process.

    Raises:
        ModelDamagedError: its file is missing or changed, or cannot be loaded.
    """
    by_keras = bundle.manifest.engine == "keras"
    network = None if by_keras else bundle.read_file(ONNX_MODEL)
    if network is None:
        bundle.verify_file(KERAS_MODEL)
    try:
        engine = keras_engine(bundle) if network is None else _onnx_engine(network, threads)
    except Exception as error:
        raise ModelDamagedError(
            f"the model {bundle.name} in {bundle.directory} cannot be loaded: {error}. Train or fetch it again."
        ) from error
    return Predictor(bundle, engine)


def _onnx_engine(network: bytes, threads: int | None) -> Engine:
    session = open_session(network, threads)
    return lambda images, output: session.run([output], {IMAGE: images})[0]
