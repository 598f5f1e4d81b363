"""Reading the tensors of a PyTorch weights file of the legacy, non-zip format with NumPy only.

The format (torch/serialization.py, `_legacy_load`): five pickles (magic number, protocol version,
system information, the named tensors, the keys of the storages), then for each storage its length
as int64 and its raw values. A pickle can name any callable; here only the few names that rebuild a
tensor are allowed, so a file that names anything else is refused before anything is called.
"""

import collections
import dataclasses
import hashlib
import io
import pickle  # nosec B403: only the restricted subclass below is used
from pathlib import Path
from typing import IO, Any

import numpy as np

from model.errors import WeightsError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
}


def read_torch_weights(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict: name -> array, in PyTorch's own axis order.

    Args:
        path: a .pth file in the legacy format.
        sha256: the checksum that the file must have, in hexadecimal; it is verified before anything is read.

    Raises:
        WeightsError: the checksum differs, or the file is truncated, of another format, or names
            anything but tensors.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{path}: expected sha256 {sha256}, found {found}. The file is damaged or not the published one: "
            "reinstall the package it belongs to."
        )
    return read_state_dict(io.BytesIO(content), str(path))


def read_state_dict(stream: IO[bytes], origin: str) -> dict[str, np.ndarray]:
    """Read a state dict from an open file; `origin` names it in errors. See `read_torch_weights`."""
    try:
        header = [_TensorUnpickler(stream).load() for _ in range(3)]
        if header[0] != _MAGIC or header[1] != _PROTOCOL:
            raise WeightsError(f"{origin}: expected a PyTorch weights file in the legacy format, received another one.")
        tensors = _TensorUnpickler(stream).load()
        storages = {key: None for key in _TensorUnpickler(stream).load()}
        return _materialise(tensors, storages, stream)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(f"{origin}: expected a PyTorch weights file in the legacy format: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Storage:
    key: str
    dtype: type
    length: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that allows tensors only."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"expected tensors only, but the file names {module_name}.{global_name}. "
                "Do not use it: it may run arbitrary code."
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, length, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"expected a tensor storage, received {kind!r}")
        return _Storage(key, dtype, length)


def _materialise(tensors: dict[str, _Tensor], storages: dict[str, Any], stream: IO[bytes]) -> dict[str, np.ndarray]:
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    for key in storages:
        length = int.from_bytes(stream.read(8), "little", signed=True)
        content = stream.read(length * np.dtype(dtypes[key]).itemsize)
        storages[key] = np.frombuffer(content, dtype=dtypes[key], count=length)
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= len(values):
        raise ValueError("a tensor reaches outside its storage")
    strides = tuple(step * values.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False).copy()
