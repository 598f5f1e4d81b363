"""Checks of a feature network from an untrusted source, and its adaptation, in a child process with limits.

What the file says is checked before anything is computed; its cost is known before it becomes a backbone.
"""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from model import durable
from model.added_backbones import MAX_NETWORK_BYTES, NETWORK
from model.errors import ConfigError, ModelError
from model.features.constant_folding import fold_constants
from model.importing.network_cost import check_cost
from model.importing.untrusted_onnx import CONSTANTS, OPERATORS, problems_of, read_graph
from model.networks.feature_network import (
    FeatureNetworkOptions,
    adapt_network,
    count_features,
    image_size_of,
    takes_batches,
)
from model.processes import answer_parent, limit_memory, run_child
from model.reading import parse_json, with_path

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 32, 1024

_SECONDS = 600.0
_BYTES = 4 * 1024**3
# The file, the graph, and the sessions of ONNX Runtime.
_COPIES = 8
_MAX_PROBLEMS = 5


@dataclasses.dataclass(frozen=True)
class AdaptedNetwork:
    """A checked and adapted network.

    Attributes:
        content: the serialised graph.
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
    found = run_child(
        __name__,
        file.absolute(),
        work,
        durable.json_text(dataclasses.asdict(options)),
        task=f"check of {file.name}",
        failure=ModelError,
        seconds=_SECONDS,
    )
    return AdaptedNetwork((work / NETWORK).read_bytes(), found["image_size"], found["features"])


def adapt_untrusted(file: Path, options: FeatureNetworkOptions, work: Path) -> AdaptedNetwork:
    """Check and adapt a network in this process; see `adapt_in_child`."""
    try:
        adapted = _adapted(file, options, work)
        return AdaptedNetwork(adapted.SerializeToString(), image_size_of(adapted), count_features(adapted))
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


def main(file: str, work: str, options: str) -> int:
    """Main function of the child process."""
    return answer_parent(lambda: _adapt(Path(file), Path(work), options), f"check of {Path(file).name}")


def _adapt(file: Path, work: Path, options: str) -> dict[str, Any]:
    """Write the adapted network into the folder `work`."""
    size = file.stat().st_size
    if size > MAX_NETWORK_BYTES:
        raise ModelError(f"{file.name}: expected a file of at most {MAX_NETWORK_BYTES:,} bytes, found {size:,}")
    limit_memory(_BYTES + _COPIES * size)
    adapted = adapt_untrusted(file, FeatureNetworkOptions(**parse_json(options.encode())), work)
    (work / NETWORK).write_bytes(adapted.content)
    return {"image_size": adapted.image_size, "features": adapted.features}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
