"""Rendering of a report: one HTML file with all images embedded, to open anywhere and to print."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.evaluation.report.content import ReportContent
from model.evaluation.report.policy import SAFE_BEGINNING
from model.evaluation.report.sections import (
    calibration,
    confusion,
    dataset,
    errors,
    per_class,
    search,
    settings,
    summary,
    training,
)

_TEMPLATES = Path(__file__).parent

Section = tuple[str, Callable[[ReportContent], dict[str, Any] | None]]
"""A section: the name of its template in `sections/`, and a function that returns the values the template uses, or
None to leave the section out."""

SECTIONS: tuple[Section, ...] = (
    ("summary", summary.values),
    ("dataset", dataset.values),
    ("search", search.values),
    ("training", training.values),
    ("per_class", per_class.values),
    ("confusion", confusion.values),
    ("calibration", calibration.values),
    ("errors", errors.values),
    ("settings", settings.values),
)


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report as one self-contained HTML file of some hundred kilobytes."""
    durable.write_text(path, render_report(content))


def render_report(content: ReportContent, sections: Sequence[Section] = SECTIONS) -> str:
    """The report as HTML."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = lambda fraction, digits=1: f"{fraction:.{digits}%}"
    rendered = []
    for name, values in sections:
        found = values(content)
        if found is not None:
            section = environment.get_template(f"sections/{name}.html.jinja").render(found)
            # The section is escaped by its own template.
            rendered.append(Markup(section))  # nosec B704
    layout = environment.get_template("layout.html.jinja")
    return SAFE_BEGINNING + layout.render(title=f"{content.manifest.name}: report", sections=rendered)
