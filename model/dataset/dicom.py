"""DICOM pictures, where the extra `dicom` (pydicom) is installed.

Method: the VOI LUT (or window) of the file, else the range of its values; PS3.3 C.11.2 of the DICOM standard.
"""

import io

import numpy as np
from PIL import Image

from model.errors import ImageError, ImageTooLargeError


def is_dicom(content: bytes) -> bool:
    """Whether the bytes are a DICOM file with its preamble."""
    return content[128:132] == b"DICM"


def open_dicom(content: bytes, max_pixels: int) -> Image.Image:
    """The first frame of a DICOM file, in mode L or RGB, as a viewer would show it.

    Raises:
        ImageTooLargeError: all frames together have more than `max_pixels` pixels.
        ImageError: pydicom is not installed.
    """
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise ImageError(
            'expected a picture, received a DICOM file, which needs pydicom: pip install "topgraft[dicom]"'
        ) from error
    header = pydicom.dcmread(io.BytesIO(content))
    frames = int(header.get("NumberOfFrames", None) or 1)
    if (pixels := frames * header.Rows * header.Columns) > max_pixels:
        raise ImageTooLargeError(
            f"expected a picture of at most {max_pixels:,} pixels, "
            f"received {frames} frames of {header.Columns} x {header.Rows} = {pixels:,}"
        )
    values = header.pixel_array if frames == 1 else header.pixel_array[0]
    if header.SamplesPerPixel == 3:
        return Image.fromarray(_rgb(values, header.PhotometricInterpretation))
    shown = pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_modality_lut(values, header), header).astype(np.float32)
    shown -= shown.min()
    gray = np.rint(shown * (255 / (shown.max() or 1))).astype(np.uint8)
    return Image.fromarray(255 - gray if header.PhotometricInterpretation == "MONOCHROME1" else gray)


def _rgb(values: np.ndarray, photometric_interpretation: str) -> np.ndarray:
    import pydicom.pixels

    if not photometric_interpretation.startswith("YBR"):
        return values
    return pydicom.pixels.convert_color_space(values, photometric_interpretation, "RGB")
