"""Usage statistics of this worker, recorded if TOPGRAFT_MONITOR is set, and their summary in the metadata."""

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from api.errors import ApiError
from model import environment
from model.bundle import Bundle
from model.errors import ConfigError
from model.provenance import utc_today
from model.registry import Registry
from model.results import Prediction
from model.usage.drift_check import DAYS, sum_of_last_days
from model.usage.record import Record
from model.usage.recorder import Recorder
from model.usage.store import NO_MODEL, ModelVersion, UsageStore, days_before, model_version, read_day
from model.usage.summary import short_summary
from model.workspace import Workspace, find_workspace

log = logging.getLogger(__name__)

_FORMATS = {"application/json": "json", "application/csv": "csv", "text/csv": "csv", "image/png": "png"}


class CountedRequest:
    """A request with the counts of its predictions."""

    def __init__(self) -> None:
        self.version = NO_MODEL
        self.record = Record()
        self.is_zip = False

    def counted(self, predictions: Iterable[Prediction], bundle: Bundle, is_zip: bool) -> Iterator[Prediction]:
        """Pass predictions through and count each for the model."""
        self.version, self.is_zip = model_version(bundle.name, bundle.manifest), is_zip
        return self._counted(predictions)

    def _counted(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for prediction in predictions:
            self.record.add_prediction(prediction)
            yield prediction


class UncountedRequest:
    """A request whose predictions are not counted."""

    def counted(self, predictions: Iterator[Prediction], bundle: Bundle, is_zip: bool) -> Iterator[Prediction]:
        """Pass predictions through."""
        return predictions


class Usage:
    """Counter of the requests to this worker."""

    def __init__(self) -> None:
        self._recorders: dict[Workspace, Recorder] = {}

    @contextlib.contextmanager
    def request(self, accept: str) -> Iterator[CountedRequest | UncountedRequest]:
        """Count the request handled inside: by the format of its response, or by the status of its error."""
        if not environment.MONITOR.read():
            yield UncountedRequest()
            return
        start = time.perf_counter()
        counted = CountedRequest()
        try:
            yield counted
        except ApiError as error:
            counted.record.add_error(error.status)
            raise
        else:
            counted.record.add_answer(_FORMATS.get(accept, "json"), time.perf_counter() - start, counted.is_zip)
        finally:
            self._add(counted)

    def write(self) -> None:
        """Write counts that are only in memory to disk."""
        for recorder in list(self._recorders.values()):
            recorder.write()

    def _add(self, counted: CountedRequest) -> None:
        with contextlib.suppress(ConfigError):  # no workspace: the response was an error that says so
            workspace = find_workspace()
            self._recorders.setdefault(workspace, Recorder(workspace)).add(counted.version, counted.record)


class UsageReader:
    """Reader of recorded usage; a file is read again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], Record | None]] = {}
        self._visited: set[Path] = set()

    def summary(self, workspace: Workspace, registry: Registry) -> dict[str, Any]:
        """Summarize the last days, for each model that was used and for requests without a model."""
        store = UsageStore(workspace)
        models = []
        for model in registry.models(workspace):
            version = ModelVersion(model.name, model.version)
            models.append((model.name, self._last_days(store, version), store.drift(version)))
        without = self._last_days(store, NO_MODEL)
        self._known = {path: known for path, known in self._known.items() if path in self._visited}
        self._visited = set()
        return {
            "days": DAYS,
            "models": [short_summary(name, record, drift) for name, record, drift in models if record is not None],
            "errors_without_model": {} if without is None else dict(without.errors),
        }

    def _last_days(self, store: UsageStore, version: ModelVersion) -> Record | None:
        since = days_before(utc_today(), DAYS - 1)
        read = {day: self._read(path) for day, path in store.day_files(version).items() if day >= since}
        found = {day: record for day, record in read.items() if record is not None}
        return sum_of_last_days(found) if found else None

    def _read(self, path: Path) -> Record | None:
        self._visited.add(path)
        try:
            status = path.stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if path not in self._known or self._known[path][0] != stamp:
            self._known[path] = stamp, read_day(path)
        return self._known[path][1]
