"""Provenance of a model: the job of the platform that it was trained in, and its run in MLflow.

The job is known before the manifest is written: provenance.json is a file of the model. The run is created from the
complete model and has the sha256 of its manifest: mlflow_run.json is next to the model's files and not one of them, so
that a model has the same bytes whether it was logged or not.
"""

import contextlib
import datetime
import importlib.metadata
import logging
from collections.abc import Mapping
from pathlib import Path

from model import __version__, durable, environment
from model.bundle_files import MLFLOW_RUN, PROVENANCE
from model.reading import read_json, without_number

_OF_THE_JOB = {"nomad_job": environment.NOMAD_JOB_ID, "nomad_allocation": environment.NOMAD_ALLOC_ID}
_LARGEST = 100_000
# Packages with other names and the same modules: builds for other hardware.
_SAME_MODULES = {
    "tensorflow": ("tensorflow-cpu", "tensorflow-rocm", "tf-nightly"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-rocm"),
}

log = logging.getLogger(__name__)


def write_job(directory: Path) -> None:
    """Write `provenance.json` into a model that is trained in a job of the platform; outside one, nothing."""
    job = {name: variable.read() for name, variable in _OF_THE_JOB.items() if variable.is_set}
    if job:
        durable.write_json(directory / PROVENANCE, job)


def write_run(directory: Path, run: Mapping[str, str]) -> None:
    """Write `mlflow_run.json` into the folder of a model; a failure is logged.

    Args:
        run: experiment, run_id, url, registered_model, version.
    """
    try:
        durable.write_json(directory / MLFLOW_RUN, dict(run))
    except OSError as error:
        log.warning("%s: the run in MLflow cannot be stored: %s", directory / MLFLOW_RUN, without_number(error))


def provenance_of(directory: Path) -> dict[str, str]:
    """Provenance of a model for its child module: `mlflow_run`, `nomad_job` and `nomad_allocation`, as far as known.

    MLFLOW_RUN and TOPGRAFT_NOMAD_JOB of this process take precedence over what is stored with the model. The job that
    this process runs in is not used.
    """
    job = _read(directory / PROVENANCE)
    known = {"mlflow_run": _read(directory / MLFLOW_RUN).get("run_id", "")}
    known |= {name: job.get(name, "") for name in _OF_THE_JOB}
    if environment.MLFLOW_RUN.is_set:
        known["mlflow_run"] = environment.MLFLOW_RUN.read()
    if environment.NOMAD_JOB.is_set:
        known |= {"nomad_job": environment.NOMAD_JOB.read(), "nomad_allocation": ""}
    return {name: value for name, value in known.items() if value}


def _read(path: Path) -> dict[str, str]:
    """Strings of a small JSON file; in an imported model it can contain anything."""
    try:
        content = read_json(path, _LARGEST)
    except (OSError, ValueError):
        return {}
    return {name: text for name, text in content.items() if isinstance(text, str)} if isinstance(content, dict) else {}


def utc_now(timespec: str = "auto") -> str:
    """The time in UTC as ISO 8601, to the microsecond; `timespec` as of `datetime.isoformat`."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec=timespec)


def utc_today() -> str:
    """The date in UTC, as `2026-11-21`."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def installed_versions() -> dict[str, str]:
    """Versions of topgraft and of the libraries that a model depends on: name -> version."""
    packages = ("keras", "tensorflow", "onnx", "onnxruntime", "numpy")
    return {"topgraft": __version__} | {name: installed_version(name) or "unknown" for name in packages}


def installed_version(package: str) -> str | None:
    """Version of a package, also of one with another name and the same modules; None if there is none."""
    for name in (package, *_SAME_MODULES.get(package, ())):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None
