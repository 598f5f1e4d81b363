"""Text templates: Markdown, YAML, Groovy and Python, but not HTML."""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model.shown import counted, one_line


def render(template: str, values: dict[str, Any], directory: Path) -> str:
    """Fill in a template.

    Filters for texts of users, besides those of Jinja: `text` inside Markdown; `quoted` as a JSON string, which is also
    a YAML string; `docker` as a string of a Dockerfile; `comment` in a line of comment;
    `counted` with a noun, for a number of things.

    Raises:
        jinja2.UndefinedError: the template uses a value that is missing.
    """
    environment = Environment(
        loader=FileSystemLoader(directory),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # No template is HTML; each filter escapes for its place.
        autoescape=False,  # nosec B701
    )
    environment.filters |= {"text": as_text, "quoted": quoted, "docker": docker_string, "comment": one_line}
    environment.filters["counted"] = counted
    return environment.get_template(template).render(values)


def as_text(value: object) -> str:
    """Any text as plain text in Markdown, also inside a table and at the beginning of an item of a list."""
    escaped = re.sub(r"[\\`*_{}\[\]<>#|&~$]|:(?=//)|(?<=www)\.", r"\\\g<0>", one_line(value))
    return re.sub(r"^([0-9]*)([-+=.)])", r"\1\\\2", escaped)


def quoted(value: object) -> str:
    """A text as a JSON string on one line."""
    return json.dumps(one_line(value), ensure_ascii=False)


def docker_string(value: object) -> str:
    """A text in double quotes without variables and commands."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", one_line(value)) + '"'
