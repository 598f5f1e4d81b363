"""Write all .ipynb files of notebooks/ and pipelines/, without outputs, from their percent files next to them.

Run it after changing them.
"""

from pathlib import Path

import jupytext
import nbformat

from model import durable

ROOT = Path(__file__).parent.parent
PATTERNS = ("notebooks/*.py", "pipelines/*/*.py")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook_text(source: Path) -> str:
    """The notebook of a percent file as JSON; the same text for the same file."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        # Otherwise random.
        cell["id"] = f"cell-{number}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def sources() -> list[Path]:
    """The percent files of all notebooks."""
    return sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))


def main() -> None:
    """Write all notebooks."""
    for source in sources():
        durable.write_text(source.with_suffix(".ipynb"), notebook_text(source))


if __name__ == "__main__":
    main()
