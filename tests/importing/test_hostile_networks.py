"""Hostile networks and arrays: endless, huge or misleading content is refused before anything is computed."""

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest

from model.bundle import Bundle, write_manifest
from model.errors import ModelError
from model.files.arrays import read_arrays
from model.importing.untrusted_keras import check_untrusted_network
from model.importing.untrusted_onnx import OPERATORS, check_untrusted_graph
from model.reading import UnreadableError
from model.registry import model_names
from model.runs.import_run import import_model
from model.workspace import Workspace
from tests.support.hostile_networks import (
    HOSTILE_ARRAYS,
    HOSTILE_CONFIGURATIONS,
    HOSTILE_GRAPHS,
    HOSTILE_WEIGHTS,
    describe,
    endless_loop,
    weights,
    write_keras,
)
from tests.support.small_model import write_small_model

SIZE = 8


@pytest.fixture
def graph(tmp_path: Path) -> onnx.ModelProto:
    """The graph of a small model."""
    write_small_model(tmp_path / "small")
    return onnx.load(tmp_path / "small" / "model.onnx")


@pytest.mark.parametrize("spoil", HOSTILE_GRAPHS, ids=lambda one: one.__name__)
def test_endless_and_huge_graphs_are_refused(
    graph: onnx.ModelProto, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None]
) -> None:
    spoil(graph)
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=HOSTILE_GRAPHS[spoil]) as caught:
        check_untrusted_graph(path, SIZE)
    assert len(caught.value.message) < 1500


def test_the_graph_of_a_model_is_accepted(graph: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    check_untrusted_graph(tmp_path / "model.onnx", SIZE)
    assert {node.op_type for node in graph.graph.node} <= OPERATORS


@pytest.mark.parametrize("content", [b"", b"\xff" * 1000, b"<html>", b"\x0a" * 50_000], ids=repr)
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx: expected"):
        check_untrusted_graph(tmp_path / "model.onnx", SIZE)


def test_a_model_with_an_endless_loop_is_not_imported(
    bundle: Bundle, other_workspace: Workspace, graph: onnx.ModelProto
) -> None:
    endless_loop(graph)
    (bundle.directory / "model.onnx").write_bytes(graph.SerializeToString())
    write_manifest(bundle.directory, bundle.manifest)
    with pytest.raises(ModelError, match=r"'ai\.onnx\.Loop'"):
        import_model(bundle.directory, other_workspace)
    assert model_names(other_workspace) == []


@pytest.mark.parametrize("kind", HOSTILE_ARRAYS)
def test_hostile_arrays_are_refused(kind: str) -> None:
    content, reason = HOSTILE_ARRAYS[kind]
    with pytest.raises(UnreadableError, match=reason):
        read_arrays(content, 32 * 1024**2)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (4, 5)])
def test_arrays_are_read_as_they_were_written(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for written in (array, np.asfortranarray(array)):
        stream = io.BytesIO()
        np.savez_compressed(stream, one=written, two=np.arange(3))
        read = read_arrays(stream.getvalue(), 10_000)
        assert list(read) == ["one", "two"] and read["one"].dtype == array.dtype
        np.testing.assert_array_equal(read["one"], array)
        assert read["two"].flags.writeable


@pytest.mark.parametrize("spoil", HOSTILE_WEIGHTS, ids=lambda one: one.__name__)
def test_hostile_weights_are_refused(tmp_path: Path, spoil: Callable[[h5py.File], None]) -> None:
    with weights(tmp_path / "network.h5", describe(units=4)) as file:
        spoil(file)
    (tmp_path / "work").mkdir()
    with pytest.raises(ModelError, match=HOSTILE_WEIGHTS[spoil]):
        check_untrusted_network(tmp_path / "network.h5", tmp_path / "work")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("kind", HOSTILE_CONFIGURATIONS)
def test_hostile_configurations_are_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    configuration, reason = HOSTILE_CONFIGURATIONS[kind]
    checkpoint = tmp_path / f"network{suffix}"
    if suffix == ".h5":
        if len(configuration) > 60_000:
            pytest.skip("HDF5 stores no attribute of this length")
        weights(checkpoint, configuration).close()
    else:
        write_keras(checkpoint, tmp_path, configuration)
    (tmp_path / "work").mkdir()
    with pytest.raises(ModelError, match=reason):
        check_untrusted_network(checkpoint, tmp_path / "work")


def test_a_configuration_that_unpacks_to_400_mb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    write_keras(tmp_path / "network.keras", tmp_path, bytes(40 * 1024**2))
    (tmp_path / "work").mkdir()
    with pytest.raises(ModelError, match=r"expected config\.json of at most 33,554,432 bytes, found 41,943,040"):
        check_untrusted_network(tmp_path / "network.keras", tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
