"""Decoding of DICOM images, which requires the extra `dicom` (pydicom).

Method: VOI LUT or window of the file, otherwise the range of its values; PS3.3 C.11.2 of the DICOM standard.
"""

import io

import numpy as np
from PIL import Image

from model.errors import ImageError, ImageTooLargeError


def is_dicom(content: bytes) -> bool:
    """Whether the bytes are a DICOM file with a preamble."""
    return content[128:132] == b"DICM"


def open_dicom(content: bytes, max_pixels: int) -> Image.Image:
    """Decode the first frame of a DICOM file to mode L or RGB, as a viewer would show it.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels.
        ImageError: pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom import pixels
    except ImportError as error:
        raise ImageError(
            'expected an image, received a DICOM file, which needs pydicom: pip install "topgraft[dicom]"'
        ) from error
    dataset = pydicom.dcmread(io.BytesIO(content))
    if (count := dataset.Rows * dataset.Columns) > max_pixels:
        raise ImageTooLargeError(
            f"expected an image of at most {max_pixels:,} pixels, "
            f"received {dataset.Columns} x {dataset.Rows} = {count:,}"
        )
    values = pixels.pixel_array(dataset, index=0)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return Image.fromarray((pixels.apply_color_lut(values, dataset) >> 8).astype(np.uint8))
    if dataset.SamplesPerPixel == 3:
        return Image.fromarray((values >> max(0, dataset.BitsStored - 8)).astype(np.uint8))
    shown = pixels.apply_voi_lut(pixels.apply_modality_lut(values, dataset), dataset).astype(np.float32)
    shown -= shown.min()
    gray = np.rint(shown * (255 / (shown.max() or 1))).astype(np.uint8)
    return Image.fromarray(255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray)
