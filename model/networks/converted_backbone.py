"""Pretrained backbones in ONNX: converted once and kept in the cache, or added by the user."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from model.added_backbones import added_content
from model.backbones import Backbone
from model.errors import ConfigError
from model.files.checksums import cached_content
from model.locks import exclusive
from model.networks.tensorflow_import import import_tensorflow
from model.workspace import cache_directory

_GRAPH_FORMAT = 3
_UNGUARDED = "Processes that need the same backbone for the first time may all convert it."
_WAITING = "waiting for another process that converts the backbone {}"


def converted_backbone(backbone: Backbone, image_size: int) -> bytes:
    """The backbone with its pretrained weights in ONNX, from the cache; converted if it is missing there or damaged.

    One that was added in ONNX is returned as it was.

    Raises:
        ConfigError, WeightsError: it cannot be built, or takes no images of this size.
        ExportError: it cannot be converted.
    """
    if backbone.added is not None and backbone.is_in_onnx:
        if image_size != backbone.image_size:
            raise ConfigError(
                f"image_size: expected {backbone.image_size}, that of {backbone.name}, received {image_size}"
            )
        return added_content(backbone.added)

    def convert() -> bytes:
        import_tensorflow()
        from model.networks.onnx_export import convert_backbone
        from model.networks.pretrained import build_backbone

        graph: bytes = convert_backbone(build_backbone(backbone, image_size, "imagenet")).SerializeToString()
        return graph

    with contextlib.ExitStack() as held:
        if not is_converted(backbone, image_size):
            held.enter_context(_conversion(backbone, image_size))
        return cached_content(_graph_file(backbone, image_size), convert, "the converted backbone")


@contextlib.contextmanager
def _conversion(backbone: Backbone, image_size: int) -> Iterator[None]:
    """Wait for another process that converts the same backbone: both would take twice as long."""
    path = _graph_file(backbone, image_size).with_suffix(".lock")
    with contextlib.ExitStack() as held:
        # A cache that cannot be written to is no reason to fail.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(path, _UNGUARDED, message=_WAITING.format(backbone.name)))
        yield


def is_converted(backbone: Backbone, image_size: int) -> bool:
    """Whether the backbone need not be converted: it is in the cache, or was added in ONNX."""
    return backbone.is_in_onnx or _graph_file(backbone, image_size).is_file()


def backbone_cache() -> Path:
    """Folder of the files of the cache that depend on a backbone only."""
    return cache_directory() / "backbones"


def _graph_file(backbone: Backbone, image_size: int) -> Path:
    return backbone_cache() / f"{backbone.key}-{image_size}-v{_GRAPH_FORMAT}.checked-onnx"
