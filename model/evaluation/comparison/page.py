"""The page of a comparison: one self-contained HTML file with the style sheet of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.evaluation import charts
from model.evaluation.comparison.changed_photos import ChangedPhoto, find_changed, read_changed
from model.evaluation.comparison.gate import Photos
from model.evaluation.comparison.result import METRIC_NAMES, ClassDifference, Comparison, Pair
from model.evaluation.report.render import render_page, template_environment
from model.evaluation.report.sections.errors import data_uri
from model.evaluation.significance import SIGNIFICANCE
from model.results import Sample
from model.serving.predictor import Predictor

_KINDS: dict[Photos, str] = {
    "shared": "classes that both know",
    "new": "classes that only {new} knows",
    "base": "classes that only {base} knows",
    "all": "all",
}
_MAX_CLASSES = 30
# Ratio of two times that different runs of one network reach.
_SIMILAR_SPEED = 1.2


def render_comparison(comparison: Comparison, predictors: Sequence[Predictor], samples: Sequence[Sample]) -> str:
    """The page as HTML; photos that a model fixes or breaks are read again.

    Args:
        predictors: the models, the base model first.
        samples: the compared photos, in the order of `comparison.names`.
    """
    models = {predictor.bundle.name: predictor for predictor in predictors}
    names = ", ".join([pair.new for pair in comparison.pairs] or comparison.same)
    values = {
        "comparison": comparison,
        "metric": METRIC_NAMES[comparison.gate.metric],
        "on": "classes that both models know" if comparison.gate.on == "shared" else "all classes",
        "recommendation": "" if comparison.decision else _recommendation(comparison),
        "models": list(comparison.models.values()),
        "pairs": [_pair(comparison, pair, models, samples) for pair in comparison.pairs],
        "names": names,
        "diagrams": _diagrams(comparison),
        "left_out": comparison.photos,
        "warnings": () if comparison.photos is None else comparison.photos.warnings,
        "significance": SIGNIFICANCE,
    }
    environment = template_environment(Path(__file__).parent)
    section = environment.get_template("comparison.html.jinja").render(values)
    return render_page(f"{names} against {comparison.base}: comparison", [section])


def _recommendation(comparison: Comparison) -> str:
    """Whether the base model should be replaced, in a few words; empty where nothing was compared."""
    if not comparison.pairs:
        return ""
    if not comparison.is_decidable:
        return _undecided([comparison.doubt(comparison.pairs[0].new)])
    if comparison.best != comparison.base:
        return f"Yes, by {comparison.best}: it is better beyond chance.{_other_speed(comparison)}"
    if all(pair.verdict == "worse" for pair in comparison.pairs):
        return f"No: {comparison.base} is better beyond chance."
    better = [pair.new for pair in comparison.pairs if pair.verdict == "better"]
    if doubts := [doubt for name in better if (doubt := comparison.doubt(name))]:
        return _undecided(doubts)
    if better:
        return "No: the better model loses more than the limit allows."
    return "Not by this evidence: no model is better beyond chance."


def _undecided(doubts: Sequence[str]) -> str:
    return f"This cannot be said from these photos: {'; '.join(doubts)}. Compare the models on new photos."


def _other_speed(comparison: Comparison) -> str:
    """A sentence about the time of the best model for a photo, if it is clearly another; else empty."""
    base, best = (comparison.models[name].milliseconds for name in (comparison.base, comparison.best))
    if not base or 1 / _SIMILAR_SPEED <= best / base <= _SIMILAR_SPEED:
        return ""
    return f" It takes {best / base:.1f} times as long for a photo: {best:.1f} ms instead of {base:.1f} ms."


def _pair(
    comparison: Comparison, pair: Pair, models: Mapping[str, Predictor], samples: Sequence[Sample]
) -> dict[str, Any]:
    predictors = models[pair.base], models[pair.new]
    changed = {
        kind: find_changed(comparison, pair, is_fixed) for kind, is_fixed in (("fixed", True), ("broken", False))
    }
    read = {kind: read_changed(comparison, pair, rows, predictors, samples) for kind, rows in changed.items()}
    return {
        "pair": pair,
        "rows": [
            {"photos": _KINDS[kind].format(base=pair.base, new=pair.new), "row": row, "gated": kind == pair.gate.on}
            for kind, row in pair.rows.items()
            # Where both models know all classes, these are the same photos.
            if kind != "all" or len(pair.rows) > 2
        ],
        "first_classes": _sorted(pair.per_class)[:_MAX_CLASSES],
        "other_classes": _sorted(pair.per_class)[_MAX_CLASSES:],
        "counts": {kind: len(rows) for kind, rows in changed.items()},
        "changed": {kind: [_photo(photo) for photo in photos] for kind, (photos, _) in read.items()},
        "unreadable": {kind: number for kind, (_, number) in read.items()},
    }


def _sorted(classes: Sequence[ClassDifference]) -> list[ClassDifference]:
    """Significant differences first, then by the number of photos predicted differently."""
    return sorted(classes, key=lambda row: (not row.is_significant, -abs(row.fixed - row.broken)))


def _photo(photo: ChangedPhoto) -> dict[str, Any]:
    answers = [{**vars(answer), "overlay": data_uri(answer.overlay)} for answer in (photo.base, photo.new)]
    return {"name": photo.name, "true": photo.true, "image": data_uri(photo.image), "answers": answers}


def _diagrams(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": model.name,
            "error": model.calibration_error,
            "interval": model.calibration_interval,
            "images": sum(group.images for group in model.reliability),
            "diagram": charts.reliability_diagram([], model.reliability),
        }
        for model in comparison.models.values()
        if model.reliability
    ]
