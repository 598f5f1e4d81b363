"""Loaded models, kept in memory as long as their files are unchanged on disk."""

import dataclasses
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model.config import LATEST
from model.environment import MODELS_IN_MEMORY
from model.errors import ModelBusyError, ModelDamagedError
from model.registry import RegisteredModel, Registry, State
from model.resources import worker_threads
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

# Attempts to load a model that is replaced while it is being loaded.
_ATTEMPTS = 5
# A model that could not be loaded may be intact: memory may have been short.
_SECONDS_BEFORE_RETRY = 30.0


class Found(NamedTuple):
    """The model for a request, and warnings about its choice for the client."""

    predictor: "Predictor"
    warnings: tuple[str, ...] = ()


class _ModelChangedError(Exception):
    """A model was replaced or removed while it was being loaded."""


@dataclasses.dataclass(frozen=True)
class _Loaded:
    state: State
    predictor: "Predictor"


@dataclasses.dataclass(frozen=True)
class _Damaged:
    state: State
    message: str
    until: float


class ModelCache:
    """A least-recently-used cache of at most TOPGRAFT_MODELS_IN_MEMORY models. Safe to use from several threads.

    A model is not served from memory once its folder has changed, or a file that predictions are made with.

    Attributes:
        workers: number of worker processes that load models and share the processors.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self.workers = 1
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()
        self._damaged: dict[Path, _Damaged] = {}
        self._logged: tuple[str, ...] = ()

    def find(self, workspace: Workspace, name: str) -> Found:
        """Return the model of a name, or the latest model, in its current state on disk.

        Raises:
            NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `model.registry.find_bundle`.
            ModelBusyError: the model is replaced repeatedly.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._lock:
                    return self._find(workspace, name)
            except _ModelChangedError:
                log.info("the model %s was changed while it was being loaded: trying again", name)
        raise ModelBusyError(f"the model {name} is being replaced at the moment. Try again.")

    def _find(self, workspace: Workspace, name: str) -> Found:
        if name != LATEST:
            return Found(self._current(self._registry.find(workspace, name)))
        latest = self._registry.open_latest(workspace, self._current)
        self._log_new(latest.warnings)
        return Found(latest.get(), latest.warnings)

    def _current(self, model: RegisteredModel) -> "Predictor":
        """Return the model from memory if its files are unchanged, otherwise load it."""
        state = model.state()
        if state[0] != model.stamp:
            raise _ModelChangedError
        loaded = self._loaded.get(model.directory)
        if loaded is not None and loaded.state == state:
            self._loaded.move_to_end(model.directory)
            return loaded.predictor
        self._refuse_if_known_to_be_damaged(model, state)
        try:
            predictor = self._load(model)
        except ModelDamagedError as error:
            if model.state() != state:
                raise _ModelChangedError from error
            until = self._clock() + _SECONDS_BEFORE_RETRY
            self._damaged[model.directory] = _Damaged(state, error.message, until)
            raise
        self._loaded[model.directory] = _Loaded(state, predictor)
        log.info("loaded the model %s", model.name)
        return predictor

    def _refuse_if_known_to_be_damaged(self, model: RegisteredModel, state: State) -> None:
        """Verifying files against the manifest takes longer than a prediction."""
        damaged = self._damaged.pop(model.directory, None)
        if damaged is not None and damaged.state == state and self._clock() < damaged.until:
            self._damaged[model.directory] = damaged
            raise ModelDamagedError(damaged.message)

    def _load(self, model: RegisteredModel) -> "Predictor":
        from model.serving.predictor import load_predictor

        self._loaded.pop(model.directory, None)
        bundle = model.open()
        # Make room first, so that there are never more in memory than allowed.
        while len(self._loaded) >= MODELS_IN_MEMORY.read():
            self._loaded.popitem(last=False)
        return load_predictor(bundle, worker_threads(self.workers))

    def _log_new(self, warnings: tuple[str, ...]) -> None:
        """Log warnings that differ from those of the last request."""
        for warning in warnings:
            if warning not in self._logged:
                log.warning(warning)
        self._logged = warnings
