"""Files of a working folder that runs of pipelines have written: only these are replaced by later runs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from model import durable
from model.errors import ConfigError
from model.files.browsing import name_some
from model.pipelines.automation import NOTEBOOKS
from model.pipelines.steps import ParameterValue, Step
from model.reading import UnreadableError, read_json, unreadable
from model.received import quoted
from model.storage.places import is_remote


class OwnFiles:
    """Names of files and folders that runs have written, in a file that is saved before each of them is written."""

    def __init__(self, folder: Path, record: Path) -> None:
        """Read the names.

        Args:
            folder: working folder, which the names are relative to.
            record: file of the names; may not exist. One that cannot be read counts as empty.
        """
        self._folder, self._record = folder, record
        self._names: set[str] = set()
        try:
            with unreadable():
                self._names = {str(name) for name in read_json(record, file_names=True)}
        except (OSError, UnreadableError):
            pass

    def check(self, names: Iterable[str]) -> None:
        """Check that no file of the user would be replaced.

        Raises:
            ConfigError: some of the names exist, and no run has written them.
        """
        found = [name for name in names if name not in self._names and os.path.lexists(self._folder / name)]
        if found:
            raise ConfigError(
                f"{self._folder} already has {name_some(found)}, which no run of a pipeline in this folder has written "
                "and this run would replace. Move it, or choose another folder with --directory."
            )

    def add(self, names: Iterable[str]) -> None:
        """Save names that are about to be written."""
        added = self._names | set(names)
        if added != self._names:
            durable.write_json(self._record, sorted(added))
            self._names = added


def check_read_outputs(
    chosen: Sequence[Step], parameters: Mapping[str, Mapping[str, ParameterValue]], folder: Path
) -> None:
    """Check that no parameter names an output of a step that is run, which is removed before the step writes it.

    Raises:
        ConfigError: a parameter does.
    """
    outputs = [folder / name for step in chosen for name in step.outputs]
    for step in chosen:
        for name in step.reads:
            text = str(parameters[step.name][name])
            path = Path(os.path.realpath(text))
            if text and not is_remote(text) and any(path.is_relative_to(os.path.realpath(one)) for one in outputs):
                raise ConfigError(
                    f"-p {name}: expected a file or folder that this run does not replace, received its output "
                    f"{quoted(text)}. Copy it to another place first, or choose another folder with --directory."
                )


def written_files(step: Step) -> tuple[str, ...]:
    """Files and folders that a step replaces, relative to the working folder."""
    return (*step.outputs, executed_name(step))


def executed_name(step: Step) -> str:
    """Path of the executed notebook of a step, relative to the working folder."""
    return f"{NOTEBOOKS}/{step.name}.ipynb"
