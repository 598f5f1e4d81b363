"""Checks of a feature network, or of weights, from an untrusted source, and adaptation, in a child with limits.

What the file says is checked before anything is computed; its cost is known before it becomes a backbone.
"""

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx

from model import durable
from model.added_backbones import MAX_NETWORK_BYTES, NETWORK, WEIGHTS
from model.backbones import BACKBONES
from model.errors import ConfigError, ModelError
from model.features.constant_folding import fold_constants
from model.importing.hdf5_weights import check_weights
from model.importing.network_cost import check_cost
from model.importing.untrusted_onnx import CONSTANTS, OPERATORS, problems_of, read_graph
from model.networks.feature_network import (
    FeatureNetworkOptions,
    adapt_network,
    count_features,
    image_size_of,
    takes_batches,
)
from model.networks.tensorflow_import import import_tensorflow
from model.processes import answer_parent, limit_memory, run_child
from model.reading import parse_json, with_path, without_number
from model.received import quoted

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 32, 1024

_SECONDS = 600.0
_BYTES = 4 * 1024**3
_BYTES_OF_TENSORFLOW = 12 * 1024**3
# The file, the graph, and the sessions of ONNX Runtime.
_COPIES = 8
_MAX_PROBLEMS = 5


@dataclasses.dataclass(frozen=True)
class AdaptedNetwork:
    """A checked and adapted network.

    Attributes:
        content: the serialised graph, or weights as Keras saves them.
        image_size: height and width of its images in pixels.
        features: number of values for an image.
    """

    content: bytes
    image_size: int
    features: int


def adapt_in_child(file: Path, options: FeatureNetworkOptions, work: Path) -> AdaptedNetwork:
    """Check and adapt a network in a child process.

    Args:
        work: existing folder for temporary files.

    Raises:
        ConfigError: an option does not fit the network.
        ModelError: the file is no feature network, or checking it takes too long or too much memory.
    """
    return _in_child(file, durable.json_text(dataclasses.asdict(options)), work, NETWORK)


def check_weights_in_child(file: Path, architecture: str, work: Path) -> AdaptedNetwork:
    """Check weights for a network of the table, without its top, and save them as Keras does, in a child process.

    Args:
        file: as saved by `save_weights` of Keras 2 or 3, in HDF5.
        architecture: a name in `model.backbones.BACKBONES`.
        work: existing folder for temporary files.

    Raises:
        ModelError: the weights are for another network, or checking them takes too long or too much memory.
    """
    return _in_child(file, architecture, work, WEIGHTS)


def _in_child(file: Path, task: str, work: Path, result: str) -> AdaptedNetwork:
    found = run_child(
        __name__, file.absolute(), work, task, task=f"check of {file.name}", failure=ModelError, seconds=_SECONDS
    )
    return AdaptedNetwork((work / result).read_bytes(), found["image_size"], found["features"])


def adapt_untrusted(file: Path, options: FeatureNetworkOptions, work: Path) -> AdaptedNetwork:
    """Check and adapt a network in this process; see `adapt_in_child`."""
    with _explained(file):
        adapted = _adapted(file, options, work)
        return AdaptedNetwork(adapted.SerializeToString(), image_size_of(adapted), count_features(adapted))


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Name the file in every error."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{file.name}: cannot be read: {with_path(error)}") from error
    except ModelError as error:
        message = error.message if error.message.startswith(file.name) else f"{file.name}: {error.message}"
        raise ModelError(message) from error
    except (MemoryError, RecursionError) as error:
        raise ModelError(f"{file.name}: expected a network that can be checked, received one too large") from error


def _adapted(file: Path, options: FeatureNetworkOptions, work: Path) -> onnx.ModelProto:
    """The network for any number of images at a time if it allows that, and for one otherwise."""
    model = read_graph(file)
    _refuse(problems_of(model, OPERATORS | CONSTANTS))
    adapted = adapt_network(model, options, "n")
    size = image_size_of(adapted)
    if not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
        raise ConfigError(f"image size: expected {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, received {size}")
    if not any(problems_of(adapted, OPERATORS)) and _has_known_cost(adapted, file.name) and takes_batches(adapted):
        return adapted
    adapted = fold_constants(adapt_network(model, options, 1), work)
    _refuse(problems_of(adapted, OPERATORS))
    check_cost(adapted, file.name, size)
    return adapted


def _has_known_cost(model: onnx.ModelProto, name: str) -> bool:
    try:
        check_cost(model, name, image_size_of(model))
    except ModelError:
        return False
    return True


def _refuse(problems: Iterable[str]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise ModelError(
            f"expected a self-contained graph of standard operators, found {'; '.join(found[:_MAX_PROBLEMS])}. Export "
            "the network again, with its weights inside and without operators of other domains."
        )


def main(file: str, work: str, task: str) -> int:
    """Main function of the child process: `task` is the options of a network in JSON, or an architecture."""
    check = _check_weights if task in BACKBONES else _adapt
    return answer_parent(lambda: check(Path(file), Path(work), task), f"check of {Path(file).name}")


def _check_weights(file: Path, work: Path, architecture: str) -> dict[str, Any]:
    """Write the weights into the folder `work`, as this version of Keras saves them."""
    _limit_memory(file, _BYTES_OF_TENSORFLOW)
    with _explained(file), h5py.File(file) as opened:
        check_weights(opened, file.name, file.stat().st_size)
    import_tensorflow()
    from model.networks.pretrained import build_backbone

    row = BACKBONES[architecture]
    network = build_backbone(row, row.image_size, "none").layers[-1]
    copy = work / ("copy.weights.h5" if file.name.endswith(".weights.h5") else "copy.h5")
    shutil.copyfile(file, copy)
    try:
        network.load_weights(copy)
    # Keras raises classes of many kinds for the weights of another network.
    except Exception as error:
        raise ModelError(
            f"{file.name}: expected weights of {architecture} without its top, received others: "
            f"{quoted(without_number(error))}"
        ) from error
    if not all(np.isfinite(values).all() for values in network.get_weights()):
        raise ModelError(f"{file.name}: expected finite weights, found some that are not")
    network.save_weights(work / WEIGHTS)
    return {"image_size": row.image_size, "features": int(network.output.shape[-1])}


def _adapt(file: Path, work: Path, options: str) -> dict[str, Any]:
    """Write the adapted network into the folder `work`."""
    _limit_memory(file, _BYTES)
    adapted = adapt_untrusted(file, FeatureNetworkOptions(**parse_json(options.encode())), work)
    (work / NETWORK).write_bytes(adapted.content)
    return {"image_size": adapted.image_size, "features": adapted.features}


def _limit_memory(file: Path, size: int) -> None:
    """Refuse a file that is too large; limit the memory of this process by its size."""
    found = file.stat().st_size
    if found > MAX_NETWORK_BYTES:
        raise ModelError(f"{file.name}: expected a file of at most {MAX_NETWORK_BYTES:,} bytes, found {found:,}")
    limit_memory(size + _COPIES * found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
