"""Photos that do not fit the intensity range of a model: clipped ones, and ones with few gray levels left."""

from typing import Literal

from model.dataset.intensity.value_distribution import ValueDistribution
from model.intensity import Intensity, IntensityRange, span

# Fraction of the values beyond the range.
MAX_CLIPPED = 0.5
# Fraction of the range; below it, fewer than 16 of 256 gray levels are left.
MIN_USED = 1 / 16
MIN_LEVELS = round(256 * MIN_USED)

Misfit = Literal["", "clipped", "flat"]
"""clipped: more than half of the values are outside the range. flat: they use less than 1/16 of it."""

_FULL_RANGE = IntensityRange(0, 65535)


def find_misfit(values: ValueDistribution, intensity: Intensity) -> Misfit:
    """Check a photo against an intensity range. A photo of one value fits if it is inside the range.

    Types other than uint16 have no full range of their own: with `full`, each photo is scaled by its values.
    """
    if not isinstance(intensity, IntensityRange):
        if values.dtype != "uint16":
            return ""
        intensity = _FULL_RANGE
    if values.fraction_outside(intensity.low, intensity.high) > MAX_CLIPPED:
        return "clipped"
    return "flat" if 0 < values.width < MIN_USED * (intensity.high - intensity.low) else ""


def misfit_warning(values: ValueDistribution | None, intensity: Intensity) -> str:
    """Describe in a sentence why the prediction for a photo may be wrong; empty if the photo fits.

    Args:
        values: the photo; None if it has 8 bits per channel.
        intensity: intensity of the model.
    """
    misfit = find_misfit(values, intensity) if values else ""
    if not values or not misfit:
        return ""
    of_model = "the intensity range of the model," if isinstance(intensity, IntensityRange) else "the full range,"
    limits = intensity if isinstance(intensity, IntensityRange) else _FULL_RANGE
    used, whole = span(*values.extent), span(limits.low, limits.high)
    if misfit == "clipped":
        return f"more than half of its values ({used}) are outside {of_model} {whole}: the model sees little of it"
    return f"its values ({used}) use less than 1/{1 / MIN_USED:.0f} of {of_model} {whole}: the model sees little of it"
