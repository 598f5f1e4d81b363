"""Dataset: the photos of each split and class, and the problems found in them."""

from collections.abc import Mapping
from typing import Any

from model.evaluation.report.content import ReportContent
from model.results import SPLITS

_MAX_LISTED = 8


def values(content: ReportContent) -> dict[str, Any]:
    """Values of dataset.html.jinja."""
    manifest, evaluated = content.manifest, content.evaluated
    counts: Mapping[str, Mapping[str, int]] = manifest.dataset.get("counts", {})
    if evaluated is None:
        by_class = {name: sum(counts.get(split, {}).get(name, 0) for split in SPLITS) for name in manifest.classes}
    else:
        support = {row["class"]: row["support"] for row in content.evaluation.metrics["per_class"]}
        by_class = {name: support[name] for name in manifest.classes}
    smallest, largest = min(by_class, key=by_class.__getitem__), max(by_class, key=by_class.__getitem__)
    unreadable = content.evaluation.errors
    return {
        "images": sum(by_class.values()),
        "classes": len(by_class),
        "smallest": (smallest, by_class[smallest]),
        "largest": (largest, by_class[largest]),
        "evaluated": evaluated,
        "layout": manifest.dataset.get("layout", "") if evaluated is None else evaluated.layout,
        "splits": [{"name": split, "images": sum(counts.get(split, {}).values())} for split in SPLITS],
        "rejected": content.rejected[:_MAX_LISTED],
        "rejected_count": len(content.rejected),
        "unreadable": unreadable[:_MAX_LISTED],
        "unreadable_count": len(unreadable),
        "leakage": content.leakage[:_MAX_LISTED],
        "leakage_count": len(content.leakage),
        "warnings": content.warnings,
    }
