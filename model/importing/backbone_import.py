"""Adding a feature network in ONNX, or other weights of a known one, to the backbones of this machine."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

from model import durable
from model.added_backbones import RECORD, AddedBackbone, find_added
from model.backbones import AUTO, BACKBONES, find_backbone
from model.config import is_model_name
from model.errors import ConfigError, StorageError
from model.importing.untrusted_backbone import AdaptedNetwork, adapt_in_child, check_weights_in_child
from model.networks.feature_network import FeatureNetworkOptions
from model.option import MAX_TEXT_LENGTH
from model.reading import with_path
from model.received import quoted
from model.scratch import scratch_folder


def add_backbone(file: Path, name: str, options: FeatureNetworkOptions, license: str = "") -> AddedBackbone:
    """Add a feature network to the backbones of this machine.

    It is self-contained and consists of standard operators only; its input is one image, float32, float16 or uint8,
    (n, 3, height, width) or (n, height, width, 3). Adding the same network again changes nothing.

    Args:
        file: an ONNX file.
        name: value of the option `backbone` that selects it; at most 100 letters, digits, `.`, `-` and `_`.
        license: license of its weights, for the card of models; at most 1,000 characters.

    Raises:
        ConfigError: an option does not fit, or another backbone has this name.
        ModelError: the file is no such network, or checking it takes too long or too much memory.
        StorageError: it cannot be saved.
    """
    _check_name(name, license)
    with scratch_folder("backbone") as work:
        adapted = adapt_in_child(file, options, work)
    return _add(AddedBackbone(name, *_values(adapted, options.scaling), file.name, license), adapted.content)


def add_weights(file: Path, name: str, architecture: str, license: str = "") -> AddedBackbone:
    """Add other weights of a network of the table to the backbones of this machine, such as those of a field.

    Args:
        file: weights without the top of the network, as Keras saves them: `.weights.h5` or `.h5`.
        name: value of the option `backbone` that selects it; at most 100 letters, digits, `.`, `-` and `_`.
        architecture: the network, a value of the option `backbone`.
        license: license of its weights, for the card of models; at most 1,000 characters.

    Raises:
        ConfigError: the architecture is unknown, or another backbone has this name.
        ModelError: the weights are for another network, or checking them takes too long or too much memory.
        StorageError: they cannot be saved.
    """
    _check_name(name, license)
    row = find_backbone(architecture)
    if row.added is not None:
        raise ConfigError(
            f"architecture: expected a network of Keras, received {quoted(architecture)}, which was added"
        )
    with scratch_folder("backbone") as work:
        checked = check_weights_in_child(file, row.name, work)
    return _add(AddedBackbone(name, *_values(checked, row.scaling), file.name, license, row.name), checked.content)


def _values(adapted: AdaptedNetwork, scaling: str) -> tuple[int, str, int, str]:
    return adapted.image_size, scaling, adapted.features, hashlib.sha256(adapted.content).hexdigest()


def _add(record: AddedBackbone, content: bytes) -> AddedBackbone:
    present = find_added(record.name)
    if present is not None and present.sha256 != record.sha256:
        raise ConfigError(
            f"name: expected a new name, found that of a backbone made from {quoted(present.source)}. "
            f"Choose another, or remove it: topgraft backbones remove {record.name}"
        )
    _save(record, content)
    return record


def _check_name(name: str, license: str) -> None:
    if not is_model_name(name):
        raise ConfigError(
            f"name: expected at most 100 letters, digits, '.', '-' or '_', beginning with a letter or digit, received "
            f"{quoted(name)}"
        )
    taken = {known.lower(): known for known in (AUTO, *BACKBONES)}
    if name.lower() in taken:
        raise ConfigError(f"name: expected a new name, received a known one: {taken[name.lower()]}")
    if len(license) > MAX_TEXT_LENGTH:
        raise ConfigError(f"license: expected at most {MAX_TEXT_LENGTH:,} characters, received {len(license):,}")


def _save(record: AddedBackbone, content: bytes) -> None:
    """Write the network first and its record last: a backbone with a record is complete."""
    folder = record.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(record.path, content)
        durable.write_json(folder / RECORD, dataclasses.asdict(record))
    except OSError as error:
        raise StorageError(f"backbone {record.name}: could not be saved: {with_path(error)}") from error


def remove_backbone(name: str) -> None:
    """Remove an added backbone. Models that were trained with it contain its network and need it no more.

    Raises:
        ConfigError: no backbone of this name was added.
        StorageError: it cannot be removed.
    """
    record = find_added(name)
    if record is None:
        raise ConfigError(f"name: expected an added backbone, received {quoted(name)}. See topgraft backbones list")
    folder = record.path.parent
    try:
        # Without its record it is no backbone any more.
        (folder / RECORD).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(f"backbone {name}: could not be removed: {with_path(error)}") from error
