"""Child process that logs one trained model to an MLflow server; see `model.tracking.experiment_tracking`.

Logging is idempotent: an unfinished run is found by the checksum of the manifest of its model, and continued.
"""

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

from model.addresses import redacted
from model.bundle import Bundle, Manifest, open_bundle
from model.bundle_files import MANIFEST, PREDICTIONS, REPORT, RESULTS
from model.errors import TrackingError
from model.shown import printable
from model.tables import read_csv
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

    def report(self, **changes: Any) -> None:
        """Report the progress to the parent, which may kill this process at any moment."""
        self.outcome = dataclasses.replace(self.outcome, **changes)
        write_outcome(self.folder, self.outcome)

    def run(self) -> None:
        """Create the run; log parameters, metrics and artifacts; register the model."""
        self.report(step=f"open the experiment {self.server.experiment}")
        experiment = find_experiment(self.client, self.server.experiment)
        self.report(step="begin a run")
        run_id = self.find_run(experiment).info.run_id
        self.report(run_id=run_id, url=f"{self.server.address}/#/experiments/{experiment}/runs/{run_id}")
        self.report(step="log parameters and metrics")
        self.log_values(run_id)
        self.report(step="upload the report")
        self.upload_readable(run_id)
        self.report(step="upload the model")
        self.upload_model(run_id)
        self.report(step=f"register the model as {self.server.registered_model}")
        version = self.register(run_id)
        self.report(registered_model=self.server.registered_model, version=version, step="finish the run")
        self.client.set_terminated(run_id, "FINISHED", max(_start(self.manifest), self.end))
        self.report(done=True)

    def fail(self, error: Exception) -> None:
        """Report the error, and mark the run as failed if the server still responds."""
        reason, status = _reason(error)
        self.report(error=reason, http_status=status)
        if self.outcome.run_id and status:
            self.client.set_tag(self.outcome.run_id, _INCOMPLETE, f"expected to {self.outcome.step}: {reason}")
            self.client.set_terminated(self.outcome.run_id, "FAILED")

    @property
    def end(self) -> int:
        """End of the training in milliseconds since 1970: the time of the manifest, which is written last."""
        return int((self.bundle.directory / MANIFEST).stat().st_mtime * 1000)

    def find_run(self, experiment: str) -> Run:
        """Run of this model: an existing one, otherwise a new one."""
        identity = self.bundle.manifest_sha256
        begun = self.client.search_runs([experiment], f"tags.`{_IDENTITY}` = '{identity}'", max_results=1)
        if not begun:
            tags = run_tags(self.manifest, self.server) | {_IDENTITY: identity}
            return self.client.create_run(experiment, _start(self.manifest), tags, self.bundle.name)
        if _INCOMPLETE in begun[0].data.tags:
            self.client.delete_tag(begun[0].info.run_id, _INCOMPLETE)
        return begun[0]

    def log_values(self, run_id: str) -> None:
        """Log parameters and metrics, in as few requests as MLflow allows."""
        for parameters in _batches(list(run_parameters(self.manifest)), MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run_id, params=parameters)
        measured = [*epoch_metrics(self.bundle), *final_metrics(self.manifest, self.end)]
        for metrics in _batches(measured, MAX_METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=metrics)

    def upload_readable(self, run_id: str) -> None:
        """Upload the report, results, manifest and predictions to the top level of the artifacts."""
        for name in (REPORT, RESULTS, MANIFEST):
            if (self.bundle.directory / name).is_file():
                self.client.log_artifact(run_id, str(self.bundle.directory / name))
        if (self.bundle.directory / PREDICTIONS).is_dir():
            self.client.log_artifacts(run_id, str(self.bundle.directory / PREDICTIONS), PREDICTIONS)

    def upload_model(self, run_id: str) -> None:
        """Upload all files of the model, and those of MLflow's model format."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            write_model_files(Path(folder), self.bundle, run_id)
            self.client.log_artifacts(run_id, folder, MODEL)
        self.client.log_artifacts(run_id, str(self.bundle.directory), MODEL)

    def register(self, run_id: str) -> str:
        """Register the run as a version of the registered model, unless it is one; return the version."""
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
    """ID of an experiment, which is created if it does not exist.

    Raises:
        TrackingError: the experiment was deleted; MLflow reserves its name until it is deleted permanently.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another training has created it in the meantime.
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        raise TrackingError("the experiment was deleted: restore it, or set MLFLOW_EXPERIMENT_NAME to another one")
    return str(found.experiment_id)


def run_tags(manifest: Manifest, server: TrackingServer) -> dict[str, str]:
    """Tags of the run: user, model, version of topgraft, dataset and host."""
    tags = {
        "mlflow.source.name": "topgraft",
        "mlflow.user": server.user,
        "topgraft.model": manifest.name,
        "topgraft.version": str(manifest.versions.get("topgraft", "")),
        "topgraft.dataset": str(manifest.dataset.get("path", "")),
        "topgraft.host": platform.node(),
    }
    return {name: printable(value) for name, value in tags.items() if value}


def run_parameters(manifest: Manifest) -> Iterator[Param]:
    """Parameters of the run: all options as text, backbone, dataset, and number of images in each split."""
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
        text = "" if value is None else printable(str(value))
        yield Param(name, text if len(text) <= _MAX_PARAMETER else f"{text[: _MAX_PARAMETER - 1]}…")


def epoch_metrics(bundle: Bundle) -> Iterator[Metric]:
    """Metrics of the epochs in results.csv, named phase/column, with the epoch as the step."""
    path = bundle.directory / RESULTS
    if not path.is_file():
        return
    moment = float(_start(bundle.manifest))
    for row in read_csv(path):
        phase, epoch = row.pop("phase"), int(row.pop("epoch"))
        moment += 1000 * float(row["seconds"])
        for name, text in row.items():
            if text and math.isfinite(float(text)):
                yield Metric(f"{phase}/{name}", float(text), int(moment), epoch)


def final_metrics(manifest: Manifest, moment: int) -> Iterator[Metric]:
    """Final metrics in the manifest, named split/name; an interval as two metrics, _low and _high."""
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
    """Message of the first cause of a failed request, and the HTTP status of the response; 0 without one."""
    status = _HTTP_STATUS_OF.get(getattr(error, "error_code", ""), 0)
    status = status or getattr(getattr(error, "response", None), "status_code", 0)
    before = error.__cause__ or error.__context__
    if before is not None and not status:
        return _reason(before)
    text = redacted(str(error)) or type(error).__name__
    return text[:_MAX_REASON].rstrip(". \n"), status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
