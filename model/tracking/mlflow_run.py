"""Child process that logs one trained model to an MLflow server; see `model.tracking.experiment_tracking`.

Logging is idempotent: an unfinished run is found by the checksum of the manifest of its model, and continued.
"""

import csv
import dataclasses
import datetime
import math
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH

from model.bundle import Bundle, Manifest, file_record, open_bundle
from model.bundle_files import MANIFEST, PREDICTIONS, REPORT, RESULTS
from model.errors import TrackingError
from model.tracking.experiment_tracking import Outcome, TrackingServer, tracking_server, write_outcome
from model.tracking.mlflow_model import MODEL, write_model_files

# The limit of servers before MLflow 2.8; later ones allow more.
_MAX_PARAMETER = 500
_MAX_REASON = 300
_IDENTITY = "topgraft.manifest_sha256"
_INCOMPLETE = "topgraft.incomplete"
_HTTP_STATUS_OF = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}


def main(directory: str, folder: str) -> int:
    """Log the model in `directory`; write the progress to `folder`."""
    server = tracking_server()
    if server is None:
        raise TrackingError("MLFLOW_TRACKING_URI: expected the address of an MLflow server, received none.")
    logging_of_model = _ModelLogging(open_bundle(Path(directory)), server, Path(folder))
    try:
        logging_of_model.run()
    except Exception as error:
        logging_of_model.fail(error)
    return 0


class _ModelLogging:
    """The steps of logging one model, in their order."""

    def __init__(self, bundle: Bundle, server: TrackingServer, folder: Path) -> None:
        self.bundle, self.server, self.folder = bundle, server, folder
        self.manifest = bundle.manifest
        self.client = MlflowClient(tracking_uri=server.address)
        self.outcome = Outcome(server.experiment)

    def tell(self, **changes: Any) -> None:
        """Tell the parent, which may have to end this process at any moment."""
        self.outcome = dataclasses.replace(self.outcome, **changes)
        write_outcome(self.folder, self.outcome)

    def run(self) -> None:
        """Run, parameters, metrics, artifacts, registered model."""
        self.tell(step=f"open the experiment {self.server.experiment}")
        experiment = find_experiment(self.client, self.server.experiment)
        self.tell(step="begin a run")
        run_id = self.find_run(experiment).info.run_id
        self.tell(run_id=run_id, url=f"{self.server.address}/#/experiments/{experiment}/runs/{run_id}")
        self.tell(step="log parameters and metrics")
        self.log_values(run_id)
        self.tell(step="upload the report")
        self.upload_readable(run_id)
        self.tell(step="upload the model")
        self.upload_model(run_id)
        self.tell(step=f"register the model as {self.server.registered_model}")
        version = self.register(run_id)
        self.tell(registered_model=self.server.registered_model, version=version, step="finish the run")
        self.client.set_terminated(run_id, "FINISHED", max(_start(self.manifest), self.end))
        self.tell(done=True)

    def fail(self, error: Exception) -> None:
        """Tell why, and let the run say so too where the server still answers."""
        reason, status = _reason(error)
        self.tell(error=reason, http_status=status)
        if self.outcome.run_id and status:
            self.client.set_tag(self.outcome.run_id, _INCOMPLETE, f"expected to {self.outcome.step}: {reason}")
            self.client.set_terminated(self.outcome.run_id, "FAILED")

    @property
    def end(self) -> int:
        """When the training ended, in milliseconds since 1970: its manifest is written last."""
        return int((self.bundle.directory / MANIFEST).stat().st_mtime * 1000)

    def find_run(self, experiment: str) -> Run:
        """The run of this model, new or begun before."""
        identity = file_record(self.bundle.directory / MANIFEST).sha256
        begun = self.client.search_runs([experiment], f"tags.`{_IDENTITY}` = '{identity}'", max_results=1)
        if not begun:
            tags = run_tags(self.manifest, self.server) | {_IDENTITY: identity}
            return self.client.create_run(experiment, _start(self.manifest), tags, self.bundle.name)
        if _INCOMPLETE in begun[0].data.tags:
            self.client.delete_tag(begun[0].info.run_id, _INCOMPLETE)
        return begun[0]

    def log_values(self, run_id: str) -> None:
        """Parameters and metrics, in as few requests as MLflow allows."""
        for parameters in _batches(list(run_parameters(self.manifest)), MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run_id, params=parameters)
        measured = [*epoch_metrics(self.bundle), *final_metrics(self.manifest, self.end)]
        for metrics in _batches(measured, MAX_METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=metrics)

    def upload_readable(self, run_id: str) -> None:
        """What people read, at the top of the run's artifacts."""
        for name in (REPORT, RESULTS, MANIFEST):
            if (self.bundle.directory / name).is_file():
                self.client.log_artifact(run_id, str(self.bundle.directory / name))
        if (self.bundle.directory / PREDICTIONS).is_dir():
            self.client.log_artifacts(run_id, str(self.bundle.directory / PREDICTIONS), PREDICTIONS)

    def upload_model(self, run_id: str) -> None:
        """The whole bundle, and the files that make it a model of MLflow's."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            write_model_files(Path(folder), self.bundle, run_id)
            self.client.log_artifacts(run_id, folder, MODEL)
        self.client.log_artifacts(run_id, str(self.bundle.directory), MODEL)

    def register(self, run_id: str) -> str:
        """The version of the registered model that this run is, new or made before."""
        name = self.server.registered_model
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        of_run = self.client.search_model_versions(f"run_id = '{run_id}'")
        made = [str(version.version) for version in of_run if version.name == name]
        if made:
            return made[0]
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{MODEL}"
        tags = {"topgraft.model": self.bundle.name}
        return str(self.client.create_model_version(name, source, run_id, tags, await_creation_for=0).version)


def find_experiment(client: MlflowClient, name: str) -> str:
    """The id of an experiment, which is made if it is not there.

    Raises:
        TrackingError: it was deleted; MLflow keeps its name until it is gone for good.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another training made it meanwhile.
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        raise TrackingError("it was deleted there: restore it, or name another one by MLFLOW_EXPERIMENT_NAME")
    return str(found.experiment_id)


def run_tags(manifest: Manifest, server: TrackingServer) -> dict[str, str]:
    """Who trained what, where and with which version."""
    tags = {
        "mlflow.source.name": "topgraft",
        "mlflow.user": server.user,
        "topgraft.model": manifest.name,
        "topgraft.version": str(manifest.versions.get("topgraft", "")),
        "topgraft.dataset": str(manifest.dataset.get("path", "")),
        "topgraft.host": platform.node(),
    }
    return {name: value for name, value in tags.items() if value}


def run_parameters(manifest: Manifest) -> Iterator[Param]:
    """Every option of the training as text, what was trained on, and how many images of each split."""
    counts = {
        f"{split}_images": sum(of_class.values()) for split, of_class in manifest.dataset.get("counts", {}).items()
    }
    values = manifest.train_config | {
        "backbone": manifest.backbone,
        "input_size": manifest.image_size,
        "classes": len(manifest.classes),
        "dataset_fingerprint": manifest.dataset.get("fingerprint", ""),
        **counts,
    }
    for name, value in values.items():
        text = "" if value is None else str(value)
        yield Param(name, text if len(text) <= _MAX_PARAMETER else f"{text[: _MAX_PARAMETER - 1]}…")


def epoch_metrics(bundle: Bundle) -> Iterator[Metric]:
    """Every number of results.csv, named phase/column, with the epoch as its step."""
    path = bundle.directory / RESULTS
    if not path.is_file():
        return
    moment = float(_start(bundle.manifest))
    with open(path, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            phase, epoch = row.pop("phase"), int(row.pop("epoch"))
            moment += 1000 * float(row["seconds"])
            for name, text in row.items():
                if text and math.isfinite(float(text)):
                    yield Metric(f"{phase}/{name}", float(text), int(moment), epoch)


def final_metrics(manifest: Manifest, moment: int) -> Iterator[Metric]:
    """The numbers of the manifest's metrics, named split/name; an interval as its two ends, _low and _high."""
    for split, metrics in manifest.metrics.items():
        for name, value in metrics.items():
            if isinstance(value, (int, float)):
                yield Metric(f"{split}/{name}", value, moment, 0)
            elif name.endswith("_interval") and value is not None:
                for end, limit in zip(("low", "high"), value, strict=True):
                    yield Metric(f"{split}/{name.removesuffix('_interval')}_{end}", limit, moment, 0)


def _start(manifest: Manifest) -> int:
    return int(datetime.datetime.fromisoformat(manifest.created).timestamp() * 1000)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _reason(error: BaseException) -> tuple[str, int]:
    """Why a request failed, in the words of its first cause, and the HTTP status of the answer, 0 where none came."""
    status = _HTTP_STATUS_OF.get(getattr(error, "error_code", ""), 0)
    status = status or getattr(getattr(error, "response", None), "status_code", 0)
    before = error.__cause__ or error.__context__
    if before is not None and not status:
        return _reason(before)
    text = str(error) or type(error).__name__
    return text[:_MAX_REASON].rstrip(". \n"), status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
