"""Rendering of a report: one HTML file with all images embedded, to open anywhere and to print."""

import base64
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model import durable
from model.dataset.rereading import PhotoReader
from model.evaluation.report.content import ReportContent
from model.evaluation.report.policy import report_script, safe_beginning
from model.evaluation.report.sections import (
    calibration,
    confusion,
    contact_sheets,
    dataset,
    errors,
    labels,
    more_photos,
    per_class,
    photo_map,
    photos,
    search,
    settings,
    summary,
    training,
    uncertain,
)
from model.evaluation.thumbnails import read_thumbnails
from model.results import Sample
from model.shown import counted, printable_text

MAX_THUMBNAIL_BYTES = 2_400_000
"""As WebP; as text in the page a third more, so that the page stays below 5 MB."""

MAX_THUMBNAILS = 1200
"""Reading many more photos again would take a good part of the time of a training."""

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent
_NO_THUMBNAILS: Mapping[str, str] = {}

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
    ("uncertain", uncertain.values),
    ("labels", labels.values),
    ("more_photos", more_photos.values),
    ("photo_map", photo_map.values),
    ("contact_sheets", contact_sheets.values),
    ("photos", photos.values),
    ("settings", settings.values),
)


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report as one self-contained HTML file, of less than 5 MB."""
    durable.write_text(path, render_report(content))


def with_thumbnails(content: ReportContent, reader: PhotoReader) -> ReportContent:
    """The content with thumbnails of the photos that its sections show; a warning names photos that are gone.

    Args:
        reader: reads the photos again; those that it left out before are in the warning.
    """
    found = read_thumbnails(_photos_to_show(content), reader, MAX_THUMBNAIL_BYTES, content.manifest.intensity)
    warnings = (*content.warnings, *reader.warnings("they are in the report by name only"))
    return dataclasses.replace(content, thumbnails=found, warnings=warnings)


def _photos_to_show(content: ReportContent) -> list[Sample]:
    """The photos that have a thumbnail, each once, the most important ones first."""
    ordered = [
        *labels.photos_to_show(content),
        *photos.photos_with_thumbnails(content.evaluation),
        *uncertain.photos_to_show(content),
        *contact_sheets.photos_to_show(content),
        *photo_map.photos_to_show(content),
    ]
    return list({sample.name: sample for sample in ordered}.values())[:MAX_THUMBNAILS]


def render_report(content: ReportContent, sections: Sequence[Section] = SECTIONS) -> str:
    """The report as HTML."""
    environment = template_environment()
    rendered = []
    for name, values in sections:
        found = values(content)
        if found is not None:
            rendered.append(environment.get_template(f"sections/{name}.html.jinja").render(found))
    evaluated = content.evaluated
    title = f"{content.manifest.name}: {'report' if evaluated is None else f'evaluation on {evaluated.name}'}"
    return render_page(title, rendered, _data_uris(content))


def template_environment(folder: Path = _TEMPLATES) -> "jinja2.Environment":
    """Environment of the templates in `folder` and of those of the report, which escape every value."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["counted"] = counted
    environment.filters["percent"] = lambda fraction, digits=1: f"{fraction:.{digits}%}"
    return environment


def render_page(title: str, sections: Sequence[str], thumbnails: Mapping[str, str] = _NO_THUMBNAILS) -> str:
    """A page with the style sheet and the script of reports, as HTML of visible characters.

    Args:
        sections: HTML of each section, escaped by its own template.
        thumbnails: id of a thumbnail -> its data URI.
    """
    from markupsafe import Markup

    layout = template_environment().get_template("layout.html.jinja")
    page = layout.render(
        title=title,
        sections=[Markup(section) for section in sections],  # nosec B704
        thumbnails=thumbnails,
        # The policy allows exactly these characters.
        script=Markup(report_script()),  # nosec B704
    )
    return printable_text(safe_beginning() + page)


def _data_uris(content: ReportContent) -> dict[str, str]:
    """Id of a thumbnail -> its data URI."""
    return {
        content.thumbnail_ids[name]: f"data:image/webp;base64,{base64.b64encode(thumbnail).decode()}"
        for name, thumbnail in content.thumbnails.items()
    }
