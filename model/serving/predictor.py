"""A trained model that classifies images."""

import dataclasses
import functools
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np

from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL, ONNX_MODEL, TRAINING_FEATURES
from model.config import LATEST, PREDICT_DEFAULTS, PredictConfig
from model.dataset.images import DecodedImage, DecodedPhoto, read_content
from model.dataset.intensity.misfit import misfit_warning
from model.dataset.pipeline import BATCH_SIZE, decode_within_budget, decoded_photos, encoded_batches
from model.errors import ImageError, ModelDamagedError
from model.features.onnx_session import (
    ACTIVATION_MAP,
    FEATURES,
    IMAGE,
    PROBABILITIES,
    open_session,
    run_each,
    takes_batches,
)
from model.reading import with_path
from model.registry import find_model
from model.resources import is_out_of_memory
from model.results import Prediction
from model.schema import load
from model.serving.inputs import ImageContent, ImageInput, is_one_image, named_image, named_images
from model.serving.keras_engine import keras_engine
from model.serving.prediction_rules import PredictionRules
from model.serving.reference_features import ReferenceFeatures, neighbour_distances, read_reference_features
from model.workspace import Workspace

log = logging.getLogger(__name__)

Engine = Callable[..., list[np.ndarray]]
"""From uint8 images (n, height, width, 3), and names of outputs (`model.features.onnx_session`), to these outputs."""


def failed_prediction(image: tuple[str, ImageContent], error: ImageError) -> Prediction:
    """Prediction of an image that cannot be decoded: its name and the error."""
    return Prediction(image[0], error=error.message)


class Predictor:
    """A loaded model. Safe to use from several threads at once.

    Attributes:
        bundle: the model on disk.
        spec: the input of the network.
        reference: features of its training images; None if the bundle has none.
        threads: CPU threads for one batch; None means all processors of this process.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, reference: ReferenceFeatures | None = None, threads: int | None = None
    ) -> None:
        self.bundle = bundle
        self.reference = reference
        self.spec = bundle.manifest.input_spec
        self._engine = engine
        self.threads = threads

    def decode(self, image: ImageContent) -> np.ndarray:
        """An image as the network's input: uint8 (height, width, 3).

        Raises:
            ImageError: it cannot be decoded, has too many pixels, or is an array of another shape or type.
        """
        return self._decode(image).pixels

    def _decode(self, image: ImageContent) -> DecodedPhoto:
        content = read_content(image) if isinstance(image, Path) else image
        return decode_within_budget(content, self.spec)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float32 (n, classes) of images uint8 (n, height, width, 3)."""
        return self._engine(images, PROBABILITIES)[0]

    def activation_maps(self, image: np.ndarray) -> np.ndarray:
        """Class activation maps: float32 (map_height, map_width, classes).

        The head is linear in the pooled features, so Grad-CAM (Selvaraju et al., 2017) equals the class activation map
        (Zhou et al., 2016): the feature map weighted by the kernel of the class.

        Args:
            image: uint8 (height, width, 3).
        """
        return self._engine(image[None], ACTIVATION_MAP)[0][0]

    def probabilities_and_features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 (n, classes), and features of the backbone float32 (n, features), of such images."""
        probabilities, features = self._engine(images, PROBABILITIES, FEATURES)
        return probabilities, features

    def distances(self, features: np.ndarray) -> np.ndarray | None:
        """Distances float32 (n,) from the training images, of features float32 (n, features).

        They are None for a model without reference features.
        """
        return None if self.reference is None else neighbour_distances(self.reference.distances(features))

    @property
    def rules(self) -> PredictionRules:
        """The predictions of this model for probabilities and features."""
        return _rules(self.bundle, self.reference)

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks that this model can set: `unknown`, `uncertain`, both or neither."""
        thresholds = self.bundle.manifest.thresholds
        unknown = ("unknown",) if self.reference is not None and "distance" in thresholds else ()
        return unknown + (("uncertain",) if "confidence" in thresholds else ())

    @property
    def judged_by(self) -> tuple[str, ...]:
        """Criteria by which this model marks images as unknown: `features`, or none."""
        return ("features",) if "unknown" in self.marks else ()

    def class_index(self, name: str) -> int:
        """Index of a class.

        Raises:
            ConfigError: there is no such class.
        """
        return self.rules.class_index(name)

    @overload
    def predict(self, images: ImageInput, config: PredictConfig = ..., **options: Any) -> Prediction: ...

    @overload
    def predict(
        self, images: Iterable[ImageInput], config: PredictConfig = ..., **options: Any
    ) -> list[Prediction]: ...

    def predict(
        self,
        images: ImageInput | Iterable[ImageInput],
        config: PredictConfig = PREDICT_DEFAULTS,
        **options: Any,
    ) -> Prediction | list[Prediction]:
        """Classify one image, or several.

        Args:
            images: a path, the bytes of an image file, a PIL image, or an array uint8 RGB of shape (height, width, 3);
                or several of these, as a list, an iterator or an array of shape (n, height, width, 3).
            config: the options of the prediction.
            options: options of `PredictConfig`, such as `top_k=3`, which replace those of `config`.

        Returns:
            A prediction for one image; a list of predictions, in the order of the images, for several. In a list, an
            image that cannot be read has its `error` set.

        Raises:
            ImageError: the one image cannot be read.
            ConfigError: an option has a value that cannot be used, or needs what this model does not have.

        Example:
            >>> model = topgraft.load("shapes")
            >>> model.predict("photo.jpg").labels[0]
            'circle'
            >>> [prediction.image for prediction in model.predict(["photo.jpg", "other.jpg"], top_k=1)]
            ['photo.jpg', 'other.jpg']
        """
        config = load(PredictConfig, dataclasses.asdict(config), options)
        if not is_one_image(images):
            return list(self.predict_stream(named_images(cast(Iterable[ImageInput], images)), config))
        self.rules.check_options(config)
        name, content = named_image(images, "image")
        try:
            photo = self._decode(content)
        except ImageError as error:
            raise type(error)(f"{name}: {error.message}") from error
        [prediction] = self._predict_batch([name], [photo], config)
        return prediction

    def predict_stream(
        self,
        images: Iterable[tuple[str, ImageContent]],
        config: PredictConfig = PREDICT_DEFAULTS,
        batch_size: int = BATCH_SIZE,
        on_error: Callable[[tuple[str, ImageContent], ImageError], Prediction] = failed_prediction,
    ) -> Iterator[Prediction]:
        """Classify any number of images, in their order, a batch at a time.

        Args:
            images: pairs of a name and an image: its file, its bytes, or its pixels.
            config: number of classes and neighbours to list, and thresholds that override those of the model.
            on_error: prediction for an image that cannot be decoded and its error; by default its `error` is set.

        Yields:
            A prediction for each image.

        Raises:
            ConfigError: an option names a class that the model does not have, or requires reference features and the
                model has none.
        """
        self.rules.check_options(config)
        for batch in encoded_batches(images, batch_size):
            # A single image needs no thread.
            threads = 1 if len(batch) == 1 else self.threads
            found = list(decoded_photos(batch, _content, self.spec, threads, on_error))
            yield from self._predict_batch([name for name, _ in batch], found, config)

    def _predict_batch(
        self, names: Sequence[str], photos: Sequence[DecodedPhoto | Prediction], config: PredictConfig
    ) -> Iterator[Prediction]:
        """Predict the decoded photos; a failed one is passed on as its prediction with the error."""
        pairs = zip(names, photos, strict=True)
        decodable = [(name, photo.pixels) for name, photo in pairs if isinstance(photo, DecodedPhoto)]
        predicted = self._infer(decodable, config) if decodable else iter(())
        for photo in photos:
            if isinstance(photo, Prediction):
                yield photo
                continue
            warning = misfit_warning(photo.values, self.spec.intensity)
            yield dataclasses.replace(next(predicted), warning=warning)

    def _infer(self, images: Sequence[tuple[str, np.ndarray]], config: PredictConfig) -> Iterator[Prediction]:
        """Predictions for decoded images with their names."""
        names, pixels = [name for name, _ in images], np.stack([pixels for _, pixels in images])
        if self.reference is None:
            return self.rules.predictions(names, self.probabilities(pixels), None, config)
        return self.rules.predictions(names, *self.probabilities_and_features(pixels), config)


def _content(image: tuple[str, ImageContent]) -> bytes | DecodedImage:
    content = image[1]
    return read_content(content) if isinstance(content, Path) else content


def find_predictor(workspace: Workspace, name: str = LATEST) -> Predictor:
    """Load a model by its name, or the latest model.

    Raises:
        NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `model.registry.find_bundle`.
    """
    return find_model(workspace, name, lambda model: load_predictor(model.open()))


def load_predictor(bundle: Bundle, threads: int | None = None) -> Predictor:
    """Load a model with the engine named in its manifest, from a file verified by checksum.

    Args:
        threads: CPU threads for one batch, and as many for decoding; None means all processors of this process.
            TensorFlow ignores it.

    Raises:
        ModelDamagedError: its file is missing or changed, or cannot be loaded.
        MemoryError: there is not enough memory to load it.
    """
    by_keras = bundle.manifest.engine == "keras"
    network = None if by_keras else bundle.read_file(ONNX_MODEL)
    if network is None:
        bundle.verify_file(KERAS_MODEL)
    try:
        engine = keras_engine(bundle) if network is None else _onnx_engine(network, threads)
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(f"{bundle.name} cannot be loaded: {with_path(error)}") from error
        raise ModelDamagedError(
            f"the model {bundle.name} in {bundle.directory} cannot be loaded: {with_path(error)}. "
            "Train or download it again."
        ) from error
    return Predictor(bundle, engine, _reference_features(bundle), threads)


def prediction_rules(bundle: Bundle) -> PredictionRules:
    """The predictions of a model for probabilities and features, without its network.

    Raises:
        ModelDamagedError: its file of reference features is missing or changed, or cannot be read.
    """
    return _rules(bundle, _reference_features(bundle))


def _rules(bundle: Bundle, reference: ReferenceFeatures | None) -> PredictionRules:
    return PredictionRules(bundle.name, bundle.manifest.classes, bundle.manifest.thresholds, reference)


def _reference_features(bundle: Bundle) -> ReferenceFeatures | None:
    if TRAINING_FEATURES not in bundle.manifest.files:
        return None
    content = bundle.read_file(TRAINING_FEATURES)
    try:
        return read_reference_features(content)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelDamagedError(
            f"the model {bundle.name}: expected features of training images in {TRAINING_FEATURES}, received: {error}. "
            "Train or download it again."
        ) from error


def _onnx_engine(network: bytes, threads: int | None) -> Engine:
    """Engine of an ONNX graph; see `load_predictor`.

    Without a number of threads, several images are computed by a second session, opened when they first come. With
    one, as in a worker of the service, the one session computes them one after the other, and its memory is saved.
    """
    session = open_session(network, threads)
    if takes_batches(session):
        return lambda images, *outputs: session.run(list(outputs), {IMAGE: images})
    if threads is not None:
        return lambda images, *outputs: run_each(session, outputs, images, threads=1)
    one_thread = functools.cache(lambda: open_session(network, threads=1))

    def run(images: np.ndarray, *outputs: str) -> list[np.ndarray]:
        return run_each(session if len(images) == 1 else one_thread(), outputs, images, threads)

    return run
