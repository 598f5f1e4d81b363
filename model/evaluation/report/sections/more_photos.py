"""Whether more photos would help: accuracy and recall by number of training photos."""

from typing import Any

from model.evaluation import charts
from model.evaluation.learning_curve import MIN_PHOTOS, LearningCurve, advice, collect_advice
from model.evaluation.report.content import NO_FEATURES, ReportContent

TITLE, X_LABEL = "Accuracy by number of training photos", "training photos"
_MAX_ROWS = 12


def values(content: ReportContent) -> dict[str, Any]:
    """Values of more_photos.html.jinja."""
    if content.study is None or content.study.photos.reference is None:
        return {"off": NO_FEATURES}
    curve = content.study.curve
    if not content.study.of_training:
        return {"off": "this needs the training photos, which the report of the training shows"}
    if curve is None and content.learned_from_scratch:
        return {
            "off": "the network learned its features from all training photos, so each smaller number of photos would "
            "need a training of its own"
        }
    if curve is None:
        train = content.study.photos.splits.count("train")
        few = f"{train} training photos are too few, at least {MIN_PHOTOS} are needed" if train < MIN_PHOTOS else ""
        return {"off": few or "there was no time, or there are no photos to measure on"}
    rows = curve.class_gains
    return {
        "off": "",
        "advice": advice(curve),
        "collect": collect_advice(curve),
        "chart": _chart(curve),
        "rows": rows[:_MAX_ROWS],
        "others": rows[_MAX_ROWS:],
        "images": len(curve.labels),
        "measured_on": curve.measured_on,
        "folds": curve.folds,
    }


def _chart(curve: LearningCurve) -> charts.Svg:
    return charts.line_chart(TITLE, curve_series(curve), X_LABEL, percent=True)


def curve_series(curve: LearningCurve) -> list[charts.Series]:
    """Accuracy by number of training photos, and its interval."""
    points = [(photos, *measured) for photos, measured in zip(curve.photos, curve.accuracy(), strict=True)]
    return [
        charts.Series("accuracy", [(x, value) for x, value, _ in points], charts.BLUE),
        charts.Series("95 % interval", [(x, limits[0]) for x, _, limits in points], charts.GRAY, dashed=True, width=1),
        charts.Series("", [(x, limits[1]) for x, _, limits in points], charts.GRAY, dashed=True, width=1),
    ]
