"""The option `intensity` applied to a dataset: the range of its deep photos, and the photos that do not fit it."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from model.dataset.intensity.misfit import MIN_LEVELS, Misfit, find_misfit
from model.dataset.intensity.range import extent, have_different_units, range_of
from model.dataset.intensity.value_distribution import ValueDistribution
from model.intensity import AUTO, FULL, Intensity, IntensityRange, parse_intensity, span
from model.results import Sample
from model.shown import counted

_NAMES = {"uint16": "16-bit", "int16": "signed 16-bit", "uint32": "32-bit", "int32": "signed 32-bit"}
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class IntensityFinding:
    """Intensity of a dataset, and what it was derived from.

    Attributes:
        intensity: how its deep photos are reduced to 8 bits.
        sentence: the values of the deep photos, and what becomes of them; empty without such photos.
        warnings: sentences about photos that do not fit.
    """

    intensity: Intensity
    sentence: str = ""
    warnings: tuple[str, ...] = ()


def find_intensity(
    option: str, samples: Sequence[Sample], values: Sequence[ValueDistribution | None], training: Collection[str]
) -> IntensityFinding:
    """Apply the option `intensity` to a dataset: find the range of its training photos, or check the given one.

    Args:
        option: auto, full or LOW,HIGH.
        samples: all images.
        values: distribution of the values of each; None for images of 8 bits, which are never changed.
        training: names of the images to learn from.
    """
    requested = parse_intensity(option)
    deep = {sample.name: found for sample, found in zip(samples, values, strict=True) if found is not None}
    learned = [found for name, found in deep.items() if name in training]
    if not deep:
        return IntensityFinding(FULL if requested == AUTO else requested)
    warnings: list[str] = []
    intensity: Intensity
    if requested != AUTO:
        intensity = requested
    elif have_different_units(learned):
        intensity = FULL
        warnings.append(_two_units(learned))
    else:
        intensity = range_of(learned) or FULL
    if isinstance(intensity, IntensityRange) or requested == FULL:
        warnings += _misfits(deep, intensity)
    elif not learned:
        warnings.append(
            f"{counted(len(deep), 'photo')} with more than 8 bits per channel, none of them for training: each is "
            f"scaled by the full range of its type: {_some(list(deep))}"
        )
    return IntensityFinding(intensity, _describe(deep, len(samples), intensity, option), tuple(warnings))


def _two_units(values: Sequence[ValueDistribution]) -> str:
    integers, floats = ([found for found in values if found.is_float == kind] for kind in (False, True))
    return (
        f"{counted(len(integers), 'photo')} of whole numbers from {span(*extent(integers))} and "
        f"{counted(len(floats), 'photo')} of floating-point numbers from {span(*extent(floats))} cannot have one "
        "intensity range, so each is scaled by the full range of its type. Convert them to one type"
    )


def _misfits(deep: Mapping[str, ValueDistribution], intensity: Intensity) -> list[str]:
    """Warnings about photos that are clipped, or of which few gray levels are left."""
    found: dict[Misfit, list[str]] = defaultdict(list)
    for name, values in deep.items():
        found[find_misfit(values, intensity)].append(name)
    applied = (
        f"the intensity range {span(intensity.low, intensity.high)}"
        if isinstance(intensity, IntensityRange)
        else "the full range of their type: intensity = auto would keep more"
    )
    warnings = []
    if names := found["clipped"]:
        warnings.append(
            f"{counted(len(names), 'photo')} with more than half of the values outside {applied}: {_some(names)}"
        )
    if names := found["flat"]:
        warnings.append(
            f"{counted(len(names), 'photo')} with fewer than {MIN_LEVELS} gray levels by {applied}: {_some(names)}"
        )
    return warnings


def _describe(deep: Mapping[str, ValueDistribution], total: int, intensity: Intensity, option: str) -> str:
    kinds = Counter(found.dtype for found in deep.values())
    named = " and ".join(f"{counted(number, _kind(dtype) + ' photo')}" for dtype, number in sorted(kinds.items()))
    low, high = extent(list(deep.values()))
    if not any(found.is_float for found in deep.values()):
        low, high = np.floor(low), np.ceil(high)
    whole = " of 65,535" if kinds.keys() == {"uint16"} else ""
    sentence = f"{named} with values from {span(low, high)}{whole}"
    if isinstance(intensity, IntensityRange):
        sentence += f": reduced to 8 bits by the range {span(intensity.low, intensity.high)} (intensity = {option})"
    else:
        sentence += f": reduced to 8 bits by the full range of their type (intensity = {option})"
    others = total - len(deep)
    return sentence + (f". The other {counted(others, 'photo')} of 8 bits stay as they are" if others else "")


def _kind(dtype: str) -> str:
    return _NAMES.get(dtype, "floating-point" if dtype.startswith("float") else dtype)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
