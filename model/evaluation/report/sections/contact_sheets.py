"""Contact sheets: photos of each class that show its variety."""

from typing import Any

from model.evaluation.report.content import ReportContent
from model.results import Sample


def values(content: ReportContent) -> dict[str, Any] | None:
    """Values of contact_sheets.html.jinja; None if the features of the photos are unknown."""
    if content.study is None or not any(content.study.contact_sheets.values()):
        return None
    sheets = content.study.contact_sheets
    ids = content.thumbnail_ids
    return {
        "sheets": {
            name: [{"name": sample.name, "id": ids.get(sample.name)} for sample in samples]
            for name, samples in sheets.items()
            if samples
        },
        "left_out": len(content.manifest.classes) - len(sheets),
    }


def photos_to_show(content: ReportContent) -> list[Sample]:
    """The photos of the section; all classes alternate, so that each has some where there is no room for all."""
    if content.study is None:
        return []
    sheets = list(content.study.contact_sheets.values())
    longest = max(map(len, sheets), default=0)
    return [sheet[place] for place in range(longest) for sheet in sheets if place < len(sheet)]
