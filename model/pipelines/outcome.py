"""Errors of steps: the failed cell, its output, and the exit status of the step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import errors
from model.errors import StepError, TopgraftError
from model.pipelines.steps import Step
from model.shown import indented

_MAX_STATUS = 255
_MAX_VALUE = 4000
_MAX_SOURCE = 120


def step_error(step: Step, notebook: Path, executed: Path, failed: Mapping[str, Any]) -> StepError:
    """The error of a step whose notebook failed.

    Args:
        failed: as `model.pipelines.step_process.run_notebook` returns it.
    """
    name, value = str(failed["name"]), str(failed["value"])[:_MAX_VALUE]
    cell = f"code cell {failed['cell']}" if failed["cell"] else "the start"
    lines = [f"step {step.name} failed in {cell} of {notebook}: {name}: {value}"]
    if first := _first_line(str(failed["source"])):
        lines.append(f"The cell begins with: {first}")
    if failed["output"]:
        lines.append(f"Its output:\n{indented(str(failed['output']))}")
    lines.append(
        f"Its cells with all outputs: {executed}. Correct the cause and run the same command again: complete steps are "
        "not repeated."
    )
    error = StepError("\n".join(lines))
    error.exit_status = exit_status(name, value)
    return error


def exit_status(name: str, value: str) -> int:
    """Exit status of a step by the error of its notebook: that of Topgraft's errors, of SystemExit, else 1."""
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, TopgraftError):
        return known.exit_status
    if name == "SystemExit" and value.isdecimal() and 0 < int(value) <= _MAX_STATUS:
        return int(value)
    if name == "KeyboardInterrupt":
        return errors.TrainingStoppedError.exit_status
    return StepError.exit_status


def _first_line(source: str) -> str:
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines[0][:_MAX_SOURCE] if lines else ""
