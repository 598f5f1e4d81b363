"""Photos with an object at a known place, and how often a class activation map points at it.

The pointing game of Zhang et al. (2018), for a backbone with a head that was trained on other photos of the same kind.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx

from model.backbones import Backbone
from model.config import TrainConfig
from model.dataset.images import decode_image
from model.features.onnx_session import ACTIVATION_MAP, FEATURES, IMAGE, open_session
from model.networks.converted_backbone import converted_backbone
from model.networks.onnx_head import attach_head
from model.resources import available_processors
from model.results import InputSpec
from model.synthesis.backgrounds import draw_background
from model.synthesis.composition import Box, ComposedPhoto, Variation, compose_photo
from model.synthesis.traffic_signs import SIGNS, draw_sign
from model.training.head import train_head
from model.training.head_candidates import HeadOptions, LabelledFeatures

CLASSES = tuple(SIGNS)
SIZE = 240, 320
TRAIN, TEST = range(16), range(100, 105)


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos of all classes and the places of their objects."""

    composed: tuple[ComposedPhoto, ...]
    labels: np.ndarray

    def pixels(self, spec: InputSpec) -> np.ndarray:
        """Input of a network: uint8 (n, height, width, 3)."""
        return np.stack([decode_image(photo.content, spec) for photo in self.composed])


def composed(indices: range) -> Photos:
    labels = np.repeat(np.arange(len(CLASSES)), len(indices))

    def compose(label: int, index: int) -> ComposedPhoto:
        rng = np.random.default_rng([index, label])
        sign, background = draw_sign(CLASSES[label], rng), draw_background(SIZE, rng)
        return compose_photo(sign, background, rng, Variation())

    with ThreadPoolExecutor(available_processors()) as threads:
        return Photos(tuple(threads.map(compose, labels, [*indices] * len(CLASSES))), labels)


@dataclasses.dataclass(frozen=True)
class Hits:
    """Photos whose activation map is highest at the object, bool (n,) each.

    Attributes:
        own: the map of the true class of each photo.
        of_others: the map of another photo, which points at the object by chance only.
    """

    own: np.ndarray
    of_others: np.ndarray


def play(backbone: Backbone, train: Photos, test: Photos) -> Hits:
    """Train a head of a backbone, and look where its activation maps point at."""
    spec = InputSpec(backbone.image_size, backbone.image_size)
    graph = onnx.load_from_string(converted_backbone(backbone, backbone.image_size))
    network = with_head(graph, train.pixels(spec), train.labels)
    maps = outputs(network, ACTIVATION_MAP, test.pixels(spec))
    rows = zip(test.composed, maps, test.labels, strict=True)
    own = [points_at(photo.box, activation[..., label]) for photo, activation, label in rows]
    of_others = [points_at(photo.box, maps[row - 1][..., 0]) for row, photo in enumerate(test.composed)]
    return Hits(np.array(own), np.array(of_others))


def with_head(graph: onnx.ModelProto, images: np.ndarray, labels: np.ndarray) -> bytes:
    """The backbone with a head trained on these images."""
    features = outputs(graph.SerializeToString(), FEATURES, images)
    held_out = np.arange(len(labels)) % 4 == 0
    train, val = (LabelledFeatures(features[rows], labels[rows], np.ones(rows.sum())) for rows in (~held_out, held_out))
    head = train_head(train, val, len(CLASSES), HeadOptions.from_config(TrainConfig()))
    return attach_head(graph, head.kernel, head.bias, temperature=1.0).SerializeToString()


def outputs(graph: bytes, name: str, images: np.ndarray) -> np.ndarray:
    session = open_session(graph)
    return np.concatenate(
        [session.run([name], {IMAGE: images[start : start + 8]})[0] for start in range(0, len(images), 8)]
    )


def points_at(box: Box, activation: np.ndarray) -> bool:
    """Whether the cell of the highest activation overlaps the box."""
    rows, columns = activation.shape
    row, column = np.unravel_index(activation.argmax(), activation.shape)
    left, top, right, bottom = box
    height, width = SIZE[0] / rows, SIZE[1] / columns
    return bool(
        left < (column + 1) * width and column * width < right and top < (row + 1) * height and row * height < bottom
    )
