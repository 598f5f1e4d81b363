"""Suspected label errors, with the classes of the nearest training photos."""

from collections import Counter
from typing import Any

from model.evaluation.label_issues import LabelIssue
from model.evaluation.report.content import NO_FEATURES, ReportContent
from model.results import Sample

MAX_SHOWN = 40
_PHOTOS_OF = {"train": "training", "val": "validation", "test": "test"}


def values(content: ReportContent) -> dict[str, Any]:
    """Values of labels.html.jinja."""
    if content.study is None:
        return {"off": NO_FEATURES, "of_training": False}
    check, of_training = content.study.label_check, content.study.of_training
    parts = [f"{count:,} {_PHOTOS_OF[split] if of_training else 'evaluated'}" for split, count in check.checked.items()]
    return {
        "off": check.off,
        "checked": f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts),
        "count": len(check.issues),
        "issues": [_row(content, issue) for issue in check.issues[:MAX_SHOWN]],
        "has_neighbours": any(issue.neighbours for issue in check.issues),
        "file": content.label_issues,
        "train_checked": "train" in check.checked,
        "of_training": of_training,
        "unknown": content.evaluated is not None and content.evaluated.learned_from == "unknown",
        "learned_from_scratch": content.learned_from_scratch,
    }


def photos_to_show(content: ReportContent) -> list[Sample]:
    """The photos of the section, the most suspicious first."""
    return [] if content.study is None else [issue.sample for issue in content.study.label_check.issues[:MAX_SHOWN]]


def _row(content: ReportContent, issue: LabelIssue) -> dict[str, Any]:
    neighbours = [f"{count} {name}" for name, count in Counter(issue.neighbours).most_common()]
    return {**vars(issue), "id": content.thumbnail_ids.get(issue.sample.name), "neighbours": ", ".join(neighbours)}
