"""Whether a comparison lets a new model be promoted: better on all photos, and no loss on those it shares."""

import dataclasses

from model.evaluation.comparison.gate import Gate, Photos
from model.evaluation.comparison.result import METRIC_NAMES, PHOTOS_IN_WORDS, Comparison, verdict_of
from model.evaluation.comparison.statistics import PairedDifference
from model.promotion import ComparedMetric, PromotionComparison


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a model is promoted, and the reason as a sentence."""

    is_promoted: bool
    sentence: str


def decide_promotion(comparison: Comparison) -> Decision:
    """Decide about the one new model of a comparison.

    It is promoted if it is better than the base model by more than chance on all photos, and loses no more than
    `comparison.gate.max_regression`, by default nothing, on photos of classes that both models know. Photos that a
    model was trained or tuned on decide nothing.
    """
    [pair] = comparison.pairs
    overall, shared = pair.rows["all"].difference, pair.rows.get("shared")
    limit = Gate(comparison.gate.metric, "shared", comparison.gate.max_regression or 0.0, comparison.gate.confident)
    not_promoted = f"{pair.new} is not promoted"
    if not comparison.is_decidable:
        reason = "this cannot be decided on these photos, because a model was trained or tuned on them"
        return Decision(False, f"{not_promoted}: {reason}. Compare the models on new photos.")
    if verdict_of(overall, overall.p_value) != "better":
        return Decision(
            False, f"{not_promoted}: it is not better beyond chance, {_described(comparison, overall, 'all')}."
        )
    if shared is None:
        return Decision(False, f"{not_promoted}: there are no photos of classes that it shares with {pair.base}.")
    if not limit.is_kept(shared.difference):
        allowed = f"more than {100 * (limit.max_regression or 0):.3g} points may be lost"
        reason = f"{_described(comparison, shared.difference, 'shared')}, where no {allowed}"
        return Decision(False, f"{not_promoted}: it loses {reason}.")
    return Decision(True, f"{pair.new} is promoted: it is better, {_described(comparison, overall, 'all')}.")


def promotion_comparison(comparison: Comparison) -> PromotionComparison:
    """The numbers of a comparison that the history of promotions keeps."""
    [pair] = comparison.pairs
    rows: dict[str, ComparedMetric] = {kind: _kept(row.difference) for kind, row in pair.rows.items()}
    return PromotionComparison(pair.new, pair.base, comparison.dataset, comparison.gate.metric, rows)


def _described(comparison: Comparison, found: PairedDifference, photos: Photos) -> str:
    low, high = (100 * limit for limit in found.interval)
    return (
        f"{100 * found.difference:+.1f} points of {METRIC_NAMES[comparison.gate.metric]} "
        f"(95 % interval {low:.1f} to {high:.1f}) on {found.images:,} photos {PHOTOS_IN_WORDS[photos]}"
    )


def _kept(found: PairedDifference) -> ComparedMetric:
    return ComparedMetric(found.images, found.base, found.new, found.difference, found.interval, found.p_value)
