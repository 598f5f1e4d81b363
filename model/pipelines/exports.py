"""Files that are exported from pipeline.yaml, and committed with it."""

import re
from collections.abc import Callable
from pathlib import Path

from model.errors import ConfigError
from model.pipelines.argo import argo_text
from model.pipelines.elyra import elyra_text
from model.pipelines.steps import Pipeline

_FORMS: dict[str, tuple[Callable[[Pipeline], str], str]] = {
    "elyra": (elyra_text, ".pipeline"),
    "argo": (argo_text, ".argo.yaml"),
}
FORMS = tuple(_FORMS)
_COMMAND = "topgraft pipeline export"


def export_text(pipeline: Pipeline, form: str) -> str:
    """Content of the exported file; the same bytes for the same pipeline.

    Args:
        form: elyra or argo.

    Raises:
        ConfigError: the pipeline cannot run there as it is, or a package is missing.
    """
    return _FORMS[form][0](pipeline)


def exported_file(pipeline: Pipeline, form: str) -> Path:
    """Path of the exported file, in the folder of the pipeline, because Elyra finds notebooks relative to its file."""
    return pipeline.file.parent / f"{pipeline.name}{_FORMS[form][1]}"


def check_own(path: Path, form: str) -> None:
    """Check that a file may be replaced: it is missing or empty, or an export of any pipeline in this form.

    Raises:
        ConfigError: it is something else, such as a file of the user.
    """
    content = path.read_bytes() if path.is_file() else b""
    if content.strip() and not re.search(rf"Made of .+ by: {_COMMAND} .+ --to {form}".encode(), content):
        raise ConfigError(
            f"{path}: expected a new file, or one written by {_COMMAND} --to {form}, found another one. Name another "
            "with --output, or move this one away"
        )


def is_current(path: Path, text: str) -> bool:
    """Whether a file exists and has this content."""
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
