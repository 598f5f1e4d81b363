"""Pretrained backbones in ONNX, converted once and kept in the cache."""

import logging
from pathlib import Path

from model import durable
from model.backbones import Backbone
from model.files.checksums import verified_content, with_checksum
from model.reading import UnreadableError, read_regular
from model.workspace import cache_directory

_GRAPH_FORMAT = 2

log = logging.getLogger(__name__)


def converted_backbone(backbone: Backbone, image_size: int) -> bytes:
    """The backbone with ImageNet weights in ONNX, from the cache; converted if it is missing there or damaged.

    A file in the cache holds the sha256 of the graph, then the graph.

    Raises:
        ConfigError, WeightsError: it cannot be built.
        ExportError: it cannot be converted.
    """
    path = _graph_file(backbone, image_size)
    content = _checked(path)
    if content is None:
        # Keras is loaded only if a conversion is needed.
        from model.networks.onnx_export import convert_backbone
        from model.networks.pretrained import build_backbone

        content = convert_backbone(build_backbone(backbone, image_size, "imagenet")).SerializeToString()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_bytes(path, with_checksum(content))
        except OSError as error:
            log.warning("the converted backbone could not be saved in %s: %s", path, error)
    return content


def is_converted(backbone: Backbone, image_size: int) -> bool:
    """Whether the backbone is in the cache, so that it need not be converted."""
    return _graph_file(backbone, image_size).is_file()


def _graph_file(backbone: Backbone, image_size: int) -> Path:
    return cache_directory() / "backbones" / f"{backbone.name}-imagenet-{image_size}-v{_GRAPH_FORMAT}.checked-onnx"


def _checked(path: Path) -> bytes | None:
    """The graph in a file of the cache, verified by its checksum; None if the file is missing or damaged."""
    try:
        stored = read_regular(path, path.stat().st_size)
    except (OSError, UnreadableError):
        return None
    content = verified_content(stored)
    if content is None:
        log.warning("%s is damaged: the backbone is converted again", path)
    return content
