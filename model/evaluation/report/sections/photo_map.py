"""Map of the photos by their features, with the incorrect predictions."""

from typing import Any

from model.evaluation.photo_map_chart import MapPoint, legend, map_chart
from model.evaluation.report.content import ReportContent
from model.results import Sample

MAX_LEGEND = 28


def values(content: ReportContent) -> dict[str, Any] | None:
    """Values of photo_map.html.jinja; None without a map."""
    if content.study is None or content.study.map is None:
        return None
    photos, points = content.study.photos, map_points(content)
    return {
        "map": map_chart(points),
        "method": "t-SNE" if content.study.map.is_tsne else "their first two principal components",
        "legend": legend(photos.classes[:MAX_LEGEND]),
        "more_classes": max(0, len(photos.classes) - MAX_LEGEND),
        "shown": len(points),
        "all": len(photos.samples),
    }


def map_points(content: ReportContent) -> list[MapPoint]:
    """The photos of the map; none without a map."""
    if content.study is None or content.study.map is None:
        return []
    photos, places = content.study.photos, content.study.map
    evaluation = content.evaluation
    predicted = {
        sample.name: int(label)
        for sample, label in zip(evaluation.samples, evaluation.probabilities.argmax(axis=1), strict=True)
    }
    points = []
    for row, (x, y) in zip(places.rows.tolist(), places.places.tolist(), strict=True):
        sample = photos.samples[row]
        answer = predicted.get(sample.name, sample.label)
        text = f"{sample.name}: {photos.classes[sample.label]}"
        if answer != sample.label:
            text += f", predicted {photos.classes[answer]}"
        points.append(
            MapPoint(x, y, sample.label, answer != sample.label, text, content.thumbnail_ids.get(sample.name, ""))
        )
    return points


def photos_to_show(content: ReportContent) -> list[Sample]:
    """The photos of the map."""
    if content.study is None or content.study.map is None:
        return []
    return [content.study.photos.samples[row] for row in content.study.map.rows.tolist()]
