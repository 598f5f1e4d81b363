"""Whether the photos that a model is asked about are still like those that it was made with.

Each photo is described by its distance from the training images and by components of its features. Each of
these numbers is compared between the photos asked about and the held-out images by the two-sample test of Kolmogorov
and Smirnov; the p-values are multiplied as Holm (A simple sequentially rejective multiple test procedure, 1979) does,
so that comparing several numbers raises no more false alarms than comparing one. Rabanser et al. (Failing loudly,
2019) find such tests on each of a few components among the best ways to notice that data have changed.

The effect is the statistic of the test: the largest difference between the two cumulative shares, 0 where both are
alike, 1 where no value of one lies among the other's. Unlike the p-value it does not grow with the number of photos.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from model.bundle import FEATURE_SCALE
from model.usage.sample import Row

if TYPE_CHECKING:
    import numpy as np

MIN_PHOTOS = 50
MIN_HELD_OUT = 10
SIGNIFICANCE_LEVEL = 0.01
"""Significance level: the false alarm rate of one drift check."""

DriftVerdict = Literal["not judged", "too few photos", "no drift seen", "drift"]


@dataclasses.dataclass(frozen=True)
class DriftTest:
    """Two-sample test of one of the numbers that describe a photo.

    Attributes:
        name: `distance`, or `axis 1` and so on: `model.serving.reference_features.ReferenceFeatures.directions`.
        effect: largest difference of the cumulative fractions, in [0, 1].
        p_value: probability of such an effect by chance, corrected for the number of tests.
        median, held_out_median: of the classified photos, and of the held-out images.
    """

    name: str
    effect: float
    p_value: float
    median: float
    held_out_median: float


@dataclasses.dataclass(frozen=True)
class Drift:
    """The result of a drift check.

    Attributes:
        reason: the verdict in a sentence.
        photos: number of distinct photos that were compared, at most `model.usage.sample.MAX_ROWS`.
        held_out: images they were compared with.
        p_value, effect: of the comparison that is least like chance; None where nothing was compared.
        comparisons: all of them.
    """

    verdict: DriftVerdict
    reason: str
    photos: int = 0
    held_out: int = 0
    p_value: float | None = None
    effect: float | None = None
    comparisons: tuple[DriftTest, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The drift as one JSON object."""
        return dataclasses.asdict(self)


def judge_drift(held_out: "np.ndarray | None", photos: list[Row]) -> Drift:
    """Compare photos with held-out images.

    Args:
        held_out: int (n, numbers), as of `model.serving.held_out_features.read_held_out`.
        photos: of as many numbers each.
    """
    if held_out is None:
        return Drift(
            "not judged", "the model has no held-out features: it was imported, or trained by an older version"
        )
    # Late, like scipy: the server's own process reads of drift, and does without arrays.
    import numpy as np

    asked = np.array(photos, np.int64).reshape(len(photos), -1)
    if len(held_out) < MIN_HELD_OUT:
        reason = f"the model was trained with {len(held_out)} held-out images, and {MIN_HELD_OUT} are needed"
        return Drift("not judged", reason, len(asked), len(held_out))
    if len(asked) < MIN_PHOTOS:
        reason = f"{len(asked)} different photos so far, and {MIN_PHOTOS} are needed"
        return Drift("too few photos", reason, len(asked), len(held_out))
    comparisons = _compare(held_out, asked)
    least = min(comparisons, key=lambda found: (found.p_value, -found.effect))
    drifted = least.p_value < SIGNIFICANCE_LEVEL
    return Drift(
        "drift" if drifted else "no drift seen",
        _reason(least, drifted),
        len(asked),
        len(held_out),
        least.p_value,
        least.effect,
        comparisons,
    )


def _compare(held_out: "np.ndarray", asked: "np.ndarray") -> tuple[DriftTest, ...]:
    import numpy as np
    from scipy.stats import ks_2samp

    found = [ks_2samp(ours, theirs) for ours, theirs in zip(asked.T, held_out.T, strict=True)]
    corrected = holm([float(result.pvalue) for result in found])
    names = ["distance", *(f"axis {number}" for number in range(1, len(found)))]
    medians, held_out_medians = np.median(asked, axis=0) / FEATURE_SCALE, np.median(held_out, axis=0) / FEATURE_SCALE
    return tuple(
        DriftTest(name, float(result.statistic), p_value, float(median), float(held_out_median))
        for name, result, p_value, median, held_out_median in zip(
            names, found, corrected, medians, held_out_medians, strict=True
        )
    )


def holm(p_values: list[float]) -> list[float]:
    """Corrected p-values, in the same order: the smallest times their number, the next times one less, and so on."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _reason(least: DriftTest, drifted: bool) -> str:
    if not drifted:
        return f"the photos are as different from the held-out images as chance makes them (p = {least.p_value:.2g})"
    direction = f"median {least.median:.3f}, of held-out images {least.held_out_median:.3f}"
    return f"{least.name} has changed: {direction}, effect {least.effect:.2f}, p = {least.p_value:.2g}"
