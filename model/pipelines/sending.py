"""Outputs and executed notebooks sent to the folder that a parameter of the pipeline names.

What was sent is remembered with its checksum: the same command sends only what is missing or has changed. An object
of the same name that no run in the working folder has sent is not replaced.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from model import durable
from model.errors import ConfigError, StorageBusyError, StorageError, StorageUnreachableError
from model.files.browsing import name_some
from model.pipelines.manifests import Manifests
from model.pipelines.own_files import executed_name
from model.pipelines.parameters import Value
from model.pipelines.steps import Delivery, Pipeline, Step
from model.process_environment import default_variables
from model.reading import UnreadableError, read_json, unreadable
from model.storage.destination import ADDRESS, open_destination
from model.storage.interface import Entry, Storage
from model.storage.places import is_remote

log = logging.getLogger(__name__)


class Sender:
    """Sends files of a run to one folder. After an error nothing more is sent.

    Args:
        steps: the steps of the run.
        folder: working folder of the run.
        state: file that remembers what was sent; may not exist.
        keeps_others: refuse to replace what no run in the folder has sent.
        environment: variables for the storage, of those that are not set.

    Attributes:
        destination: `remote:path` or a local folder.
        error: of the first file that could not be sent; None if there is none.

    Raises:
        ConfigError: the destination is an address, has no bucket, or has files of others with the names of those to
            send.
        StorageError: the storage refuses the user, or the bucket does not exist; an unreachable one is only logged.
    """

    def __init__(
        self,
        delivery: Delivery,
        destination: str,
        steps: Sequence[Step],
        folder: Path,
        state: Path,
        manifests: Manifests,
        environment: Mapping[str, str],
        keeps_others: bool,
    ) -> None:
        self.destination = destination
        self.error: StorageError | None = None
        self._delivery, self._folder, self._state, self._manifests = delivery, folder, state, manifests
        self._environment = environment
        self._keeps_others = keeps_others
        self._sent = _read_state(state)
        self._opened: tuple[Storage, dict[str, Entry]] | None = None
        with default_variables(environment):
            try:
                self._opened = open_destination(destination)
            except (StorageBusyError, StorageUnreachableError) as error:
                log.warning("%s The steps run, and their outputs are kept in %s.", error.message, folder)
        if self._opened is not None and (
            others := self._others(name for step in steps for name, _ in self._files(step))
        ):
            raise ConfigError(self._refusal(others))

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
                files = [(name, path) for name, path in self._files(step) if path.exists()]
                if others := self._others(name for name, _ in files):
                    raise StorageError(self._refusal(others))
                for name, path in files:
                    if not self._is_there(present.get(name), name, path):
                        # Saved before: after a kill the object may be there.
                        self._remember(name, "")
                        storage.push(path, name)
                        self._remember(name, self._manifests.content(path).sha256)
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
        """Name in the destination, and path, of each file of a step that is sent."""
        for output in self._delivery.outputs:
            if output in step.outputs:
                yield PurePosixPath(output).name, self._folder / output
        yield executed_name(step), self._folder / executed_name(step)

    def _others(self, names: Iterable[str]) -> list[str]:
        """Those of the names that the destination has, and that were not sent by a run in the working folder."""
        if self._opened is None or not self._keeps_others:
            return []
        return [name for name in names if name in self._opened[1] and name not in self._sent_there()]

    def _refusal(self, others: Sequence[str]) -> str:
        return (
            f"{self.destination} already has {name_some(others)}, which no run in {self._folder} has sent and this run "
            "would replace. Move it, or name another destination."
        )

    def _sent_there(self) -> dict[str, str]:
        """Name -> sha256 of what was sent to the destination; empty while a file is sent."""
        return self._sent.setdefault(self.destination, {})

    def _is_there(self, entry: Entry | None, name: str, path: Path) -> bool:
        content = self._manifests.content(path)
        return entry is not None and entry.size == content.size and self._sent_there().get(name) == content.sha256

    def _remember(self, name: str, sha256: str) -> None:
        self._sent_there()[name] = sha256
        durable.write_json(self._state, self._sent)


def sender_of(
    pipeline: Pipeline,
    values: Mapping[str, Value],
    steps: Sequence[Step],
    folder: Path,
    state: Path,
    manifests: Manifests,
    keeps_others: bool,
) -> Sender | None:
    """The sender of a run of some steps; None if nothing is to be sent. See `Sender`.

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
    return Sender(delivery, destination, steps, folder, state, manifests, environment, keeps_others)


def _read_state(state: Path) -> dict[str, dict[str, str]]:
    with contextlib.suppress(OSError, UnreadableError), unreadable():
        return {str(where): dict(names) for where, names in read_json(state, file_names=True).items()}
    return {}
