"""Endless, huge or misleading content of model files, each with a pattern of the message that refuses it."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def append(model: onnx.ModelProto, kind: str, *inputs: np.ndarray, domain: str = "", **attributes: object) -> None:
    """Append an operator that takes the activation map and constants."""
    names = []
    for value in inputs:
        names.append(f"constant_{len(model.graph.initializer)}")
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), names[-1]))
    output = f"added_{len(model.graph.node)}"
    source = f"added_{len(model.graph.node) - 1}" if model.graph.node[-1].output[0].startswith("added") else "image"
    if source == "image":
        model.graph.node.append(helper.make_node("Cast", ["image"], ["added_image"], to=TensorProto.FLOAT))
        source = "added_image"
        output = f"added_{len(model.graph.node)}"
    model.graph.node.append(helper.make_node(kind, [source, *names], [output], domain=domain, **attributes))


def empty_body() -> onnx.GraphProto:
    return helper.make_graph([helper.make_node("Identity", ["c"], ["c2"])], "body", [], [])


def endless_loop(model: onnx.ModelProto) -> None:
    append(model, "Loop", np.bool_(True), body=empty_body())


def scan(model: onnx.ModelProto) -> None:
    append(model, "Scan", body=empty_body(), num_scan_inputs=1)


def branch(model: onnx.ModelProto) -> None:
    append(model, "If", then_branch=empty_body(), else_branch=empty_body())


def hidden_subgraph(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    model.graph.node[-1].attribute.append(helper.make_attribute("body", empty_body()))


def subgraph_list(model: onnx.ModelProto) -> None:
    append(model, "Relu")
    model.graph.node[-1].attribute.append(helper.make_attribute("bodies", [empty_body()]))


def function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))
    append(model, "F", domain="mine")


def other_domain(model: onnx.ModelProto) -> None:
    append(model, "Inverse", domain="com.microsoft")


def sequence(model: onnx.ModelProto) -> None:
    append(model, "SequenceConstruct")


def random_numbers(model: onnx.ModelProto) -> None:
    append(model, "RandomUniformLike")


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**13]))


def training_steps(model: onnx.ModelProto) -> None:
    model.training_info.add()


def claimed_values(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="huge", dims=[10**13], data_type=TensorProto.FLOAT))


def negative_values(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="odd", dims=[-5, -5], data_type=TensorProto.FLOAT))


def huge_padding(model: onnx.ModelProto) -> None:
    append(model, "Pad", np.array([0, 0, 0, 0, 0, 10**7, 10**6, 0]))


def huge_tile(model: onnx.ModelProto) -> None:
    append(model, "Tile", np.array([1, 10**6, 10**6, 1]))


def huge_expand(model: onnx.ModelProto) -> None:
    append(model, "Expand", np.array([10**13, 1, 1, 1, 1]))


def huge_constant(model: onnx.ModelProto) -> None:
    append(model, "ConstantOfShape")


def huge_resize(model: onnx.ModelProto) -> None:
    append(model, "Resize", np.zeros(0, "f4"), np.array([1, 1e6, 1e6, 1], "f4"))


def repeated_convolution(model: onnx.ModelProto) -> None:
    append(model, "Pad", np.array([0, 0, 0, 0, 0, 1000, 1000, 0]))
    append(model, "Transpose", perm=[0, 3, 1, 2])
    kernel = np.zeros((3, 3, 99, 99), "f4")
    for _ in range(60):
        append(model, "Conv", kernel, pads=[49, 49, 49, 49])


def huge_window(model: onnx.ModelProto) -> None:
    append(model, "Pad", np.array([0, 0, 0, 0, 0, 3000, 3000, 0]))
    append(model, "Transpose", perm=[0, 3, 1, 2])
    append(model, "AveragePool", kernel_shape=[1501, 1501])


def many_tensors(model: onnx.ModelProto) -> None:
    append(model, "Pad", np.array([0, 0, 0, 0, 0, 10_000, 10_000, 0]))
    append(model, "Relu")


def many_operators(model: onnx.ModelProto) -> None:
    for _ in range(20_001):
        model.graph.node.append(helper.make_node("Relu", ["image"], ["x"]))


def content_decides_the_size(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["bias"], ["size"], to=TensorProto.INT64))
    model.graph.node.append(helper.make_node("Reshape", ["probabilities", "size"], ["added_x"]))


def unknown_tensor(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["nowhere"], ["added_x"]))


HOSTILE_GRAPHS = {
    endless_loop: "'ai.onnx.Loop'",
    scan: "'ai.onnx.Scan'",
    branch: "'ai.onnx.If'",
    hidden_subgraph: "a graph inside the operator 'Relu'",
    subgraph_list: "a graph inside the operator 'Relu'",
    function: "functions or training steps",
    other_domain: "'com.microsoft.Inverse'",
    sequence: "'ai.onnx.SequenceConstruct'",
    random_numbers: "'ai.onnx.RandomUniformLike'",
    sparse: "sparse tensors",
    training_steps: "functions or training steps",
    claimed_values: "'huge', which claims more values",
    negative_values: "'odd', which claims more values",
    huge_padding: "expected at most 2,000,000,000,000 operations",
    huge_tile: "'ai.onnx.Tile'|expected at most",
    huge_expand: "'ai.onnx.Expand'",
    huge_constant: "'ai.onnx.ConstantOfShape'",
    huge_resize: "expected at most 2,000,000,000,000 operations|fixed sizes|consistent",
    repeated_convolution: "expected at most 2,000,000,000,000 operations",
    huge_window: "expected at most 2,000,000,000,000 operations",
    many_tensors: r"2,147,483,648 bytes for one image, found \d+ and 2\d{9}",
    many_operators: "20,00. operators, at most 20,000",
    content_decides_the_size: "fixed sizes",
    unknown_tensor: "consistent graph|fixed sizes",
}


def npz(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin-1").ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def pickled() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{}], dtype=object))
    return stream.getvalue()


def twice() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}"))
        archive.writestr("a", b"")
    return stream.getvalue()


HOSTILE_ARRAYS = {
    "1 GB in 1 MB": (npz(a=bytes(64 * 1024**2)), "expected arrays of at most"),
    "claimed shape": (npz(a=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,)}")), "size"),
    "negative shape": (npz(a=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}", b"0" * 16)), "size"),
    "objects": (pickled(), "expected numbers"),
    "objects in header": (npz(a=npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")), "expected numbers"),
    "structure": (npz(a=npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", b"0000")), "numbers"),
    "text": (npz(a=npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", b"0" * 16)), "numbers"),
    "unfinished header": (npz(a=npy("{'descr': '<f4'")), "."),
    "deep header": (npz(a=npy("(" * 110)), "."),
    "no header": (npz(a=b""), "."),
    "truncated": (npz(a=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}", b"0" * 20)), "size|fewer"),
    "too much": (npz(a=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"0" * 8)), "found more"),
    "twice": (twice(), "one array of each name"),
    "many": (npz(**{f"a{index}": b"" for index in range(1001)}), "at most 1000 arrays"),
    "empty": (b"", "."),
    "npy": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", b"0000"), "."),
    "a pickle": (b"\x80\x04N.", "."),
}


def describe(**layer: object) -> str:
    settings = {"name": "d", **layer}
    return json.dumps({"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": settings}]}})


def weights(path: Path, configuration: str | None = None) -> h5py.File:
    file = h5py.File(path, "w")
    file["layer/kernel"] = np.zeros((4, 4), "f4")
    if configuration is not None:
        file.attrs["model_config"] = np.void(configuration.encode()) if len(configuration) > 60_000 else configuration
    return file


def multiplying_links(file: h5py.File) -> None:
    group = file.create_group("g0")
    for _ in range(60):
        below = group.create_group("a")
        group["b"] = below
        group = below


def linked_to_itself(file: h5py.File) -> None:
    file["layer/again"] = file["layer"]


def array_linked_twice(file: h5py.File) -> None:
    file["again"] = file["layer/kernel"]


def soft_link(file: h5py.File) -> None:
    file["other"] = h5py.SoftLink("/layer/kernel")


def external_link(file: h5py.File) -> None:
    file["other"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("other", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 4), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 4))
    file.create_virtual_dataset("other", layout)


def claimed_array(file: h5py.File) -> None:
    file.create_dataset("huge", (10**13,), "f4", chunks=(1024,))


def many_claims(file: h5py.File) -> None:
    for index in range(50):
        file.create_dataset(f"huge{index}", (40_000,), "f4", chunks=(1024,))


def texts(file: h5py.File) -> None:
    file.create_dataset("other", (2,), h5py.string_dtype())


def references(file: h5py.File) -> None:
    file.create_dataset("other", (2,), h5py.ref_dtype)


def named_type(file: h5py.File) -> None:
    file["other"] = np.dtype("f4")


def filters(file: h5py.File) -> None:
    file.create_dataset("other", (40,), "f4", chunks=(10,), compression="lzf")


def deep_groups(file: h5py.File) -> None:
    file.create_group("/".join("g" * 150))


HOSTILE_WEIGHTS = {
    multiplying_links: "linked again",
    linked_to_itself: "linked again",
    array_linked_twice: "linked again",
    soft_link: "points elsewhere",
    external_link: "points elsewhere",
    external_storage: "points elsewhere",
    virtual: "points elsewhere",
    claimed_array: "claims 40,000,000,000,000 bytes",
    many_claims: "claims 160,000 bytes",
    texts: "expected arrays of numbers",
    references: "expected arrays of numbers",
    named_type: "is a named type",
    filters: "expected arrays without filters",
    deep_groups: "groups and arrays, found more",
}


HOSTILE_CONFIGURATIONS = {
    "units": (describe(units=10**9), "expected sizes of at most 1,000,000, found units"),
    "shape": (describe(units=4, batch_shape=[None, 10**13]), "found batch_shape"),
    "float": (describe(units=1e12), "found units"),
    "negative": (describe(units=-(10**9)), "found units"),
    "more units than weights": (describe(units=900_000), "expected weights for the 900,000 units"),
    "infinite": ('{"class_name": "Dense", "config": {"units": Infinity}}', "finite"),
    "digits": ('{"class_name": "Dense", "config": {"units": 1%s}}' % ("0" * 400), "40 digits"),
    "deep": ("[" * 30_000, "nested too deep"),
    "deep objects": ('{"a":' * 300 + "1" + "}" * 300, "nested"),
    "twice": ('{"class_name": "Dense", "class_name": "Lambda"}', "occurs twice"),
    "many objects": (json.dumps([{"class_name": "Dense"}] * 50_001).join(['{"a":', "}"]), "at most 50,000"),
    "a list": ("[]", "expected the configuration of a network"),
}


def write_keras(checkpoint: Path, folder: Path, configuration: str | bytes) -> None:
    weights(folder / "weights.h5").close()
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", configuration)
        archive.writestr("metadata.json", "{}")
        archive.write(folder / "weights.h5", "model.weights.h5")
