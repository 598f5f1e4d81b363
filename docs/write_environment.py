"""Write docs/environment.md from the table in model/environment.py. Run it after changing the table."""

from itertools import groupby
from pathlib import Path

from model import durable
from model.environment import VARIABLES
from model.environment_variable import Variable

PAGE = Path(__file__).with_name("environment.md")
INTRODUCTION = """\
# Environment variables

Written by `docs/write_environment.py` from `model/environment.py`; do not edit.

An empty value counts as not set. An invalid value is logged once, with the expected form, and the default applies.
`topgraft doctor` lists all variables with their values; secrets are never shown.
"""


def environment_page() -> str:
    """The whole page, as Markdown."""
    parts = [INTRODUCTION]
    for section, variables in groupby(VARIABLES, key=lambda variable: variable.section):
        parts.append(f"\n## {section}\n\n| variable | type | default | meaning |\n|---|---|---|---|\n")
        parts += map(_row, variables)
    return "".join(parts)


def _row(variable: Variable[object]) -> str:
    kind = f"{variable.kind.name}, secret" if variable.secret else variable.kind.name
    default = variable.default_text
    shown = f"`{default}`" if default and " " not in default else default
    return f"| `{variable.name}` | {kind} | {shown} | {variable.help} |\n"


if __name__ == "__main__":
    durable.write_text(PAGE, environment_page())
