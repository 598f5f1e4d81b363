"""The models of a workspace as they are on disk now, read again only where something has changed."""

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

from model.bundle import open_bundle, version_of
from model.bundle_files import MANIFEST
from model.config import is_model_name
from model.durable import to_json
from model.errors import ModelDamagedError
from model.promotion import Order, order_for_latest
from model.results import most_telling
from model.workspace import Workspace

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
"""What changes when a file is replaced: time of the change in nanoseconds, size, inode."""

State = tuple[Stamp | None, ...]
"""The stamps of all files of a model, None for one that is not there."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A model as it stands in the listing, read from the manifest with this stamp.

    Attributes:
        files: those that the manifest lists, relative to the directory.
        summary: what the metadata of the service tell of it.
        version: `model.bundle.version_of` the manifest; empty where that cannot be read.
    """

    directory: Path
    stamp: Stamp
    created: str
    files: tuple[str, ...]
    summary: dict[str, Any]
    version: str = ""

    @property
    def name(self) -> str:
        """The model's name: that of its folder."""
        return self.directory.name

    def state(self) -> State:
        """How its files are now, the manifest first."""
        # Looked at with each request: paths as text, which takes a third of the time.
        return tuple(_stamp(f"{self.directory}/{name}") for name in (MANIFEST, *self.files))


class Latest(NamedTuple):
    """What `latest` is.

    Attributes:
        name: None where no model is whole.
        promoted: whether it is the latest because it was promoted.
        warnings: which models come first and why they do not count.
    """

    name: str | None
    promoted: bool
    warnings: list[str]


class Listing:
    """The models of a workspace. A manifest is read again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, Listed] = {}

    def models(self, workspace: Workspace) -> list[Listed]:
        """The models now in `models/`, oldest first."""
        stamps = _stamps(workspace.models)
        self._known = {directory: self._listed(directory, stamp) for directory, stamp in stamps.items()}
        return sorted(self._known.values(), key=lambda listed: (listed.created, listed.directory.name))

    def find(self, workspace: Workspace, name: str) -> Listed | None:
        """The model of that name, if there is one."""
        directory = workspace.models / name
        stamp = _stamp(directory / MANIFEST) if is_model_name(name) else None
        if stamp is None:
            return None
        self._known[directory] = self._listed(directory, stamp)
        return self._known[directory]

    def summaries(self, workspace: Workspace) -> list[dict[str, Any]]:
        """For each model, newest first: name, created, classes (how many), accuracy, macro_f1 and what these were
        measured by; or its problem."""
        return [dict(listed.summary) for listed in reversed(self.models(workspace))]

    def candidates(self, workspace: Workspace) -> tuple[list[Listed], Order]:
        """The models in the order in which `latest` tries them, and how that order came about."""
        models = {listed.name: listed for listed in reversed(self.models(workspace))}
        order = order_for_latest(workspace, list(models))
        return [models[name] for name in order.names], order

    def latest(self, workspace: Workspace) -> Latest:
        """The first candidate that is whole, by the sizes of its files."""
        candidates, order = self.candidates(workspace)
        warnings = list(order.warnings)
        for listed in candidates:
            try:
                open_bundle(listed.directory)
            except ModelDamagedError as error:
                warnings.append(skipping(error))
            else:
                return Latest(listed.name, order.promoted and listed is candidates[0], warnings)
        return Latest(None, False, warnings)

    def _listed(self, directory: Path, stamp: Stamp) -> Listed:
        known = self._known.get(directory)
        return known if known is not None and known.stamp == stamp else _read(directory, stamp)


def skipping(error: ModelDamagedError) -> str:
    """What is told when `latest` passes over a model."""
    return f"latest: skipping a damaged model: {error.message}"


def _stamps(models: Path) -> dict[Path, Stamp]:
    """The directory of each model with the stamp of its manifest."""
    try:
        names = [name for name in os.listdir(models) if is_model_name(name)]
    except OSError:
        return {}
    stamps = ((models / name, _stamp(models / name / MANIFEST)) for name in names)
    return {directory: stamp for directory, stamp in stamps if stamp is not None}


def _stamp(path: Path | str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(directory: Path, stamp: Stamp) -> Listed:
    summary: dict[str, Any] = {"name": directory.name}
    files: tuple[str, ...] = ()
    version = ""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        summary |= {
            "created": str(manifest["created"]),
            "classes": len(manifest["classes"]),
            **_measured(manifest["metrics"]),
        }
        files = tuple(manifest["files"])
        hashes = {path: record["sha256"] for path, record in manifest["files"].items()}
        version = version_of(manifest["created"], hashes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: expected a manifest, received: %r", directory / MANIFEST, error)
        summary["problem"] = "its manifest.json cannot be read: train or fetch it again, or remove it"
    return Listed(directory, stamp, summary.get("created", ""), files, to_json(summary), version)


def _measured(metrics: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How good the model is, by the most telling measurement that there is."""
    judged = most_telling(name for name, values in metrics.items() if values)
    values = metrics[judged] if judged else {}
    return {"accuracy": values.get("accuracy"), "macro_f1": values.get("macro_f1"), "measured_by": judged}
