"""Filling in the templates: Markdown, YAML, Groovy and Python, never HTML."""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, values: dict[str, Any], directory: Path) -> str:
    """The text of a template; a value that it names and nobody gave is an error of ours.

    Filters beside those of Jinja, for a text that a person gave: `text` inside Markdown; `quoted` as a JSON string,
    which YAML takes too; `docker` as a string of a Dockerfile; `comment` in a line of comment.
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
    environment.filters |= {"text": as_text, "quoted": quoted, "docker": docker_string, "comment": one_line}
    return environment.get_template(template).render(values)


def as_text(value: object) -> str:
    """A name as plain text in Markdown, also inside a table, whatever characters are in it."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", one_line(value))


def quoted(value: object) -> str:
    """A text as a JSON string on one line."""
    return json.dumps(one_line(value), ensure_ascii=False)


def docker_string(value: object) -> str:
    """A text between double quotes, in which nothing is a variable or a command."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", one_line(value)) + '"'


def one_line(value: object) -> str:
    """A text without line breaks and other characters that cannot be printed."""
    printable = "".join(character if character.isprintable() else " " for character in str(value))
    return " ".join(printable.split())
