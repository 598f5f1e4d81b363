"""Drift detection: whether the photos sent to a model still resemble those that it was trained and tested on.

Each photo is described by its distance from the training images and by components of its features. The two-sample
Kolmogorov-Smirnov test compares each of these numbers between the classified photos and the held-out images. The
p-values are corrected for multiple comparisons (Holm, A simple sequentially rejective multiple test procedure, 1979).
Rabanser et al. (Failing loudly, 2019) found such tests on a few components among the best to detect a change of data.

The effect is the test statistic: the largest difference between the two cumulative distributions, 0 if they are equal,
1 if they do not overlap. Unlike significance, it does not grow with the number of photos.
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
        median, held_out_median: medians of the classified photos, and of the held-out images.
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
        reason: explanation of the verdict, in one sentence.
        photos: number of distinct photos that were compared, at most `model.usage.sample.MAX_ROWS`.
        held_out: images they were compared with.
        p_value, effect: those of the comparison with the lowest p-value; None without comparisons.
        comparisons: the test of each number.
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
        held_out: int (n, numbers), as returned by `model.serving.held_out_features.read_held_out`.
        photos: rows of the same length.
    """
    if held_out is None:
        return Drift(
            "not judged", "the model has no held-out features: it was imported, or trained by an older version"
        )
    # Imported late, like scipy: the main process of the service reads drift results without NumPy.
    import numpy as np

    sent = np.array(photos, np.int64).reshape(len(photos), -1)
    if len(held_out) < MIN_HELD_OUT:
        reason = f"the model was trained with {len(held_out)} held-out images, and {MIN_HELD_OUT} are needed"
        return Drift("not judged", reason, len(sent), len(held_out))
    if len(sent) < MIN_PHOTOS:
        reason = f"{len(sent)} different photos so far, and {MIN_PHOTOS} are needed"
        return Drift("too few photos", reason, len(sent), len(held_out))
    comparisons = _compare(held_out, sent)
    strongest = min(comparisons, key=lambda test: (test.p_value, -test.effect))
    drifted = strongest.p_value < SIGNIFICANCE_LEVEL
    return Drift(
        "drift" if drifted else "no drift seen",
        _reason(strongest, drifted),
        len(sent),
        len(held_out),
        strongest.p_value,
        strongest.effect,
        comparisons,
    )


def _compare(held_out: "np.ndarray", sent: "np.ndarray") -> tuple[DriftTest, ...]:
    import numpy as np
    from scipy.stats import ks_2samp

    from model.evaluation.significance import holm

    found = [ks_2samp(values, reference) for values, reference in zip(sent.T, held_out.T, strict=True)]
    corrected = holm([float(result.pvalue) for result in found])
    names = ["distance", *(f"axis {number}" for number in range(1, len(found)))]
    medians, held_out_medians = np.median(sent, axis=0) / FEATURE_SCALE, np.median(held_out, axis=0) / FEATURE_SCALE
    return tuple(
        DriftTest(name, float(result.statistic), p_value, float(median), float(held_out_median))
        for name, result, p_value, median, held_out_median in zip(
            names, found, corrected, medians, held_out_medians, strict=True
        )
    )


def _reason(strongest: DriftTest, drifted: bool) -> str:
    if not drifted:
        return f"the difference from the held-out images may be due to chance (p = {strongest.p_value:.2g})"
    medians = f"median {strongest.median:.3f}, of held-out images {strongest.held_out_median:.3f}"
    return f"{strongest.name} has changed: {medians}, effect {strongest.effect:.2f}, p = {strongest.p_value:.2g}"
