"""Trained models in memory, each as it is on disk now: one that was replaced, damaged or removed answers no more."""

import dataclasses
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model import environment
from model.bundle import find_bundle, open_bundle
from model.config import LATEST
from model.errors import ModelBusyError, ModelDamagedError
from model.registry import Listed, Listing, State, skipping
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

# How often a model is looked for again that is replaced while it is being loaded.
_ATTEMPTS = 5
# A model that cannot be loaded may be whole: memory may have been short.
_SECONDS_BEFORE_LOADING_AGAIN = 30.0


class Found(NamedTuple):
    """The model of a request, and what the client should know of the choice."""

    predictor: "Predictor"
    warnings: tuple[str, ...] = ()


class _ChangedMeanwhileError(Exception):
    """A model was replaced or removed while it was looked at."""


@dataclasses.dataclass(frozen=True)
class _Loaded:
    state: State
    predictor: "Predictor"


@dataclasses.dataclass(frozen=True)
class _Damaged:
    state: State
    message: str
    until: float


class Predictors:
    """At most TOPGRAFT_MODELS_IN_MEMORY models; the one unused for longest goes first.

    Attributes:
        workers: how many processes of this service have models, and share its processors.
    """

    def __init__(self, listing: Listing, clock: Callable[[], float] = time.monotonic) -> None:
        self.workers = 1
        self._listing = listing
        self._clock = clock
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()
        self._damaged: dict[Path, _Damaged] = {}
        self._told: tuple[str, ...] = ()

    def find(self, workspace: Workspace, name: str) -> Found:
        """The model of that name as it is on disk now; `latest` is the one promoted, else the newest, that is whole.

        Raises:
            NothingTrainedError, ModelNotFoundError, ModelDamagedError: see `model.bundle.find_bundle`.
            ModelBusyError: it is being replaced over and over.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._latest(workspace) if name == LATEST else Found(self._named(workspace, name))
            except _ChangedMeanwhileError:
                log.info("the model %s was changed while it was being loaded: looking again", name)
        raise ModelBusyError(f"the model {name} is being replaced at this moment. Ask again.")

    def _named(self, workspace: Workspace, name: str) -> "Predictor":
        listed = self._listing.find(workspace, name)
        if listed is None:
            find_bundle(workspace, name)
            raise _ChangedMeanwhileError
        return self._current(listed)

    def _latest(self, workspace: Workspace) -> Found:
        candidates, order = self._listing.candidates(workspace)
        warnings = list(order.warnings)
        for listed in candidates:
            try:
                predictor = self._current(listed)
            except ModelDamagedError as error:
                warnings.append(skipping(error))
            else:
                self._tell(tuple(warnings))
                return Found(predictor, tuple(warnings))
        self._tell(tuple(warnings))
        # None is whole: this raises, and says what to do.
        return Found(self._load(find_bundle(workspace).directory))

    def _current(self, listed: Listed) -> "Predictor":
        state = listed.state()
        if state[0] != listed.stamp:
            raise _ChangedMeanwhileError
        loaded = self._loaded.get(listed.directory)
        if loaded is not None and loaded.state == state:
            self._loaded.move_to_end(listed.directory)
            return loaded.predictor
        self._refuse_if_known_to_be_damaged(listed, state)
        try:
            predictor = self._load(listed.directory)
        except ModelDamagedError as error:
            if listed.state() != state:
                raise _ChangedMeanwhileError from error
            until = self._clock() + _SECONDS_BEFORE_LOADING_AGAIN
            self._damaged[listed.directory] = _Damaged(state, error.message, until)
            raise
        self._loaded[listed.directory] = _Loaded(state, predictor)
        log.info("loaded the model %s", listed.name)
        return predictor

    def _refuse_if_known_to_be_damaged(self, listed: Listed, state: State) -> None:
        """Comparing files with the manifest takes longer than an answer."""
        damaged = self._damaged.pop(listed.directory, None)
        if damaged is not None and damaged.state == state and self._clock() < damaged.until:
            self._damaged[listed.directory] = damaged
            raise ModelDamagedError(damaged.message)

    def _load(self, directory: Path) -> "Predictor":
        from model.serving.predictor import load_predictor

        self._loaded.pop(directory, None)
        bundle = open_bundle(directory)
        # Make room first, so that there are never more in memory than allowed.
        while len(self._loaded) >= environment.models_in_memory():
            self._loaded.popitem(last=False)
        return load_predictor(bundle, environment.threads(self.workers))

    def _tell(self, warnings: tuple[str, ...]) -> None:
        """Log what is new of it: the same warnings come with every request."""
        for warning in warnings:
            if warning not in self._told:
                log.warning(warning)
        self._told = warnings
