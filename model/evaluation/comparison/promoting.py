"""Whether a comparison lets a new model be promoted: better on all photos, and no loss on those it shares."""

import dataclasses

from model.evaluation.comparison.gate import Gate, Photos
from model.evaluation.comparison.result import METRIC_NAMES, PHOTOS_IN_WORDS, Comparison, Pair
from model.evaluation.comparison.statistics import PairedDifference
from model.promotion import ComparedMetric, PromotionComparison
from model.shown import counted


@dataclasses.dataclass(frozen=True)
class Decision:
    """Which model is promoted, and the reason as a sentence.

    Attributes:
        promoted: name of the model; empty if none is promoted.
    """

    promoted: str
    sentence: str


def decide_promotion(comparison: Comparison) -> Decision:
    """Decide about the new models of a comparison, of which the best that may be promoted is.

    A model may be promoted if it is better than the base model by more than chance on all photos, and loses no more
    than `comparison.gate.max_regression`, by default nothing, on photos of classes that both models know. Chance is
    corrected for the number of models. Photos that a model was trained or tuned on decide nothing.
    """
    ordered = sorted(comparison.pairs, key=lambda pair: pair.rows["all"].difference.difference, reverse=True)
    problems = []
    for pair in ordered:
        if problem := _problem(comparison, pair):
            problems.append(f"{pair.new} is not promoted: {problem}.")
            continue
        better = _described(comparison, pair.rows["all"].difference, "all", pair.p_value)
        return Decision(pair.new, f"{pair.new} is promoted: it is better, {better}.")
    return Decision("", " ".join(problems))


def _problem(comparison: Comparison, pair: Pair) -> str:
    """Why a new model is not promoted; empty if it may be."""
    overall, shared = pair.rows["all"].difference, pair.rows.get("shared")
    limit = Gate(comparison.gate.metric, "shared", comparison.gate.max_regression or 0.0, comparison.gate.confident)
    if doubt := comparison.doubt(pair.new):
        return f"this cannot be decided on these photos, because {doubt}. Compare the models on new photos"
    # The verdict of the pair is that of all photos, with p corrected for the number of models.
    if pair.verdict != "better":
        return f"it is not better beyond chance, {_described(comparison, overall, 'all', pair.p_value)}"
    if shared is None:
        return f"there are no photos of classes that it shares with {pair.base}"
    if not limit.is_kept(shared.difference):
        allowed = f"more than {100 * (limit.max_regression or 0):.3g} points may be lost"
        return f"it loses {_described(comparison, shared.difference, 'shared')}, where no {allowed}"
    return ""


def promotion_comparison(comparison: Comparison, name: str) -> PromotionComparison:
    """The numbers of a comparison that the history of promotions keeps.

    Args:
        name: the promoted model.
    """
    pair = next(one for one in comparison.pairs if one.new == name)
    rows: dict[str, ComparedMetric] = {kind: _kept(row.difference) for kind, row in pair.rows.items()}
    return PromotionComparison(pair.new, pair.base, comparison.dataset, comparison.gate.metric, rows)


def _described(comparison: Comparison, found: PairedDifference, photos: Photos, p_value: float | None = None) -> str:
    low, high = (100 * limit for limit in found.interval)
    test = "" if p_value is None else f", p {p_value:.2g}"
    return (
        f"{100 * found.difference:+.1f} points of {METRIC_NAMES[comparison.gate.metric]} "
        f"(95 % interval {low:.1f} to {high:.1f}{test}) on {counted(found.images, 'photo')} {PHOTOS_IN_WORDS[photos]}"
    )


def _kept(found: PairedDifference) -> ComparedMetric:
    return ComparedMetric(found.images, found.base, found.new, found.difference, found.interval, found.p_value)
