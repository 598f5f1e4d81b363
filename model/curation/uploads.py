"""Receiving many photos, which goes on after a broken connection, and after the server was killed.

The client sends a plan with the path and size of each file, then the contents one after another, in as few requests as
it likes. What has arrived is on the disk: whole files are in the dataset, by an entry of its journal; of others the
received part is kept. The same plan continues the same upload.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from model import durable
from model.curation import journal
from model.curation.arrivals import Arrival, Refused, arrivals_of
from model.curation.changes import ADD_PHOTOS, check_editable, remove_orphans
from model.curation.journal import Entry, Step, locked
from model.curation.names import usable_class_name
from model.curation.places import INCOMING, PLAN, UNLABELLED, UPLOAD_PREFIX, class_names
from model.curation.plans import Names
from model.curation.same_photos import SamePhotos
from model.curation.space import bytes_left, check_space, full_disk
from model.curation.upload_files import arrived_files, entries_of, part_file, part_size, parts_of, plan_of
from model.curation.upload_plan import Plan
from model.errors import ConfigError, DatasetError
from model.locks import exclusive
from model.shown import printable

_UNGUARDED = "Do not send the same files in two windows"
_appending = threading.Lock()
# Two uploads that are begun at once do not get the same space.
_opening = threading.Lock()
_STATE = "All photos that have arrived are whole, and the upload can be resumed"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How much of an upload has arrived.

    Attributes:
        upload: its identifier.
        files, arrived: number of files of the plan, and of those that have arrived whole.
        added, same: number of photos that are in the dataset now, and of those that were there before.
        size, received: bytes of the plan, and of those that have arrived.
        refused: files that are not in the dataset, with the reason.
        missing: ranges of positions, first and last, of files that have not arrived whole.
        parts: position -> bytes that have arrived, of files that have arrived in part.
        class_name: class of the plan.
    """

    upload: str
    files: int
    arrived: int
    added: int
    same: int
    size: int
    received: int
    refused: tuple[Refused, ...]
    missing: tuple[tuple[int, int], ...]
    parts: dict[int, int]
    class_name: str | None

    @property
    def is_complete(self) -> bool:
        """Whether everything has arrived."""
        return self.arrived == self.files

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self) | {"complete": self.is_complete}


def open_upload(dataset: Path, plan: Plan, max_bytes: int | None = None, upload: str = "", by: str = "") -> Progress:
    """Begin an upload, or continue the one of the same plan.

    Args:
        max_bytes: maximum size of all datasets, see `model.curation.space.check_space`.
        upload: the upload that the client continues, if it knows one. It may be complete: the answer to its last
            request may have been lost.
        by: who sends it; empty if not known.

    Raises:
        DatasetError: the dataset is no folder per class, or the name of the class is not accepted.
        StorageFullError: the photos do not fit.
    """
    check_editable(dataset)
    if plan.class_name:
        usable_class_name(plan.class_name, class_names(dataset))
    if upload and (done := _completed(dataset, upload, plan)):
        return done
    text = json.dumps(dataclasses.asdict(plan))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    with locked(dataset):
        remove_orphans(dataset)
        begun = sorted((dataset / INCOMING).glob(f"{UPLOAD_PREFIX}{digest}-*/{PLAN}"))
        if begun:
            upload = begun[0].parent.name
        else:
            upload = f"{UPLOAD_PREFIX}{digest}-{uuid.uuid4().hex[:8]}"
            with _opening, full_disk(dataset, "Nothing was received"):
                check_space(dataset, plan.size, max_bytes, bytes_to_come(dataset.parent))
                (dataset / INCOMING / upload).mkdir(parents=True)
                durable.write_text(dataset / INCOMING / upload / PLAN, text)
    # What a killed server received whole, but did not check.
    settle(dataset, upload, max_bytes=max_bytes, by=by)
    return progress(dataset, upload)


def _completed(dataset: Path, upload: str, plan: Plan) -> Progress | None:
    """An upload if all files of its plan have arrived."""
    try:
        found = progress(dataset, upload)
    except ConfigError:
        return None
    return found if found.is_complete and found.files == len(plan.files) else None


def receive(dataset: Path, upload: str, first: int, offset: int) -> "Receiver":
    """Receiver of the contents of files, from the file `first` on, which continues at byte `offset`.

    Raises:
        ConfigError: there is no such upload, or another part of it is expected.
    """
    plan = plan_of(dataset, upload)
    if not 0 <= first < len(plan.files) or not 0 <= offset <= plan.files[first][1]:
        raise ConfigError(f"expected a position in the files of the upload, received {first}, byte {offset}")
    return Receiver(dataset, upload, plan, first, offset)


class Receiver:
    """Writes received blocks to files, one file after another.

    Close it in any case: what has arrived is kept. Blocks may be of any length and are written at once.
    """

    def __init__(self, dataset: Path, upload: str, plan: Plan, first: int, offset: int) -> None:
        self._dataset, self._upload, self._plan = dataset, upload, plan
        self._position, self._start = first, offset
        self._first = first
        self._known = arrived_files(dataset, upload)
        self._stream: IO[bytes] | None = None
        self._left = self._size = 0

    def write(self, block: bytes) -> None:
        """Write a block.

        Raises:
            ConfigError: more arrives than was planned, or the file does not continue where its part ends.
            StorageFullError: no space is left; what has arrived is kept.
        """
        view = memoryview(block)
        with full_disk(self._dataset, _STATE):
            while len(view):
                stream = self._stream = self._stream or self._open()
                written = self._append(stream, view[: self._left])
                self._left -= written
                view = view[written:]
                if not self._left:
                    stream.close()
                    self._stream = None
                    self._position, self._start = self._position + 1, 0

    def _append(self, stream: IO[bytes], block: memoryview) -> int:
        """Write a block; return how much of it was written, which is less on a disk that is nearly full.

        A connection that broke may still have a block when another one continues its file, or has completed it.
        """
        with _appending:
            found = part_size(self._dataset, self._upload, self._position)
            if found != self._size:
                path, _ = self._plan.files[self._position]
                raise ConfigError(
                    f"expected {printable(path)} to continue at byte {self._size}, found "
                    f"{found if found >= 0 else 'it completed'}: another connection continues this file. Ask what has "
                    "arrived, and continue there"
                )
            written = stream.write(block)
        self._size += written
        return written

    def close(self) -> Collection[int]:
        """Close the file that is open; return the positions of the files that have been written."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        return range(self._first, min(self._position + 1, len(self._plan.files)))

    def _open(self) -> IO[bytes]:
        while self._position < len(self._plan.files) and self._plan.files[self._position][1] == 0:
            self._position += 1
        if self._position >= len(self._plan.files):
            raise ConfigError(
                f"expected the contents of {len(self._plan.files):,} planned files, received more: begin another upload"
            )
        path, size = self._plan.files[self._position]
        part = part_file(self._dataset, self._upload, self._position)
        written = size if self._position in self._known else part.stat().st_size if part.exists() else 0
        if written != self._start or written == size:
            raise ConfigError(
                f"expected {printable(path)} from byte {written} of {size} on, received it from byte {self._start}: "
                "ask what has arrived, and continue from that byte"
            )
        # Unbuffered: after a kill, each block that was written is there.
        stream = open(part, "ab", buffering=0)  # noqa: SIM115
        self._left, self._size = size - written, written
        return stream


def settle(
    dataset: Path, upload: str, positions: Collection[int] | None = None, max_bytes: int | None = None, by: str = ""
) -> None:
    """Check files that have arrived whole, and put the photos among them into the dataset.

    Args:
        positions: which files; None for all.
        max_bytes: as in `open_upload`; an archive that unpacks to more is refused.
        by: who sent them; empty if not known.

    Raises:
        StorageError: the disk is full; nothing is lost.
    """
    plan = plan_of(dataset, upload)
    folder = dataset / INCOMING / upload
    asked = range(len(plan.files)) if positions is None else positions
    with full_disk(dataset, _STATE), exclusive(folder, _UNGUARDED):
        whole = _whole(dataset, upload, plan, asked)
        parts = [(position, plan.files[position][0], part_file(dataset, upload, position)) for position in whole]
        arrivals = list(arrivals_of(parts, folder, plan.class_name, lambda: _room(dataset, max_bytes)))
        # Also without arrivals: the lock completes the entry of a killed process, which needs its files.
        with locked(dataset):
            if arrivals:
                journal.write(dataset, _entry(dataset, upload, arrivals, by))
            left = {dataset / source for source in _unplaced(entries_of(dataset, upload))}
        for position in whole:
            part, unpacked = part_file(dataset, upload, position), folder / f"{position}-unpacked"
            if part not in left and not any(file.is_relative_to(unpacked) for file in left):
                part.unlink(missing_ok=True)
                shutil.rmtree(unpacked, ignore_errors=True)
        if len(arrived_files(dataset, upload)) == len(plan.files) and not left:
            _remove(folder)


def _room(dataset: Path, max_bytes: int | None) -> int:
    """Bytes that an archive may unpack to."""
    return bytes_left(dataset, max_bytes, bytes_to_come(dataset.parent))


def _unplaced(of_upload: Sequence[Entry]) -> list[str]:
    """Received files, relative to the dataset, whose place in it could not be written."""
    sources = (entry.steps[step][0] for entry in of_upload for step in entry.skipped)
    return [source for source in sources if source]


def _whole(dataset: Path, upload: str, plan: Plan, positions: Collection[int]) -> list[int]:
    """Positions, of these, of the files that have arrived whole and are not in the journal."""
    known = arrived_files(dataset, upload)
    left = [position for position in positions if position not in known]
    for position in left:
        if plan.files[position][1] == 0:
            # An empty file has no bytes by which it arrives.
            part_file(dataset, upload, position).touch()
    return [position for position in left if part_size(dataset, upload, position) == plan.files[position][1]]


def _entry(dataset: Path, upload: str, arrivals: Sequence[Arrival], by: str) -> Entry:
    """Entry that adds photos to the dataset, and states which files are refused."""
    names, photos = Names(dataset), SamePhotos(dataset)
    known = class_names(dataset)
    steps: list[Step] = []
    refused, same = [], 0
    for arrival in arrivals:
        if arrival.reason:
            refused.append((arrival.path, arrival.reason))
            continue
        try:
            target = usable_class_name(arrival.class_name, known) if arrival.class_name else ""
        except DatasetError as error:
            refused.append((arrival.path, error.message))
            continue
        if target and target not in known:
            known.append(target)
            steps.append(("", target))
        folder = target or UNLABELLED
        if photos.find(folder, arrival.file):
            same += 1
            continue
        photos.add(folder, arrival.file)
        steps.append((os.path.relpath(arrival.file, dataset), names.take(folder, arrival.name)))
    positions = sorted({arrival.position for arrival in arrivals})
    details = {"upload": upload, "files": positions, "refused": refused, "same": same}
    return Entry(0, "", ADD_PHOTOS, details, by, steps=tuple(steps), group=upload)


def progress(dataset: Path, upload: str) -> Progress:
    """How much of an upload has arrived; also of one that is complete.

    Raises:
        ConfigError: there is no such upload.
    """
    of_upload = entries_of(dataset, upload)
    arrived = {position for entry in of_upload for position in entry.details["files"]}
    refused = tuple(Refused(*one) for entry in of_upload for one in entry.details["refused"])
    same = sum(entry.details["same"] for entry in of_upload)
    unplaced = _unplaced(of_upload)
    refused += tuple(Refused(name, "its place in the dataset cannot be written; the file is kept") for name in unplaced)
    added = sum(bool(source and target) for entry in of_upload for source, target in entry.steps) - len(unplaced)
    try:
        plan = plan_of(dataset, upload)
    except ConfigError:
        if not of_upload:
            raise
        files = len(arrived)
        return Progress(upload, files, files, added, same, 0, 0, refused, (), {}, None)
    sizes = {position: part_size(dataset, upload, position) for position in parts_of(dataset, upload)}
    parts = {position: size for position, size in sorted(sizes.items()) if position not in arrived}
    received = sum(plan.files[position][1] for position in arrived) + sum(parts.values())
    missing = tuple(_ranges(position for position in range(len(plan.files)) if position not in arrived))
    counts = (len(plan.files), len(arrived), added, same, plan.size, received)
    return Progress(upload, *counts, refused, missing, parts, plan.class_name)


def unfinished(dataset: Path) -> list[Progress]:
    """Uploads of which files are missing."""
    folders = sorted((dataset / INCOMING).glob(f"{UPLOAD_PREFIX}*/{PLAN}"))
    return [progress(dataset, plan.parent.name) for plan in folders]


def bytes_to_come(data: Path) -> int:
    """Bytes that unfinished uploads have still to receive, of all datasets in a folder."""
    coming = 0
    for plan in data.glob(f"*/{INCOMING}/{UPLOAD_PREFIX}*/{PLAN}"):
        # It may be completed meanwhile.
        with contextlib.suppress(ConfigError):
            found = progress(data / plan.relative_to(data).parts[0], plan.parent.name)
            coming += found.size - found.received
    return coming


def cancel(dataset: Path, upload: str) -> None:
    """Cancel an upload: what has arrived whole stays in the dataset, parts of files are removed."""
    plan_of(dataset, upload)
    with locked(dataset):
        _remove(dataset / INCOMING / upload)


def _remove(folder: Path) -> None:
    """Remove the folder of an upload: the plan first, so that what a kill leaves is known to be of no use."""
    (folder / PLAN).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _ranges(positions: Iterator[int]) -> Iterator[tuple[int, int]]:
    first = last = -2
    for position in positions:
        if position != last + 1:
            if last >= 0:
                yield first, last
            first = position
        last = position
    if last >= 0:
        yield first, last
