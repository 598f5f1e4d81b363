"""Weights in an HDF5 file from an untrusted source: they must be numbers, stored once, in the file itself.

HDF5 can refer to other files, run decompression plug-ins, and describe with a few bytes an array or a tree of groups
that never ends: a group may be linked any number of times, also into itself.
"""

import math
from collections.abc import Iterator
from typing import Any

import h5py

from model.errors import ModelError
from model.received import quoted

_NUMBERS = "biuf"
_FILTERS = frozenset({"gzip", None})
# The largest networks of keras.applications, with the state of their optimizer, have ten thousand.
_MAX_OBJECTS = 50_000
_MAX_DEPTH = 100
# Keras stores weights uncompressed; some networks are compressed afterwards.
_MAX_RATIO = 8
_ALLOWANCE = 1024**2
# Attributes, among them the configuration, are read at once, and their length is only known then.
_MAX_OTHER_BYTES = 64 * 1024**2


def check_weights(file: h5py.File, checkpoint: object, file_bytes: int) -> int:
    """Check an open file, without reading any array; return how many numbers its arrays have.

    Args:
        checkpoint: the file, for messages.
        file_bytes: size of the file.

    Raises:
        ModelError: it refers to other files, contains anything but numbers, or claims more than it can hold.
    """
    numbers, claimed, stored = 0, 0, 0
    for name, item in _objects(file, checkpoint):
        if isinstance(item, h5py.Group):
            continue
        if not isinstance(item, h5py.Dataset):
            raise ModelError(f"{checkpoint}: expected groups and arrays, {quoted(name)} is a named type")
        _check_array(name, item, checkpoint)
        size = math.prod(item.shape or ())
        numbers += size
        claimed += size * item.dtype.itemsize
        stored += item.id.get_storage_size()
        if claimed > _MAX_RATIO * file_bytes + _ALLOWANCE:
            raise ModelError(
                f"{checkpoint}: expected weights of the file's size, {quoted(name)} claims "
                f"{size * item.dtype.itemsize:,} bytes"
            )
    if file_bytes - stored > _MAX_OTHER_BYTES:
        raise ModelError(
            f"{checkpoint}: expected at most {_MAX_OTHER_BYTES:,} bytes besides the weights, found "
            f"{file_bytes - stored:,}"
        )
    return numbers


def _objects(file: h5py.File, checkpoint: object) -> Iterator[tuple[str, Any]]:
    """Groups and arrays of a file, each reached by exactly one link."""
    reached = {_address(file)}
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        if len(group) + len(reached) > _MAX_OBJECTS or depth > _MAX_DEPTH:
            raise ModelError(f"{checkpoint}: expected at most {_MAX_OBJECTS:,} groups and arrays, found more")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _points_elsewhere(name, checkpoint)
            item = group[name]
            if _address(item) in reached:
                raise ModelError(f"{checkpoint}: expected each group and array once, {quoted(name)} is linked again")
            reached.add(_address(item))
            yield name, item
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))


def _points_elsewhere(name: str, checkpoint: object) -> ModelError:
    return ModelError(f"{checkpoint}: expected all weights in the file itself, {quoted(name)} points elsewhere")


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _check_array(name: str, array: h5py.Dataset, checkpoint: object) -> None:
    if array.external or array.is_virtual:
        raise _points_elsewhere(name, checkpoint)
    if array.dtype.kind not in _NUMBERS:
        raise ModelError(f"{checkpoint}: expected arrays of numbers, {quoted(name)} has the type {array.dtype}")
    if array.compression not in _FILTERS or array.id.get_create_plist().get_nfilters() > 3:
        raise ModelError(f"{checkpoint}: expected arrays without filters, {quoted(name)} has some")
