"""Notebooks of steps: their parameters, and the cell in which one failed."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.reading import UnreadableError, describe, read_json, unreadable

PARAMETERS_TAG = "parameters"
_INJECTED_TAG = "injected-parameters"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MAX_LINES = 20
_MAX_LINE = 400


@dataclasses.dataclass(frozen=True)
class CodeCell:
    """A code cell of a notebook, without the one that papermill adds for parameters.

    Attributes:
        number: its place among the code cells, counted from 1.
        source: its code.
        output: the last lines of its output, without pictures and without the error.
        error: name, value of its error; empty if there was none.
        is_started: whether papermill has started it, in an executed notebook.
    """

    number: int
    source: str
    tags: tuple[str, ...]
    output: str
    error: tuple[str, str]
    is_started: bool


def code_cells(notebook: Path) -> list[CodeCell]:
    """The code cells of a notebook.

    Raises:
        ConfigError: the file is no notebook.
    """
    try:
        with unreadable():
            content = read_json(notebook, not_finite=True, file_names=True)
            cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
            own = [cell for cell in cells if _INJECTED_TAG not in _tags(cell)]
            return [_code_cell(number, cell) for number, cell in enumerate(own, 1)]
    except (OSError, UnreadableError) as error:
        raise ConfigError(f"{notebook}: expected a notebook of Jupyter: {describe(error)}") from error


def parameters_of(notebook: Path) -> set[str]:
    """Names that the cell with the tag `parameters` of a notebook assigns.

    Raises:
        ConfigError: the file is no notebook, or the cell is not Python.
    """
    names: set[str] = set()
    for cell in code_cells(notebook):
        if PARAMETERS_TAG in cell.tags:
            try:
                with unreadable():
                    tree = ast.parse(cell.source)
            except UnreadableError as error:
                raise ConfigError(f"{notebook}, code cell {cell.number}: expected Python: {error}") from error
            names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_assigned(node)}
    return names


def failed_cell(notebook: Path) -> CodeCell | None:
    """The code cell of an executed notebook that raised an error, else the last one that was started; None without."""
    try:
        started = [cell for cell in code_cells(notebook) if cell.is_started]
    except ConfigError:
        return None
    return next((cell for cell in started if cell.error[0]), started[-1] if started else None)


def _is_assigned(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _code_cell(number: int, cell: dict[str, Any]) -> CodeCell:
    outputs = cell.get("outputs", [])
    text = "".join(_text(output.get("text", "")) for output in outputs if output["output_type"] == "stream")
    errors = [(str(one["ename"]), str(one["evalue"])) for one in outputs if one["output_type"] == "error"]
    error = next((one for one in errors if not _is_clean_exit(one)), ("", ""))
    started = cell.get("metadata", {}).get("papermill", {}).get("start_time")
    return CodeCell(number, _text(cell["source"]), _tags(cell), _last_lines(text), error, bool(started))


def _is_clean_exit(error: tuple[str, str]) -> bool:
    """Whether an error is the end of a program with success, after which papermill continues."""
    return error[0] == "SystemExit" and error[1] in ("", "0", "None")


def _tags(cell: dict[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, cell.get("metadata", {}).get("tags", ())))


def _text(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _last_lines(text: str) -> str:
    # A progress bar returns to the beginning of its line.
    lines = [line.rpartition("\r")[2] for line in _ESCAPES.sub("", text).rstrip().replace("\r\n", "\n").split("\n")]
    shown = [line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}..." for line in lines[-_MAX_LINES:]]
    return "\n".join(["...", *shown] if len(lines) > _MAX_LINES else shown)
