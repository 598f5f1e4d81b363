"""Outputs and executed notebooks sent to the folder that a parameter of the pipeline names.

What was sent is remembered with its checksum: the same command sends only what is missing or has changed.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from model import durable
from model.environment import default_variables
from model.errors import StorageBusyError, StorageError, StorageUnreachableError
from model.pipelines.manifests import Manifests
from model.pipelines.own_files import executed_name
from model.pipelines.parameters import Value
from model.pipelines.steps import Delivery, Pipeline, Step
from model.reading import UnreadableError, read_json, unreadable
from model.storage.destination import ADDRESS, open_destination
from model.storage.interface import Entry, Storage
from model.storage.places import is_remote

log = logging.getLogger(__name__)


class Sender:
    """Sends files of a run to one folder. After an error nothing more is sent.

    Args:
        folder: working folder of the run.
        state: file that remembers what was sent; may not exist.
        environment: variables for the storage, of those that are not set.

    Attributes:
        destination: `remote:path` or a local folder.
        error: of the first file that could not be sent; None if there is none.

    Raises:
        ConfigError: the destination is an address, or has no bucket.
        StorageError: the storage refuses the user, or the bucket does not exist; an unreachable one is only logged.
    """

    def __init__(
        self,
        delivery: Delivery,
        destination: str,
        folder: Path,
        state: Path,
        manifests: Manifests,
        environment: Mapping[str, str],
    ) -> None:
        self.destination = destination
        self.error: StorageError | None = None
        self._delivery, self._folder, self._state, self._manifests = delivery, folder, state, manifests
        self._environment = environment
        self._sent = _read_state(state)
        self._opened: tuple[Storage, dict[str, Entry]] | None = None
        with default_variables(environment):
            try:
                self._opened = open_destination(destination)
            except (StorageBusyError, StorageUnreachableError) as error:
                log.warning("%s The steps run, and their outputs are kept in %s.", error.message, folder)

    def send(self, step: Step) -> list[str]:
        """Send what a complete step has written, unless it is there already; names in the destination.

        An error is kept in `error`.
        """
        names: list[str] = []
        if self.error is not None:
            return names
        with default_variables(self._environment):
            try:
                storage, present = self._opened = self._opened or open_destination(self.destination)
                for name, path in self._files(step):
                    if not self._is_there(present.get(name), name, path):
                        storage.push(path, name)
                        self._remember(name, path)
                        names.append(name)
            except StorageError as error:
                self.error = error
        return names

    def raise_error(self) -> None:
        """Raise `error`, with what to do.

        Raises:
            StorageError: a file was not sent.
        """
        if self.error is not None:
            raise type(self.error)(
                f"{self.error.message} The steps are complete, and their outputs are kept in {self._folder}. Run the "
                f"same command again to send the rest to {self.destination}: it does not repeat the steps."
            ) from self.error

    def _files(self, step: Step) -> Iterator[tuple[str, Path]]:
        for output in self._delivery.outputs:
            if output in step.outputs:
                yield PurePosixPath(output).name, self._folder / output
        notebook = executed_name(step)
        if (self._folder / notebook).is_file():
            yield notebook, self._folder / notebook

    def _is_there(self, entry: Entry | None, name: str, path: Path) -> bool:
        content = self._manifests.content(path)
        return (
            entry is not None
            and entry.size == content.size
            and self._sent.get(self.destination, {}).get(name) == content.sha256
        )

    def _remember(self, name: str, path: Path) -> None:
        self._sent.setdefault(self.destination, {})[name] = self._manifests.content(path).sha256
        durable.write_json(self._state, self._sent)


def sender_of(
    pipeline: Pipeline, values: Mapping[str, Value], folder: Path, state: Path, manifests: Manifests
) -> Sender | None:
    """The sender of a run; None if nothing is to be sent.

    Raises:
        StorageError, ConfigError: as `Sender`.
    """
    delivery = pipeline.delivery
    destination = "" if delivery is None else str(values[delivery.parameter].value).strip()
    if delivery is None or not destination:
        return None
    if not is_remote(destination) and ADDRESS not in destination:
        destination = os.path.abspath(os.path.expanduser(destination))
    environment = next(dict(step.environment) for step in pipeline.steps if delivery.parameter in step.parameters)
    return Sender(delivery, destination, folder, state, manifests, environment)


def _read_state(state: Path) -> dict[str, dict[str, str]]:
    with contextlib.suppress(OSError, UnreadableError), unreadable():
        return {str(where): dict(names) for where, names in read_json(state, file_names=True).items()}
    return {}
