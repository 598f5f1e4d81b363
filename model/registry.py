"""The trained models of a workspace: which models there are, and which of them is `latest`.

`latest` is the model promoted last, otherwise the one trained or imported last on this machine. Models that are deleted
or damaged are skipped with a warning.
"""

import dataclasses
import datetime
import functools
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from model.bundle import Bundle, open_bundle, version_of
from model.bundle_files import KERAS_MODEL, MANIFEST, ONNX_MODEL, TRAINING_COST, TRAINING_FEATURES, served_network
from model.config import LATEST, is_model_name
from model.creation import order_time
from model.durable import to_json
from model.errors import ConfigError, ModelDamagedError, ModelError, ModelNotFoundError, NothingTrainedError
from model.leaderboard import FINGERPRINT_SHOWN, Entry, Leaderboard, leaderboards
from model.manifest_migration import read_manifest
from model.measurements import leading_summary
from model.promotion import promoted_models
from model.reading import UnreadableError, read_json, without_number
from model.received import quoted
from model.training_cost import TrainingCost
from model.workspace import Workspace

_MAX_COST_BYTES = 10_000
_SERVED = (ONNX_MODEL, KERAS_MODEL, TRAINING_FEATURES)
# Models whose time cannot be read come first: none of them becomes `latest` before another one.
_UNKNOWN_TIME = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)

log = logging.getLogger(__name__)

T = TypeVar("T")

Stamp = tuple[int, int, int]
"""Modification time in nanoseconds, size and inode of a file: at least one changes when the file is replaced."""

State = tuple[Stamp | None, ...]
"""The stamps of files of a model, None for a missing file."""


@dataclasses.dataclass(frozen=True)
class RegisteredModel:
    """A model as described by its manifest, without opening the network.

    Attributes:
        stamp: stamp of the manifest when it was read.
        time: when it was trained or imported here, see `model.creation.order_time`.
        files: the files that the manifest lists, relative to the directory.
        summary: the description of the model in the metadata of the service: name, created, number of classes, accuracy
            and macro_f1 with their split; or the problem of a damaged model.
        version: `model.bundle.version_of` the manifest; empty if the manifest cannot be read.
    """

    directory: Path
    stamp: Stamp
    time: datetime.datetime
    files: tuple[str, ...]
    summary: dict[str, Any]
    version: str = ""

    @property
    def name(self) -> str:
        """The model's name: that of its folder."""
        return self.directory.name

    def state(self) -> State:
        """The current stamps of the manifest, the folder and the files that predictions are made with, in this order.

        The folder changes when another file in it is replaced or removed.
        """
        # Called with each request: paths as text take a third of the time.
        return tuple(_stamp(f"{self.directory}/{name}") for name in self._stamped)

    @functools.cached_property
    def _stamped(self) -> tuple[str, ...]:
        return (MANIFEST, "", *(name for name in _SERVED if name in self.files))

    def open(self) -> Bundle:
        """Open the model.

        Raises:
            ModelDamagedError: files are missing, or have another size than the manifest says.
        """
        return open_bundle(self.directory)


@dataclasses.dataclass(frozen=True)
class Latest(Generic[T]):
    """The model that is `latest`.

    Attributes:
        name: name of the model; None if no model can be opened.
        promoted: whether it is `latest` because it was promoted.
        warnings: the models that were skipped, with the reasons.
        opened: the model as `open_model` returned it, or the error if no model can be opened.
    """

    name: str | None
    promoted: bool
    warnings: tuple[str, ...]
    opened: T | ModelError

    def get(self) -> T:
        """The opened model.

        Raises:
            NothingTrainedError: there is no model.
            ModelDamagedError: all models are damaged.
        """
        if isinstance(self.opened, ModelError):
            raise self.opened
        return self.opened


class Registry:
    """The models of a workspace. A manifest is read again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, RegisteredModel] = {}

    def models(self, workspace: Workspace) -> list[RegisteredModel]:
        """The models now in `models/`, oldest first; folders without a manifest are not models."""
        stamps = _stamps(workspace.models)
        self._known = {directory: self._registered(directory, stamp) for directory, stamp in stamps.items()}
        return sorted(self._known.values(), key=lambda model: (model.time, model.name))

    def find(self, workspace: Workspace, name: str) -> RegisteredModel:
        """The model of that name; `latest` is no name here.

        Raises:
            ModelNotFoundError: there is no model of that name.
        """
        directory = workspace.models / name
        stamp = _stamp(directory / MANIFEST) if is_model_name(name) else None
        if stamp is None:
            known = ", ".join(model_names(workspace)) or "none yet"
            raise ModelNotFoundError(
                f"model: expected the name of a trained model, received {quoted(name)}. There are: {known}."
            )
        self._known[directory] = self._registered(directory, stamp)
        return self._known[directory]

    def latest(self, workspace: Workspace) -> Latest[Bundle]:
        """The first candidate for `latest` whose files exist with the recorded sizes."""
        return self.open_latest(workspace, RegisteredModel.open)

    def open_latest(self, workspace: Workspace, open_model: Callable[[RegisteredModel], T]) -> Latest[T]:
        """The first candidate for `latest` that `open_model` can open.

        Args:
            open_model: raises ModelDamagedError for a model that cannot be used.
        """
        candidates, promoted, skipped = self._candidates(workspace)
        damaged: list[ModelDamagedError] = []
        for model in candidates:
            try:
                opened = open_model(model)
            except ModelDamagedError as error:
                damaged.append(error)
                skipped.append(f"latest: skipping a damaged model: {error.message}")
            else:
                return Latest(model.name, promoted and not damaged, tuple(skipped), opened)
        return Latest(None, False, tuple(skipped), _no_model(workspace, damaged))

    def _candidates(self, workspace: Workspace) -> tuple[list[RegisteredModel], bool, list[str]]:
        """The models in the order to try them, whether the first one was promoted, and warnings."""
        models = {model.name: model for model in reversed(self.models(workspace))}
        try:
            promoted = promoted_models(workspace)
        except ConfigError as error:
            return list(models.values()), False, [f"latest: promotions are ignored: {error.message}"]
        existing = [name for name in promoted if name in models]
        deleted = promoted[: promoted.index(existing[0])] if existing else promoted
        warnings = [
            f"latest: the promoted model {name} does not exist any more. Promote another one, or roll back."
            for name in dict.fromkeys(deleted)
        ]
        return [models[name] for name in dict.fromkeys([*existing, *models])], bool(existing), warnings

    def _registered(self, directory: Path, stamp: Stamp) -> RegisteredModel:
        known = self._known.get(directory)
        return known if known is not None and known.stamp == stamp else _read(directory, stamp)


def registered_leaderboards(models: Iterable[RegisteredModel]) -> list[Leaderboard]:
    """The leaderboard of each dataset, by the name of its folder; damaged models are on none."""
    summaries = [model.summary for model in models if "problem" not in model.summary]
    return leaderboards(
        Entry(one["name"], one["dataset"], one["dataset_fingerprint"], one["accuracy"]) for one in summaries
    )


def model_names(workspace: Workspace) -> list[str]:
    """The names of the models in `models/`, oldest first."""
    return [model.name for model in Registry().models(workspace)]


def find_bundle(workspace: Workspace, name: str = LATEST) -> Bundle:
    """Open a model by its name, or the latest model.

    Raises:
        NothingTrainedError: the name is `latest`, and there is no model.
        ModelNotFoundError: there is no model of that name.
        ModelDamagedError: files are missing, or have another size than the manifest says.
    """
    return find_model(workspace, name, RegisteredModel.open)


def find_model(workspace: Workspace, name: str, open_model: Callable[[RegisteredModel], T]) -> T:
    """Open a model by its name, or the latest model, by calling `open_model`; skipped models are logged.

    Raises:
        NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `find_bundle`.
    """
    if name != LATEST:
        return open_model(Registry().find(workspace, name))
    latest = Registry().open_latest(workspace, open_model)
    for warning in latest.warnings:
        log.warning(warning)
    return latest.get()


def remove_bundle(workspace: Workspace, name: str) -> None:
    """Delete a model: first its manifest, so that it is no longer listed, then its folder.

    Raises:
        ModelNotFoundError: there is no model of that name.
    """
    directory = Registry().find(workspace, name).directory
    (directory / MANIFEST).unlink()
    shutil.rmtree(directory)


def _no_model(workspace: Workspace, damaged: list[ModelDamagedError]) -> ModelError:
    if damaged:
        return ModelDamagedError(
            f"expected an intact model in {workspace.models}, found {len(damaged)}, all damaged. {damaged[0].message}"
        )
    return NothingTrainedError(
        f"expected a trained model in {workspace.models}, found none. "
        "Train one first: `topgraft train --dataset FOLDER`, or POST /v2/models/topgraft/train/."
    )


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


def read_cost(bundle: Bundle) -> TrainingCost:
    """What the training of a model took; unknown for a model without this file, such as an imported one."""
    return _read_cost(bundle.directory, bundle.manifest.files)


def _read_cost(directory: Path, files: Collection[str]) -> TrainingCost:
    if TRAINING_COST not in files:
        return TrainingCost()
    try:
        return TrainingCost.from_json(read_json(directory / TRAINING_COST, _MAX_COST_BYTES))
    except (OSError, UnreadableError):
        return TrainingCost()


def _on_leaderboard(directory: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Where a model is ranked, and what it takes; the folders above its dataset are not shown."""
    dataset, files = manifest["dataset"], manifest["files"]
    network = files.get(served_network(manifest["engine"]))
    cost = _read_cost(directory, files)
    return {
        "dataset": re.split(r"[/\\:]", str(dataset.get("path") or "").rstrip("/\\"))[-1],
        "dataset_fingerprint": str(dataset.get("fingerprint") or "")[:FINGERPRINT_SHOWN],
        "backbone": str(manifest["backbone"]),
        "megabytes": network["size"] / 1e6 if network else None,
        "training_seconds": cost.seconds,
        "milliseconds_per_photo": cost.milliseconds_per_photo,
    }


def _read(directory: Path, stamp: Stamp) -> RegisteredModel:
    summary: dict[str, Any] = {"name": directory.name}
    files: tuple[str, ...] = ()
    version = ""
    try:
        manifest = read_manifest(directory / MANIFEST)
        summary |= {
            "created": str(manifest["created"]),
            "classes": len(manifest["classes"]),
            **leading_summary(manifest["metrics"], manifest["dataset"].get("folds") or 0),
            **_on_leaderboard(directory, manifest),
        }
        files = tuple(manifest["files"])
        checksums = {path: record["sha256"] for path, record in manifest["files"].items()}
        version = version_of(manifest["created"], checksums)
    except ModelDamagedError as error:
        summary["problem"] = error.message
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {without_number(error)}"
        summary["problem"] = f"its manifest.json cannot be read ({reason}): train or download it again, or remove it"
    time = order_time(directory, summary["created"], stamp[0]) if "created" in summary else _UNKNOWN_TIME
    return RegisteredModel(directory, stamp, time, files, to_json(summary), version)
