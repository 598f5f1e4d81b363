"""Decoding of DICOM images, which requires the extra `dicom` (pydicom).

Method: VOI LUT or window of the file, otherwise the range of its values; PS3.3 C.11.2 of the DICOM standard.
"""

import io
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from model.dataset.decoders.source import FULL_SIZE_BYTES, ImageSource, Pixels, Size, not_supported, stream
from model.errors import ImageError, ImageTooLargeError

if TYPE_CHECKING:
    from pydicom import Dataset

# Converted at a time: the conversion takes several copies in float64.
_ROWS = 64
# The frame as stored, the values, their conversion to float32, and the result.
_BYTES_PER_SAMPLE = 10
# pydicom reads each data element alone, in two or three steps.
_MAX_READS = 100_000
_DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_INFLATED = 100_000_000
_BLOCK = 1 << 16


def open_dicom(content: bytes) -> ImageSource:
    """Read the header of a DICOM file; the first frame is the image, as a viewer would show it.

    Raises:
        ImageNotSupportedError: a compression for which pydicom has no decoder.
        ImageError: pydicom is not installed, or the header is damaged.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ImageError(
            'expected an image, received a DICOM file, which needs pydicom: pip install "topgraft[dicom]"'
        ) from error
    inflated = _inflated_bytes(content)
    header = pydicom.dcmread(_LimitedReads(content), stop_before_pixels=True)
    if "Rows" not in header or "Columns" not in header:
        raise not_supported("DICOM file without pixels", "export its image as PNG")
    width, height, samples = int(header.Columns), int(header.Rows), int(header.get("SamplesPerPixel", 1))
    itemsize = max(1, int(header.get("BitsAllocated", 16)) // 8)

    def decode(_target: Size | None) -> Pixels:
        return Pixels(_shown(pydicom.dcmread(stream(content))))

    def memory(target: Size | None) -> int:
        per_pixel = samples * max(_BYTES_PER_SAMPLE, 4 * itemsize) + (FULL_SIZE_BYTES if target is None else 0)
        # pydicom decompresses the file whole, and keeps what it reads.
        return width * height * per_pixel + len(content) + 2 * inflated

    return ImageSource("DICOM", width, height, memory, decode, math.inf)


def _inflated_bytes(content: bytes) -> int:
    """Length of all data elements of a deflated file in bytes, otherwise 0.

    Raises:
        ImageTooLargeError: it is more than `MAX_INFLATED`.
    """
    from pydicom import filereader

    beginning = _LimitedReads(content)
    filereader.read_preamble(beginning, force=False)
    if filereader._read_file_meta_info(beginning).get("TransferSyntaxUID") != _DEFLATED:
        return 0
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(beginning.tell(), len(content), _BLOCK):
        inflated += len(inflater.decompress(content[start : start + _BLOCK], MAX_INFLATED + 1 - inflated))
        if inflated > MAX_INFLATED:
            raise ImageTooLargeError(
                f"expected a deflated DICOM file of at most {MAX_INFLATED:,} bytes, received more: "
                "save it without compression"
            )
    return inflated


class _LimitedReads(io.BytesIO):
    """Content of a file with a limit on the number of reads, and so of data elements.

    Raises:
        ImageTooLargeError: there are more reads.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does."""
        self._left -= 1
        if self._left < 0:
            raise ImageTooLargeError(
                f"expected a DICOM header of at most {_MAX_READS // 2:,} data elements, received more"
            )
        return super().read(size)


def _shown(dataset: "Dataset") -> np.ndarray:
    """The first frame as uint8 (height, width) or (height, width, 3)."""
    from pydicom import pixels

    try:
        values = pixels.pixel_array(dataset, index=0)
    except (RuntimeError, NotImplementedError) as error:
        raise not_supported(f"DICOM file in this compression ({error})", "save it without compression") from error
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return (pixels.apply_color_lut(values, dataset) >> 8).astype(np.uint8)
    if dataset.SamplesPerPixel == 3:
        return (values >> max(0, dataset.BitsStored - 8)).astype(np.uint8)
    shown = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _ROWS):
        rows = pixels.apply_modality_lut(values[start : start + _ROWS], dataset)
        shown[start : start + _ROWS] = pixels.apply_voi_lut(rows, dataset)
    del values
    shown -= shown.min()
    shown *= 255 / (float(shown.max()) or 1.0)
    gray = np.rint(shown, out=shown).astype(np.uint8)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray
