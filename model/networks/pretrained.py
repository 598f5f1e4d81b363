"""Building a backbone in Keras: from uint8 pixels to its last feature map, with its weights.

`model.backbones` has the table; this reads its rows.
"""

import urllib.parse
from pathlib import Path

import keras
import numpy as np
from keras import layers

from model.added_backbones import added_content
from model.backbones import BACKBONES, Backbone
from model.errors import ConfigError, WeightsError
from model.networks import efficientnet_lite
from model.networks.keras_weights import weights_directory
from model.networks.network import side_by_side
from model.networks.scaling import factor_and_offset
from model.reading import with_path

_CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])

# Keras stores these two files under other names than those in their addresses.
_FILE_NAMES = {"NASNet-mobile-no-top.h5": "nasnet_mobile_no_top.h5", "NASNet-large-no-top.h5": "nasnet_large_no_top.h5"}


def build_backbone(backbone: Backbone, image_size: int, weights: str, seed: int = 0) -> keras.Model:
    """Build a functional model from pixels to features, including the scaling of pixels.

    Args:
        backbone: a row of the table, or weights for one that were added.
        image_size: height and width of its input, in pixels.
        weights: `imagenet`, which are those that were added of such a backbone, or `none` for random ones.
        seed: fixes the random ones.

    Returns:
        A model from uint8 (n, image_size, image_size, 3), RGB in [0, 255], to a float32 feature map
        (n, map_height, map_width, channels): scaling, then the network itself, nested in it as the
        layer `backbone.name`.

    Raises:
        ConfigError: the network cannot take images of that size.
        WeightsError: its weights cannot be read or fetched.
    """
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    network = _network(backbone, image_size, weights)
    network.name = backbone.name
    return keras.Model(pixels, network(_scale(pixels, backbone)), name=f"{backbone.name}_from_pixels")


def _network(backbone: Backbone, image_size: int, weights: str) -> keras.Model:
    if backbone.added is not None and backbone.added.architecture:
        network = _network(BACKBONES[backbone.added.architecture], image_size, "none")
        # The content is verified; Keras reads it again, from the file.
        added_content(backbone.added)
        network.load_weights(backbone.added.path)
        return network
    build = _embedded if backbone.embedded else _application
    return build(backbone, image_size, weights)


def _scale(pixels: keras.KerasTensor, backbone: Backbone) -> keras.KerasTensor:
    """Scaling as built-in layers, so that a saved model can be loaded without Topgraft."""
    if backbone.scaling != "caffe":
        factor, offset = (np.asarray(value).tolist() for value in factor_and_offset(backbone.scaling))
        return layers.Rescaling(factor, offset, name="scaling")(pixels)
    as_float = layers.Rescaling(1.0, name="scaling")(pixels)
    swap = layers.Conv2D(3, 1, use_bias=False, trainable=False, name="rgb_to_bgr")
    swapped = swap(as_float)
    swap.set_weights([np.eye(3, dtype="float32")[::-1].reshape(1, 1, 3, 3)])
    return layers.Rescaling(1.0, (-_CAFFE_MEAN_BGR).tolist(), name="centring")(swapped)


def _embedded(backbone: Backbone, image_size: int, weights: str) -> keras.Model:
    if backbone.parts:
        parts = [_embedded(BACKBONES[name], image_size, weights) for name in backbone.parts]
        for part, name in zip(parts, backbone.parts, strict=True):
            part.name = name
        return side_by_side(parts)
    scaled = keras.Input((image_size, image_size, 3))
    network = keras.Model(scaled, efficientnet_lite.feature_map(scaled, backbone.name))
    if weights == "imagenet":
        efficientnet_lite.load_imagenet_weights(network, backbone.name)
    return network


def _application(backbone: Backbone, image_size: int, weights: str) -> keras.Model:
    build = getattr(keras.applications, backbone.name)
    try:
        return build(
            include_top=False,
            weights=None if weights == "none" else weights,
            input_shape=(image_size, image_size, 3),
        )
    except ValueError as error:
        if "corrupted file" in str(error):
            raise WeightsError(f"{backbone.name}: {error} Remove it from {weights_directory()}.") from error
        raise ConfigError(
            f"backbone {backbone.name} with image_size {image_size}: {error} Try image_size {backbone.image_size}."
        ) from error
    except Exception as error:
        if "URL fetch failure" not in with_path(error):
            raise
        raise WeightsError(_how_to_place_weights(backbone, with_path(error))) from error


def _how_to_place_weights(backbone: Backbone, failure: str) -> str:
    address = next((word for word in failure.split() if word.startswith("http")), "").rstrip(":")
    published = Path(urllib.parse.urlparse(address).path).name
    return (
        f"{backbone.name}: its ImageNet weights could not be fetched ({failure}). Without a network, "
        f"fetch {address or 'the weights'} elsewhere and place the file at "
        f"{weights_directory() / _FILE_NAMES.get(published, published)}, or use an EfficientNetLite backbone, "
        "whose weights are installed."
    )
