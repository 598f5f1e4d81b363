"""Arrays of numbers in .npz files, read without trusting what the file claims about its content."""

import io
import math
import zipfile
from typing import IO

import numpy as np

from model.reading import UnreadableError, unreadable

MAX_ARRAYS = 1_000

_NUMBERS = "biuf"
_ENTRY_SIGNATURE = b"PK\x01\x02"


def read_arrays(content: bytes, max_bytes: int) -> dict[str, np.ndarray]:
    """Arrays of a file written by `numpy.savez`: name -> array. The size of each is checked before it is unpacked.

    Args:
        max_bytes: maximum size of all arrays together, unpacked.

    Raises:
        UnreadableError: the content is no such file, is larger, or has arrays of other types than numbers.
    """
    with unreadable():
        # The list of entries is checked before it is parsed: each takes 46 bytes in the file, and hundreds in memory.
        if content.count(_ENTRY_SIGNATURE) > MAX_ARRAYS:
            raise UnreadableError(f"expected at most {MAX_ARRAYS} arrays, found more")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            if len(set(names)) != len(names):
                raise UnreadableError("expected one array of each name")
            claimed = sum(entry.file_size for entry in entries)
            if claimed > max_bytes:
                raise UnreadableError(f"expected arrays of at most {max_bytes:,} bytes, found {claimed:,}")
            arrays = {}
            for name, entry in zip(names, entries, strict=True):
                with archive.open(entry) as stream:
                    arrays[name] = _read_array(name, stream, entry.file_size)
            return arrays


def _read_array(name: str, stream: IO[bytes], size: int) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    # Everything else, such as Python objects, could become code.
    if dtype.kind not in _NUMBERS or dtype.hasobject:
        raise UnreadableError(f"{name}: expected numbers, found the type {dtype}")
    length = math.prod(shape) * dtype.itemsize
    if not 0 <= length <= size or min(shape, default=0) < 0:
        raise UnreadableError(f"{name}: expected an array of the file's size, found the shape {shape}")
    values = bytearray(stream.read(length + 1))
    if len(values) != length:
        raise UnreadableError(f"{name}: expected {length:,} bytes, found {'fewer' if len(values) < length else 'more'}")
    return np.ndarray(shape, dtype, values, order="F" if is_fortran else "C")
