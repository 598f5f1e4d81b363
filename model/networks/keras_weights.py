"""The files of ImageNet weights of keras.applications on this machine; nothing is built or downloaded."""

from pathlib import Path

from model.backbones import BACKBONES, Backbone
from model.environment import KERAS_HOME
from model.home import folder_in_home

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
    """The download folder of Keras: models/ in KERAS_HOME, else in ~/.keras."""
    return folder_in_home(KERAS_HOME) / "models"


def weights_file(backbone: Backbone) -> Path:
    """The file in which Keras stores the weights of a backbone, at the image size they were trained with."""
    family = next((family for family in _IRREGULAR if backbone.name.startswith(family)), "")
    variant = backbone.name.removeprefix(family).lower()
    return weights_directory() / _IRREGULAR.get(family, _REGULAR).format(name=backbone.name.lower(), variant=variant)


def ready_backbones() -> tuple[Backbone, ...]:
    """The backbones whose weights are on this machine: embedded ones, then the others by the size of their file."""
    embedded = [backbone for backbone in BACKBONES.values() if backbone.embedded]
    others = [backbone for backbone in BACKBONES.values() if not backbone.embedded and weights_file(backbone).is_file()]
    return (*embedded, *sorted(others, key=lambda backbone: weights_file(backbone).stat().st_size))
