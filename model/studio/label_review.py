"""Review of suspected label errors: those that a training found, and what was decided about each."""

import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any, Literal

from model.bundle import Bundle
from model.bundle_files import LABEL_ISSUES
from model.curation.places import checked_photo, class_of
from model.curation.renames import todays_photos
from model.errors import DatasetError, ModelDamagedError
from model.provenance import utc_now
from model.reading import UnreadableError, describe, parse_json, read_lines, unreadable
from model.studio.model_view import photo_folder, renamed_classes
from model.tables import read_rows
from model.workspace import Workspace

_MAX_BYTES = 256 * 1024**2
_CLASSES = ("given", "suggested")

State = Literal["open", "kept", "changed"]


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """A photo whose label may be wrong.

    Attributes:
        photo: its path relative to the dataset.
        given, suggested: class names: the label, and the class that the model finds.
        quality: probability of the given class by a model that was not trained on the photo, in [0, 1].
        state: `kept` if the user confirmed the label; `changed` if the photo is no longer there with this label.
    """

    photo: str
    given: str
    suggested: str
    quality: float
    state: State


def suspected_labels(workspace: Workspace, bundle: Bundle, dataset: Path | None) -> list[Suspicion]:
    """Suspected label errors of the training of a model, lowest quality first; none if labels were not checked.

    Args:
        dataset: folder of the dataset; None if there is none any more: all of them count as changed.

    Raises:
        ModelDamagedError: the file of the model was changed, or is no such table.
    """
    if LABEL_ISSUES not in bundle.manifest.files:
        return []
    table = io.TextIOWrapper(io.BytesIO(bundle.read_file(LABEL_ISSUES)), "utf-8-sig", newline="")
    kept = _confirmed(workspace, dataset)
    folder = "" if dataset is None else photo_folder(dataset, bundle.manifest.train_config)
    try:
        with unreadable():
            rows = [row | {"image": folder + row["image"]} for row in read_rows(table)]
            return _suspicions(rows, bundle, dataset, kept)
    except UnreadableError as error:
        raise ModelDamagedError(
            f"{bundle.name}: expected the table of suspected labels in {LABEL_ISSUES}, received: {describe(error)}. "
            "Train the model again"
        ) from error


def confirm_label(workspace: Workspace, dataset: Path, photo: str, label: str, by: str, model: str) -> None:
    """Record that the label of a photo is correct, although a model suspects it.

    Args:
        photo: path relative to the dataset.
        by: who decided.
        model: the model that suspected the label.

    Raises:
        DatasetError: there is no such photo.
    """
    checked_photo(dataset, photo)
    entry = {"time": utc_now("seconds"), "photo": photo, "label": label, "by": by, "model": model}
    path = _record(workspace, dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as stream:
        stream.write(json.dumps(entry).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _suspicions(
    rows: list[dict[str, Any]], bundle: Bundle, dataset: Path | None, kept: set[tuple[str, str]]
) -> list[Suspicion]:
    """Suspicions with the names that their classes and photos have today."""
    if dataset is None:
        return [
            Suspicion(row["image"], row["given"], row["suggested"], float(row["quality"]), "changed") for row in rows
        ]
    renamed = renamed_classes(bundle, dataset)
    paths = todays_photos(dataset, bundle.manifest.created, [row["image"] for row in rows])
    found = []
    for row in rows:
        photo, given, suggested = paths[row["image"]], *(renamed.get(row[name], row[name]) for name in _CLASSES)
        was_moved = photo != row["image"] and class_of(photo) != given
        state: State = "changed" if was_moved or not _exists(dataset, photo) else "open"
        if state == "open" and not {(photo, given), (row["image"], row["given"])}.isdisjoint(kept):
            state = "kept"
        found.append(Suspicion(photo, given, suggested, float(row["quality"]), state))
    return [one for one in found if one.given != one.suggested]


def _exists(dataset: Path, photo: str) -> bool:
    try:
        checked_photo(dataset, photo)
    except DatasetError:
        return False
    return True


def _confirmed(workspace: Workspace, dataset: Path | None) -> set[tuple[str, str]]:
    """Path and label of each photo whose label was confirmed."""
    if dataset is None:
        return set()
    try:
        lines = read_lines(_record(workspace, dataset), _MAX_BYTES)
    except (OSError, UnreadableError):
        return set()
    confirmed = set()
    for line in lines:
        try:
            entry = parse_json(line, file_names=True)
            confirmed.add((str(entry["photo"]), str(entry["label"])))
        except (UnreadableError, LookupError, TypeError):
            # The last line of a killed process.
            continue
    return confirmed


def _record(workspace: Workspace, dataset: Path) -> Path:
    return workspace.studio / "confirmed_labels" / f"{dataset.name}.jsonl"
