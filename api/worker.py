"""What a process of the server remembers from one request to the next; nothing else in `api` has a memory."""

import dataclasses
import json
import logging
import multiprocessing
import os
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import settings
from model.bundle import MANIFEST, Bundle, find_bundle, open_bundle
from model.config import LATEST, is_model_name
from model.durable import to_json
from model.errors import ModelDamagedError
from model.results import most_telling
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

# What changes when a file is replaced: time of the change in nanoseconds, size, inode.
Stamp = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class _Listed:
    """A model as it stands in the listing, read from the manifest with this stamp."""

    directory: Path
    stamp: Stamp
    created: str
    summary: dict[str, Any]


class Listing:
    """The models of a workspace. A manifest is read again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, _Listed] = {}

    def models(self, workspace: Workspace) -> list[_Listed]:
        """The models now in `models/`, oldest first."""
        stamps = _stamps(workspace.models)
        known = {directory: listed for directory, listed in self._known.items() if directory in stamps}
        for directory, stamp in stamps.items():
            if directory not in known or known[directory].stamp != stamp:
                known[directory] = _read(directory, stamp)
        self._known = known
        return sorted(known.values(), key=lambda listed: (listed.created, listed.directory.name))

    def summaries(self, workspace: Workspace) -> list[dict[str, Any]]:
        """For each model, newest first: name, created, classes (how many), accuracy, macro_f1 and what these were
        measured by; or its problem."""
        return [dict(listed.summary) for listed in reversed(self.models(workspace))]

    def latest(self, workspace: Workspace) -> str | None:
        """The name of the newest model that is whole, if there is one."""
        for listed in reversed(self.models(workspace)):
            if _is_whole(listed.directory):
                return listed.directory.name
        return None


class Predictors:
    """Trained models in memory, at most TOPGRAFT_MODELS_IN_MEMORY; the one unused for longest goes first."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._loaded: OrderedDict[Path, tuple[Stamp | None, Predictor]] = OrderedDict()

    def find(self, workspace: Workspace, name: str) -> "Predictor":
        """The model of that name as it is on disk now, or `latest`, the newest that is whole.

        Raises:
            NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `model.bundle.find_bundle`.
        """
        if name == LATEST:
            return self._latest(workspace)
        directory = workspace.models / name
        stamp = _stamp(directory / MANIFEST) if is_model_name(name) else None
        return self._kept(directory, stamp) or self._load(find_bundle(workspace, name), stamp)

    def _latest(self, workspace: Workspace) -> "Predictor":
        for listed in reversed(self._listing.models(workspace)):
            try:
                kept = self._kept(listed.directory, listed.stamp)
                return kept or self._load(open_bundle(listed.directory), listed.stamp)
            except ModelDamagedError as error:
                log.warning("latest: skipping a damaged model: %s", error)
        # None is whole: this raises, and says what to do.
        return self._load(find_bundle(workspace), None)

    def _kept(self, directory: Path, stamp: Stamp | None) -> "Predictor | None":
        kept_stamp, predictor = self._loaded.get(directory, (None, None))
        if predictor is None or stamp is None or kept_stamp != stamp:
            return None
        self._loaded.move_to_end(directory)
        return predictor

    def _load(self, bundle: Bundle, stamp: Stamp | None) -> "Predictor":
        from model.serving.predictor import load_predictor

        self._loaded.pop(bundle.directory, None)
        # Make room first, so that there are never more in memory than allowed.
        while len(self._loaded) >= settings.models_in_memory():
            self._loaded.popitem(last=False)
        predictor = load_predictor(bundle)
        self._loaded[bundle.directory] = (stamp, predictor)
        log.info("loaded the model %s", bundle.name)
        return predictor


class Monitor:
    """The TensorBoard that this process has started, if any."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self, workspace: Workspace) -> None:
        """Start TensorBoard unless it runs, is switched off, or this is a batch job where nobody would look."""
        is_server = multiprocessing.parent_process() is not None
        runs = self._process is not None and self._process.poll() is None
        if runs or not is_server or not settings.tensorboard_wanted():
            return
        from model.training.monitoring import start_tensorboard

        self._process = start_tensorboard(workspace.models)


class AutoResume:
    """Goes on with the trainings that the end of the service before this one interrupted, if they have the option."""

    def __init__(self) -> None:
        self._started = False

    def start(self, workspace: Workspace) -> None:
        """Look for them beside all else, once, in a worker of the server."""
        if self._started or multiprocessing.parent_process() is None:
            return
        from model.training.automatic import go_on_with_interrupted

        self._started = True
        go_on_with_interrupted(workspace)


AUTO_RESUME = AutoResume()
LISTING = Listing()
PREDICTORS = Predictors(LISTING)
MONITOR = Monitor()


def configure_logging() -> None:
    """Let INFO of our own code through in a worker, where DEEPaaS configures nothing."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    for name in ("api", "model"):
        logging.getLogger(name).setLevel(logging.INFO)


def _stamps(models: Path) -> dict[Path, Stamp]:
    """The directory of each model with the stamp of its manifest."""
    try:
        names = [name for name in os.listdir(models) if is_model_name(name)]
    except OSError:
        return {}
    stamps = ((models / name, _stamp(models / name / MANIFEST)) for name in names)
    return {directory: stamp for directory, stamp in stamps if stamp is not None}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(directory: Path, stamp: Stamp) -> _Listed:
    summary: dict[str, Any] = {"name": directory.name}
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        summary |= {
            "created": str(manifest["created"]),
            "classes": len(manifest["classes"]),
            **_measured(manifest["metrics"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: expected a manifest, received: %r", directory / MANIFEST, error)
        summary["problem"] = "its manifest.json cannot be read: train or fetch it again, or remove it"
    return _Listed(directory, stamp, summary.get("created", ""), to_json(summary))


def _measured(metrics: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How good the model is, by the most telling measurement that there is."""
    judged = most_telling(name for name, values in metrics.items() if values)
    values = metrics[judged] if judged else {}
    return {"accuracy": values.get("accuracy"), "macro_f1": values.get("macro_f1"), "measured_by": judged}


def _is_whole(directory: Path) -> bool:
    try:
        open_bundle(directory)
    except ModelDamagedError:
        return False
    return True
