"""Weights of keras.applications: downloaded before they are needed, or brought to a machine without a network."""

import shutil
from pathlib import Path

from model import durable
from model.backbones import BACKBONES, Backbone
from model.errors import ConfigError, StorageError, WeightsError
from model.networks.keras_weights import weights_file
from model.networks.tensorflow_import import import_tensorflow
from model.reading import open_regular, with_path
from model.received import quoted


def fetch_weights(backbone: Backbone) -> Path | None:
    """Download the ImageNet weights of a backbone, unless they are on this machine. Keras verifies their checksum.

    Returns:
        Their file; None if they are installed with Topgraft, or were added.

    Raises:
        WeightsError: they cannot be downloaded, or are damaged.
    """
    if backbone.embedded or backbone.added is not None:
        return None
    import_tensorflow()
    from model.networks.pretrained import build_backbone

    build_backbone(backbone, backbone.image_size, "imagenet")
    path = weights_file(backbone)
    if not path.is_file():
        raise WeightsError(f"{backbone.name}: expected Keras to store its weights as {path}, found no such file")
    return path


def place_weights(file: Path) -> tuple[Backbone, Path]:
    """Copy a file of weights, fetched on another machine, to where Keras finds it. Keras verifies its checksum.

    Args:
        file: it has the name that Keras gave it.

    Returns:
        The backbone, and the file in the folder of Keras.

    Raises:
        ConfigError: no backbone has weights of this name.
        WeightsError: the file has another content.
        StorageError: it cannot be copied.
    """
    files = {weights_file(one).name: one for one in BACKBONES.values() if not one.embedded}
    backbone = files.get(file.name)
    if backbone is None:
        raise ConfigError(
            f"{quoted(file.name)}: expected a network in ONNX, or weights under the name that Keras gives them, "
            f"such as {next(iter(files))}"
        )
    path = weights_file(backbone)
    is_new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_regular(file) as content:
            durable.replace_file(path, lambda stream: shutil.copyfileobj(content, stream))
    except OSError as error:
        raise StorageError(f"the weights of {backbone.name} could not be copied: {with_path(error)}") from error
    try:
        fetch_weights(backbone)
    except WeightsError as error:
        if is_new:
            path.unlink(missing_ok=True)
        raise WeightsError(
            f"{quoted(file.name)}: expected the weights of {backbone.name} as Keras publishes them, found others. "
            "Fetch them again."
        ) from error
    return backbone, path
