"""TIFF files of any kind, written tag by tag: what no library writes is tested as well."""

import dataclasses
import struct
from collections.abc import Iterator, Mapping

import imagecodecs
import numpy as np

NO_COMPRESSION, LZW, JPEG, DEFLATE, PACKBITS, LZMA, ZSTD, WEBP, JPEG_2000 = (
    *(1, 5, 7, 8),
    *(32773, 34925, 50000, 50001, 34712),
)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

_ENCODERS = {
    NO_COMPRESSION: bytes,
    LZW: imagecodecs.lzw_encode,
    DEFLATE: imagecodecs.zlib_encode,
    PACKBITS: imagecodecs.packbits_encode,
    LZMA: imagecodecs.lzma_encode,
    ZSTD: imagecodecs.zstd_encode,
}
_IMAGE_ENCODERS = {
    JPEG: lambda part: imagecodecs.jpeg8_encode(part, level=100, subsampling="444"),
    WEBP: lambda part: imagecodecs.webp_encode(part, lossless=True),
    JPEG_2000: lambda part: imagecodecs.jpeg2k_encode(part, level=0, codecformat="j2k", reversible=True),
}


@dataclasses.dataclass(frozen=True)
class Tiff:
    """A kind of TIFF.

    Attributes:
        bits: bits per sample; 0 means those of the type of the values.
        tile: height and width of the tiles; None means strips of `rows` rows.
        tags: further tags: number -> type (3 short, 4 long, 2 text) and values.
    """

    photometric: int = 1
    bits: int = 0
    order: str = "<"
    is_big: bool = False
    planar: int = 1
    compression: int = NO_COMPRESSION
    predictor: int = 1
    rows: int = 0
    tile: tuple[int, int] | None = None
    fill_order: int = 1
    extra_samples: tuple[int, ...] = ()
    tags: Mapping[int, tuple[int, tuple[int, ...] | bytes]] = dataclasses.field(default_factory=dict)

    def encode(self, values: np.ndarray) -> bytes:
        """A file with these values, of shape (height, width) or (height, width, samples)."""
        values = values[..., None] if values.ndim == 2 else values
        height, width, samples = values.shape
        bits = self.bits or 8 * values.dtype.itemsize
        planes = [values] if self.planar == 1 else [values[..., [index]] for index in range(samples)]
        segments = [self._compressed(part, bits) for plane in planes for part in self._parts(plane)]
        sample_format = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT, "c": 6}[values.dtype.kind]
        tags: dict[int, tuple[int, tuple[int, ...] | bytes]] = {
            256: (4, (width,)),
            257: (4, (height,)),
            258: (3, (bits,) * samples),
            259: (3, (self.compression,)),
            262: (3, (self.photometric,)),
            266: (3, (self.fill_order,)),
            277: (3, (samples,)),
            284: (3, (self.planar,)),
            317: (3, (self.predictor,)),
            339: (3, (sample_format,) * samples),
        }
        if self.extra_samples:
            tags[338] = (3, self.extra_samples)
        if self.tile:
            tags |= {322: (4, (self.tile[1],)), 323: (4, (self.tile[0],))}
        else:
            tags[278] = (4, (self.rows or height,))
        return self._file(segments, tags | dict(self.tags))

    def _parts(self, plane: np.ndarray) -> Iterator[np.ndarray]:
        height, width, _ = plane.shape
        if self.tile is None:
            rows = self.rows or height
            yield from (plane[top : top + rows] for top in range(0, height, rows))
            return
        down, across = self.tile
        padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
        for top in range(0, height, down):
            yield from (padded[top : top + down, left : left + across] for left in range(0, width, across))

    def _compressed(self, part: np.ndarray, bits: int) -> bytes:
        part = np.ascontiguousarray(part)
        if self.compression in _IMAGE_ENCODERS:
            return bytes(_IMAGE_ENCODERS[self.compression](part[..., 0] if part.shape[2] == 1 else part))
        if self.predictor == 2:
            part = imagecodecs.delta_encode(part, axis=-2)
        if self.predictor == 3:
            data = imagecodecs.floatpred_encode(part.astype(part.dtype.newbyteorder(self.order)), axis=-2).tobytes()
        elif bits == 8 * part.dtype.itemsize:
            data = part.astype(part.dtype.newbyteorder(self.order)).tobytes()
        else:
            data = _packed(part, bits)
        encoded = bytes(_ENCODERS[self.compression](data))
        return encoded if self.fill_order == 1 else bytes(imagecodecs.bitorder_encode(encoded))

    def _file(self, segments: list[bytes], tags: dict[int, tuple[int, tuple[int, ...] | bytes]]) -> bytes:
        header = 16 if self.is_big else 8
        offsets, place = [], header
        for segment in segments:
            offsets.append(place)
            place += len(segment) + len(segment) % 2
        tags = tags | {
            324 if self.tile else 273: (4, tuple(offsets)),
            325 if self.tile else 279: (4, tuple(len(segment) for segment in segments)),
        }
        pixels = b"".join(segment + b"\0" * (len(segment) % 2) for segment in segments)
        magic = b"II" if self.order == "<" else b"MM"
        start = header + len(pixels)
        if self.is_big:
            begin = magic + struct.pack(self.order + "HHHQ", 43, 8, 0, start)
        else:
            begin = magic + struct.pack(self.order + "HI", 42, start)
        return begin + pixels + directory(tags, start, self.order, self.is_big)


def directory(
    tags: Mapping[int, tuple[int, tuple[int, ...] | bytes]], start: int, order: str, is_big: bool = False
) -> bytes:
    """A directory of a TIFF, with its values after it, to be placed at the offset `start`."""
    offset, inside = ("Q", 8) if is_big else ("I", 4)
    after = start + (8 if is_big else 2) + len(tags) * (20 if is_big else 12) + inside
    entries, values = b"", b""
    for tag, (kind, content) in sorted(tags.items()):
        data = (
            content if isinstance(content, bytes) else struct.pack(f"{order}{len(content)}{'HI'[kind - 3]}", *content)
        )
        entries += struct.pack(order + "HH" + offset, tag, kind, len(content))
        if len(data) <= inside:
            entries += data.ljust(inside, b"\0")
        else:
            entries += struct.pack(order + offset, after + len(values))
            values += data + b"\0" * (len(data) % 2)
    count = struct.pack(order + ("Q" if is_big else "H"), len(tags))
    return count + entries + struct.pack(order + offset, 0) + values


def _packed(part: np.ndarray, bits: int) -> bytes:
    """Integers of a few bits each, the highest bit first; each row begins with a new byte."""
    rows = part.reshape(part.shape[0], -1, 1).astype(np.uint32)
    expanded = (rows >> np.arange(bits - 1, -1, -1, dtype=np.uint32) & 1).astype(np.uint8)
    return np.packbits(expanded.reshape(part.shape[0], -1), axis=1).tobytes()
