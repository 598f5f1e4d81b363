"""Messages that name a dataset as the user gave it, not the local copy or the folder into which it was unpacked."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from model.dataset.verdict import Verdict
from model.errors import DatasetError


@contextlib.contextmanager
def errors_name(given: str, local: Path) -> Iterator[None]:
    """Replace the path of the local folder in messages of DatasetError by the name that the user gave."""
    try:
        yield
    except DatasetError as error:
        if str(local) not in error.message:
            raise
        raise type(error)(error.message.replace(str(local), given)) from error


def verdict_named(verdict: Verdict, given: str, local: Path) -> Verdict:
    """Verdict whose warnings and description name the dataset as the user gave it."""
    warnings = tuple(warning.replace(str(local), given) for warning in verdict.warnings)
    return dataclasses.replace(verdict, warnings=warnings, given=str(verdict.dataset.root).replace(str(local), given))
