"""The table of backbones: what each is called, eats and comes from. To add one, add a row.

Nothing here needs Keras, so that Swagger, `--help` and error messages can read the table;
`model.networks.pretrained` builds the networks.
"""

import dataclasses
import difflib
from typing import Literal

from model.errors import ConfigError

Scaling = Literal["lite", "tf", "torch", "caffe", "built_in"]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One pretrained network.

    Attributes:
        name: the name users type.
        image_size: height and width, in pixels, that its weights were trained with.
        scaling: how pixels in [0, 255] become its input: `lite` (x - 127) / 128; `tf` x / 127.5 - 1;
            `torch` x / 255 normalised by the ImageNet mean and deviation; `caffe` BGR minus the
            ImageNet mean; `built_in` nothing, the network scales by itself.
        embedded: whether its weights are installed with Topgraft; else the network is that of
            keras.applications, which fetches its weights once.
    """

    name: str
    image_size: int
    scaling: Scaling
    embedded: bool = False


def _family(scaling: Scaling, embedded: bool = False, **sizes: int) -> tuple[Backbone, ...]:
    return tuple(Backbone(name, size, scaling, embedded) for name, size in sizes.items())


_ROWS = (
    *_family("lite", embedded=True, EfficientNetLite0=224, EfficientNetLite1=240, EfficientNetLite2=260),
    *_family("built_in", ConvNeXtTiny=224, ConvNeXtSmall=224, ConvNeXtBase=224),
    *_family("built_in", ConvNeXtLarge=224, ConvNeXtXLarge=224),
    *_family("torch", DenseNet121=224, DenseNet169=224, DenseNet201=224),
    *_family("built_in", EfficientNetB0=224, EfficientNetB1=240, EfficientNetB2=260),
    *_family("built_in", EfficientNetB3=300, EfficientNetB4=380, EfficientNetB5=456),
    *_family("built_in", EfficientNetB6=528, EfficientNetB7=600),
    *_family("built_in", EfficientNetV2B0=224, EfficientNetV2B1=240),
    *_family("built_in", EfficientNetV2B2=260, EfficientNetV2B3=300),
    *_family("built_in", EfficientNetV2S=384, EfficientNetV2M=480, EfficientNetV2L=480),
    *_family("tf", InceptionResNetV2=299),
    *_family("tf", InceptionV3=299),
    *_family("tf", MobileNet=224),
    *_family("tf", MobileNetV2=224),
    *_family("built_in", MobileNetV3Small=224, MobileNetV3Large=224),
    *_family("tf", NASNetMobile=224, NASNetLarge=331),
    *_family("caffe", ResNet50=224, ResNet101=224, ResNet152=224),
    *_family("tf", ResNet50V2=224, ResNet101V2=224, ResNet152V2=224),
    *_family("caffe", VGG16=224),
    *_family("caffe", VGG19=224),
    *_family("tf", Xception=299),
)

BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}


def find_backbones(names: str) -> tuple[Backbone, ...]:
    """The rows of several names with commas between; an empty text names none, one named twice counts once.

    Raises:
        ConfigError: there is no row of one of the names.
    """
    given = [name.strip() for name in names.split(",") if name.strip()]
    return tuple(find_backbone(name) for name in dict.fromkeys(given))


def find_backbone(name: str) -> Backbone:
    """The row of that name.

    Raises:
        ConfigError: there is none; the message offers the nearest names.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    by_lower_case = {known.lower(): known for known in BACKBONES}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.4)
    offered = ", ".join(by_lower_case[known] for known in near) or ", ".join(BACKBONES)
    raise ConfigError(f"backbone: expected the name of a known network, received {name!r}. Did you mean: {offered}?")
