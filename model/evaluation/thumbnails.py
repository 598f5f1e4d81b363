"""Thumbnails of photos for a report: small WebP images, read again from the dataset."""

import io
from collections.abc import Sequence

from PIL import Image

from model.dataset.images import measure_image
from model.dataset.pipeline import decode_within_budget, in_threads
from model.dataset.rereading import PhotoReader
from model.errors import ImageError, StorageError
from model.intensity import FULL, Intensity
from model.results import InputSpec, Sample

SIDE = 112
"""Longer side in pixels."""

_QUALITY = 60
_BLOCK = 64


def read_thumbnails(
    samples: Sequence[Sample],
    photos: PhotoReader,
    max_bytes: int,
    intensity: Intensity = FULL,
    side: int = SIDE,
) -> dict[str, bytes]:
    """Read photos again as thumbnails that keep the aspect ratio, until they fill `max_bytes`.

    Args:
        samples: the photos, the most important ones first; each name once.
        photos: reads the photos, and records those that are left out because they are gone or changed.
        max_bytes: maximum size of all thumbnails together.
        intensity: as of the model, for photos of more than 8 bits per channel.
        side: longer side in pixels; a smaller photo is not enlarged.

    Returns:
        name -> content of a WebP file.
    """
    found: dict[str, bytes] = {}
    left = max_bytes
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        try:
            contents = list(in_threads(lambda sample: _thumbnail(sample, photos, intensity, side), block))
        except StorageError as error:
            # The mount was waited for; a report without these photos is better than none.
            photos.leave_out(block[0], error)
            break
        for sample, content in zip(block, contents, strict=True):
            if content is None:
                continue
            if len(content) > left:
                return found
            found[sample.name] = content
            left -= len(content)
    return found


def _thumbnail(sample: Sample, photos: PhotoReader, intensity: Intensity, side: int) -> bytes | None:
    try:
        content = photos.read(sample)
        height, width = measure_image(content)
        scale = min(1.0, side / max(height, width))
        spec = InputSpec(max(1, round(height * scale)), max(1, round(width * scale)), intensity=intensity)
        pixels = decode_within_budget(content, spec).pixels
    except ImageError as error:
        photos.leave_out(sample, error)
        return None
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=_QUALITY, method=2)
    return stream.getvalue()
