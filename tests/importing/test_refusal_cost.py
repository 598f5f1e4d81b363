"""What it costs to refuse hostile networks: processor time, and memory beyond that of the process that checks them."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from model.errors import ModelError
from model.files.arrays import read_arrays
from model.importing.untrusted_keras import check_untrusted_network
from model.importing.untrusted_onnx import check_untrusted_graph
from model.reading import UnreadableError
from tests.support.cost import cost_of
from tests.support.hostile_networks import (
    HOSTILE_ARRAYS,
    HOSTILE_CONFIGURATIONS,
    HOSTILE_GRAPHS,
    HOSTILE_WEIGHTS,
    describe,
    weights,
    write_keras,
)
from tests.support.oversized_networks import OVERSIZED_ARCHIVES, OVERSIZED_GRAPHS, OVERSIZED_WEIGHTS, expanding_npz
from tests.support.slowness import slowness
from tests.support.small_model import write_small_model

SIZE = 8
MAX_BYTES = 200 * 1024**2
# A second on an idle machine.
MAX_PROCESSOR_SECONDS = 5.0


def _assert_cheap(check: Callable[[], object], reason: str) -> None:
    message, seconds, size = cost_of(lambda: check() or "accepted", ModelError, UnreadableError)
    with pytest.raises(ModelError, match=reason):
        raise ModelError(message)
    assert "Traceback" not in message and len(message) < 1999
    assert seconds < MAX_PROCESSOR_SECONDS * slowness()
    assert size < MAX_BYTES


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("graph")
    write_small_model(folder / "small")
    return onnx.load(folder / "small" / "model.onnx")


@pytest.mark.parametrize("spoil", [*HOSTILE_GRAPHS, *OVERSIZED_GRAPHS], ids=lambda one: one.__name__)
def test_a_hostile_graph_is_refused_cheaply(
    graph: onnx.ModelProto, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None]
) -> None:
    spoiled = onnx.ModelProto()
    spoiled.CopyFrom(graph)
    spoil(spoiled)
    path = tmp_path / "model.onnx"
    path.write_bytes(spoiled.SerializeToString())
    _assert_cheap(lambda: check_untrusted_graph(path, SIZE), (HOSTILE_GRAPHS | OVERSIZED_GRAPHS)[spoil])


@pytest.mark.parametrize("kind", [*HOSTILE_ARRAYS, "claims less than it unpacks to"])
def test_hostile_arrays_are_refused_cheaply(kind: str) -> None:
    content, reason = HOSTILE_ARRAYS.get(kind, (expanding_npz(), "."))
    _assert_cheap(lambda: read_arrays(content, 32 * 1024**2) and None, reason)


def _check(path: Path) -> Callable[[], None]:
    work = path.parent / "work"
    work.mkdir()
    return lambda: check_untrusted_network(path, work)


@pytest.mark.parametrize("spoil", HOSTILE_WEIGHTS, ids=lambda one: one.__name__)
def test_hostile_weights_are_refused_cheaply(tmp_path: Path, spoil: Callable[..., None]) -> None:
    with weights(tmp_path / "network.h5", describe(units=4)) as file:
        spoil(file)
    _assert_cheap(_check(tmp_path / "network.h5"), HOSTILE_WEIGHTS[spoil])


@pytest.mark.parametrize("make", OVERSIZED_WEIGHTS, ids=lambda one: one.__name__)
def test_oversized_weights_are_refused_cheaply(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "network.h5")
    _assert_cheap(_check(tmp_path / "network.h5"), OVERSIZED_WEIGHTS[make])


@pytest.mark.parametrize("make", OVERSIZED_ARCHIVES, ids=lambda one: one.__name__)
def test_oversized_archives_of_keras_are_refused_cheaply(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "network.keras")
    _assert_cheap(_check(tmp_path / "network.keras"), OVERSIZED_ARCHIVES[make])


@pytest.mark.parametrize("kind", HOSTILE_CONFIGURATIONS)
def test_hostile_configurations_are_refused_cheaply(tmp_path: Path, kind: str) -> None:
    configuration, reason = HOSTILE_CONFIGURATIONS[kind]
    write_keras(tmp_path / "network.keras", tmp_path, configuration)
    _assert_cheap(_check(tmp_path / "network.keras"), reason)
