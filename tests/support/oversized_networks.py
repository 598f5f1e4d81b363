"""Files of networks that cost a parser much more than their size: ranks, numbers of parts, claimed lengths.

Each maker is listed with a pattern of the message that refuses its file.
"""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.hostile_networks import append, describe, weights, write_keras

MANY = 500_000


def data_of_another_file(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="passwd", dims=[4], data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    model.graph.initializer.append(tensor)


def data_of_another_file_in_an_operator(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    tensor = TensorProto(name="passwd", dims=[4], data_type=TensorProto.UINT8)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node[-1].attribute.append(helper.make_attribute("value", tensor))


def claimed_two_gigabytes(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="huge", dims=[2**29], data_type=TensorProto.FLOAT))


def many_dimensions(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="odd", dims=[2**62] * MANY, data_type=TensorProto.FLOAT)
    model.graph.initializer.append(tensor)


def many_dimensions_of_an_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [2**62] * 100_000))


def growing_rank(model: onnx.ModelProto) -> None:
    for _ in range(10_000):
        append(model, "Unsqueeze", np.array([0]))


def long_attribute(model: onnx.ModelProto) -> None:
    append(model, "Transpose", perm=[0] * MANY)


def many_inputs(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    model.graph.node.append(helper.make_node("Concat", [model.graph.node[-1].output[0]] * MANY, ["added_x"], axis=0))


def many_outputs(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    source = model.graph.node[-1].output[0]
    model.graph.node.append(helper.make_node("Split", [source], [f"p{index}" for index in range(MANY)]))


def many_tensors(model: onnx.ModelProto) -> None:
    model.graph.initializer.extend(TensorProto(name=str(index), data_type=1) for index in range(MANY))


def many_operator_sets(model: onnx.ModelProto) -> None:
    model.opset_import.extend(helper.make_opsetid(str(index), 1) for index in range(MANY))


def long_names(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    model.graph.node[-1].op_type = "x" * 10_000_000


def future_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 10_000


def future_format(model: onnx.ModelProto) -> None:
    model.ir_version = 10_000


def own_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("mine", 1))
    append(model, "Relu", domain="mine")


def recursive_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("F", ["x"], ["y"], domain="mine")
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [node], [helper.make_opsetid("mine", 1)]))
    append(model, "F", domain="mine")


def endless_range(model: onnx.ModelProto) -> None:
    append(model, "Range", np.float32(10**13), np.float32(1))


def sparse_constant(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [10**13])
    model.graph.node.append(helper.make_node("Constant", [], ["added_c"], sparse_value=sparse))


def huge_slices(model: onnx.ModelProto) -> None:
    append(model, "Cast", to=TensorProto.FLOAT)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**31, 2**31, 3, 1]), "sizes"))
    model.graph.node.append(helper.make_node("Resize", ["added_0", "", "", "sizes"], ["added_x"]))


OVERSIZED_GRAPHS: dict[Callable[[onnx.ModelProto], None], str] = {
    data_of_another_file: "'passwd', which is stored in another file",
    data_of_another_file_in_an_operator: "'passwd', which is stored in another file",
    claimed_two_gigabytes: "'huge', which claims more values",
    many_dimensions: "'odd', which has more than 16 dimensions",
    many_dimensions_of_an_input: "inputs of more than 16 dimensions",
    growing_rank: "values, inputs and attributes|operators that add dimensions",
    long_attribute: "the operator 'Transpose' with more than",
    many_inputs: "the operator 'Concat' with more than",
    many_outputs: "the operator 'Split' with more than",
    many_tensors: "500,00. tensors, at most",
    many_operator_sets: "operator sets",
    long_names: "'ai.onnx.xxx",
    future_operator_set: "operator set later than",
    future_format: "format or operator set later than",
    own_domain: "'mine.Relu'",
    recursive_function: "functions or training steps",
    endless_range: "'ai.onnx.Range'",
    sparse_constant: "'ai.onnx.Constant'|sparse tensors",
    huge_slices: "expected at most 2,000,000,000,000 operations|fixed sizes|consistent",
}


def many_groups(path: Path) -> None:
    with weights(path, describe(units=4)) as file:
        # Groups that have not been written take no memory of this test.
        for outer in range(250):
            group = file.create_group(str(outer))
            for inner in range(250):
                group.create_group(str(inner))


def dense_attribute(path: Path) -> None:
    """An attribute of 40 MB, stored as an array of its own."""
    with h5py.File(path, "w", libver="latest") as file:
        file["layer/kernel"] = np.zeros((4, 4), "f4")
        file.attrs.create("model_config", np.zeros(40 * 1024**2, "u1"))


def long_attribute_of_weights(path: Path) -> None:
    """A configuration of 100 MB, of a length that its attribute does not state."""
    with weights(path) as file:
        file.attrs["model_config"] = "x" * 100_000_000


def claimed_attribute(path: Path) -> None:
    """An attribute whose length in the file is raised from 8 KB to 512 MB."""
    with h5py.File(path, "w", libver="latest") as file:
        file["layer/kernel"] = np.zeros((4, 4), "f4")
        file.attrs["model_config"] = np.zeros(8191, "u1")
    content = path.read_bytes()
    assert content.count(struct.pack("<Q", 8191)) >= 1
    path.write_bytes(content.replace(struct.pack("<Q", 8191), struct.pack("<Q", 512 * 1024**2)))


def compressed_chunks(path: Path) -> None:
    with weights(path, describe(units=4)) as file:
        file.create_dataset("zeros", (64 * 1024**2,), "f4", chunks=(1024**2,), compression="gzip", fillvalue=0)


def soft_links_in_a_circle(path: Path) -> None:
    with weights(path, describe(units=4)) as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


def only_a_signature(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(10_000))


OVERSIZED_WEIGHTS: dict[Callable[[Path], None], str] = {
    many_groups: "groups and arrays, found more",
    dense_attribute: "configuration of at most",
    long_attribute_of_weights: "bytes besides the weights",
    claimed_attribute: "complete network|model_config",
    compressed_chunks: "expected weights of the file's size",
    soft_links_in_a_circle: "points elsewhere",
    only_a_signature: "complete network",
}


def entries_twice(path: Path) -> None:
    write_keras(path, path.parent, describe(units=4))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")


def many_entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(100_000):
            archive.writestr(str(index), b"")


def false_zip64(path: Path) -> None:
    """A zip whose end states a table of contents of 2^60 bytes."""
    write_keras(path, path.parent, describe(units=4))
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    extended = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**40, 2**40, 2**60, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    tail = content[end : end + 8] + struct.pack("<HHIIH", 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:end] + extended + locator + tail)


def lambda_layer(path: Path) -> None:
    write_keras(path, path.parent, describe(units=4).replace('"Dense"', '"Lambda"'))


def module_path(path: Path) -> None:
    layer = describe(units=4).replace('"class_name": "Dense"', '"class_name": "Dense", "module": "os.path"')
    write_keras(path, path.parent, layer)


def own_object(path: Path) -> None:
    layer = describe(units=4).replace('"class_name": "Dense"', '"class_name": "Dense", "registered_name": "mine>Dense"')
    write_keras(path, path.parent, layer)


def large_configuration(path: Path) -> None:
    """A configuration of 400 MB, which is 400 kB in the archive."""
    write_keras(path, path.parent, "{" + " " * (400 * 1024**2) + "}")


OVERSIZED_ARCHIVES: dict[Callable[[Path], None], str] = {
    entries_twice: r"expected config\.json, metadata\.json, model\.weights\.h5 in it",
    many_entries: "table of contents|in it, found",
    false_zip64: "table of contents|complete network",
    lambda_layer: "Lambda",
    module_path: "module|os.path",
    own_object: "built-in Keras layers",
    large_configuration: "at most",
}


def expanding_npz() -> bytes:
    """An array of 4 GB of zeros, which its entry claims to be 100 bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(40 * 1024**2))
    content = bytearray(stream.getvalue())
    start = content.index(b"PK\x01\x02")
    content[start + 24 : start + 28] = struct.pack("<I", 100)
    return bytes(content)
