"""Table of backbones: name, input and source of each. To add a backbone, add a row.

The table needs no Keras, so that Swagger, `--help` and messages can read it; `model.networks.pretrained` builds the
networks. Backbones that the user added are found beside those of the table: `model.added_backbones`.
"""

import dataclasses
import typing
from typing import Literal

from model.added_backbones import AddedBackbone, OwnScaling, added_backbones, find_added
from model.errors import ConfigError
from model.received import quoted, similar

TableScaling = Literal["lite", "tf", "torch", "caffe", "built_in"]
Scaling = TableScaling | OwnScaling


@dataclasses.dataclass(frozen=True)
class Backbone:
    """Pretrained network.

    Attributes:
        name: value of the option `backbone`.
        image_size: height and width in pixels of the images that its weights were trained with.
        scaling: scaling of pixels in [0, 255] to its input: `lite` (x - 127) / 128; `tf` x / 127.5 - 1;
            `torch` x / 255 normalised by the ImageNet mean and deviation; `caffe` BGR minus the
            ImageNet mean; `built_in` none, the network contains its scaling. Of an added one, see `OwnScaling`.
        embedded: whether its weights are installed with Topgraft; otherwise keras.applications downloads them on
            first use.
        added: its record if the user added it; None for a row of the table.
        parts: names of the embedded networks whose features it has side by side; empty for a single network.
    """

    name: str
    image_size: int
    scaling: Scaling
    embedded: bool = False
    added: AddedBackbone | None = None
    parts: tuple[str, ...] = ()

    @property
    def is_in_onnx(self) -> bool:
        """Whether it is a network in ONNX that the user added, which Keras cannot train."""
        return self.added is not None and not self.added.architecture

    @property
    def key(self) -> str:
        """Name and weights, for the names of files of the cache."""
        return f"{self.name}-imagenet" if self.added is None else f"{self.name}-{self.added.sha256[:16]}"


def _family(scaling: Scaling, embedded: bool = False, **sizes: int) -> tuple[Backbone, ...]:
    return tuple(Backbone(name, size, scaling, embedded) for name, size in sizes.items())


_ROWS = (
    *_family("lite", embedded=True, EfficientNetLite0=224, EfficientNetLite1=240, EfficientNetLite2=260),
    Backbone("EfficientNetLite0And2", 260, "lite", embedded=True, parts=("EfficientNetLite0", "EfficientNetLite2")),
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

DEFAULT = "EfficientNetLite0"

AUTO = "auto"
"""Value of the option `backbone` that a training replaces by the one of `TRIED_BY_AUTO` that suits the photos best."""

TRIED_BY_AUTO = (DEFAULT, "EfficientNetLite0And2")
"""Candidates of `AUTO`: among more, few photos choose by chance (docs/benchmarks.md, "side_by_side")."""


def backbone_names() -> tuple[str, ...]:
    """Values of the option `backbone`: `AUTO`, those of the table, then the added ones."""
    return (AUTO, *BACKBONES, *(record.name for record in added_backbones()))


def find_backbones(names: str) -> tuple[Backbone, ...]:
    """Find the rows of a comma-separated list of names, without duplicates; none for an empty text.

    Raises:
        ConfigError: one of the names is unknown.
    """
    given = [name.strip() for name in names.split(",") if name.strip()]
    return tuple(find_backbone(name) for name in dict.fromkeys(given))


def find_backbone(name: str) -> Backbone:
    """Find the row of a name; of `AUTO`, the default one, which is used until one is chosen.

    Raises:
        ConfigError: the name is unknown; the message suggests similar names.
    """
    if name == AUTO:
        return BACKBONES[DEFAULT]
    if name in BACKBONES:
        return BACKBONES[name]
    record = find_added(name)
    if record is not None:
        scaling = typing.cast(Scaling, record.scaling)
        return Backbone(record.name, record.image_size, scaling, added=record)
    by_lower_case = {known.lower(): known for known in backbone_names()}
    near = similar(name.lower(), by_lower_case, cutoff=0.4)
    offered = ", ".join(by_lower_case[known] for known in near) or ", ".join(by_lower_case.values())
    raise ConfigError(f"backbone: expected a known network, received {quoted(name)}. Did you mean: {offered}?")
