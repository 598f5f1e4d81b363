"""Write notebooks/*.ipynb, without outputs, from the percent files notebooks/*.py. Run it after changing them."""

from pathlib import Path

import jupytext
import nbformat

from model import durable

FOLDER = Path(__file__).parent.parent / "notebooks"
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


def main() -> None:
    """Write all notebooks."""
    for source in sorted(FOLDER.glob("*.py")):
        durable.write_text(source.with_suffix(".ipynb"), notebook_text(source))


if __name__ == "__main__":
    main()
