"""Which ImageNet weights of keras.applications are on this machine, without building a network or fetching any."""

from pathlib import Path

from model.backbones import BACKBONES, Backbone
from model.environment import KERAS_HOME

_IRREGULAR = {
    "EfficientNetV2": "efficientnetv2-{variant}_notop.h5",
    "EfficientNet": "efficientnet{variant}_notop.h5",
    "ConvNeXt": "convnext_{variant}_notop.h5",
    "InceptionResNetV2": "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "InceptionV3": "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "MobileNetV3": "weights_mobilenet_v3_{variant}_224_1.0_float_no_top_v2.h5",
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "MobileNet": "mobilenet_1_0_224_tf_no_top.h5",
    "NASNet": "nasnet_{variant}_no_top.h5",
}
_REGULAR = "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def weights_directory() -> Path:
    """Where Keras keeps what it has fetched: models/ in KERAS_HOME, else in ~/.keras."""
    return KERAS_HOME.read().expanduser() / "models"


def weights_file(backbone: Backbone) -> Path:
    """Where Keras looks for the weights of a backbone of its own, at the image size they were trained with."""
    family = next((family for family in _IRREGULAR if backbone.name.startswith(family)), "")
    variant = backbone.name.removeprefix(family).lower()
    return weights_directory() / _IRREGULAR.get(family, _REGULAR).format(name=backbone.name.lower(), variant=variant)


def ready_backbones() -> tuple[Backbone, ...]:
    """The backbones whose weights are here: the embedded ones, then the others from the smallest file on."""
    embedded = [backbone for backbone in BACKBONES.values() if backbone.embedded]
    others = [backbone for backbone in BACKBONES.values() if not backbone.embedded and weights_file(backbone).is_file()]
    return (*embedded, *sorted(others, key=lambda backbone: weights_file(backbone).stat().st_size))
