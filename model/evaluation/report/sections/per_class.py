"""Metrics of each class, with its photos in each split."""

from typing import Any

from model.dataset.verdict import LEARNED_SPLITS
from model.evaluation.report.content import ReportContent
from model.results import SPLITS


def values(content: ReportContent) -> dict[str, Any]:
    """Values of per_class.html.jinja: classes by F1, lowest first, and those without evaluated photos last."""
    counts = content.manifest.dataset.get("counts", {})
    rows = [
        {
            **row,
            "number": number,
            "name": row["class"],
            "learned": sum(counts.get(split, {}).get(row["class"], 0) for split in LEARNED_SPLITS),
            "counts": [counts.get(split, {}).get(row["class"], 0) for split in SPLITS],
        }
        for number, row in enumerate(content.evaluation.metrics["per_class"])
    ]
    rows.sort(key=lambda row: (row["support"] == 0, row["f1"]))
    return {"evaluated": content.evaluated is not None, "classes": rows}
