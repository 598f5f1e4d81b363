"""Filling in the templates: Markdown, YAML, Groovy and Python, never HTML."""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, values: dict[str, Any], directory: Path = TEMPLATES) -> str:
    """The text of a template; a value that it names and nobody gave is an error of ours.

    Filters beside those of Jinja: `text`, for a name inside Markdown, and `quoted`, for one as a JSON string, which
    YAML takes too.
    """
    environment = Environment(
        loader=FileSystemLoader(directory),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # None of them is HTML; each filter escapes for what it is put into.
        autoescape=False,  # nosec B701
    )
    environment.filters |= {"text": as_text, "quoted": quoted}
    return environment.get_template(template).render(values)


def as_text(value: object) -> str:
    """A name as plain text in Markdown, also inside a table, whatever characters are in it."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", " ".join(str(value).split()))


def quoted(value: object) -> str:
    """A text as a JSON string on one line."""
    return json.dumps(str(value), ensure_ascii=False)
