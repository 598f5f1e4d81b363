"""Logging of a trained model to an MLflow server, as one run.

A model is logged after it is complete in models/, not during training: no epoch waits for the network, a resumed
training is still one run, and a failure of MLflow cannot affect the model. status.json and TensorBoard show a running
training.

A child process (`mlflow_run.py`) does the logging: it can be killed at the time limit even in name resolution or in an
upload, and has its own environment variables for MLflow's client.
"""

import dataclasses
import importlib.util
import logging
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from model import durable, environment
from model.addresses import without_credentials
from model.answers import read_answer
from model.errors import ConfigError, TopgraftError, TrackingError
from model.processes import describe_exit, python_command, python_environment, start_child
from model.provenance import write_run
from model.reading import UnreadableError, describe, read_json, with_path
from model.records import record_from
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.training_result import TrackedRun, TrainingResult

CHILD = "model.tracking.mlflow_run"
OUTCOME = "outcome.json"
INSTALL = "pip install 'topgraft[mlflow]'"

_LOG = "log"
_SECONDS_TO_CHECK = 3.0
_MAX_OUTCOME_BYTES = 1024**2
# Short enough to fail within the time limit if the server never responds; MLflow's defaults are 120 s and 7 retries.
_CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_UNREACHABLE = "Check that it is running and that MLFLOW_TRACKING_URI is its address"
_ADVICE = {
    401: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to the login of a user of this server",
    403: "Set MLFLOW_EXPERIMENT_NAME to an experiment and registered model that this user may change",
}

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrackingServer:
    """An MLflow server and its settings, from the environment variables.

    Attributes:
        address: http or https, without credentials.
        user, password: empty if the server requires none.
        experiment: name of the experiment; also that of the registered model, see `registered_model`.
        seconds: time limit for logging one model.
    """

    address: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    experiment: str = environment.MLFLOW_EXPERIMENT.default
    seconds: float = environment.MLFLOW_SECONDS.default

    @property
    def registered_model(self) -> str:
        """Name of the registered model; MLflow allows no / and : in it."""
        return self.experiment.replace("/", "-").replace(":", "-")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Progress of logging a model, and its error.

    Attributes:
        experiment: name of the experiment.
        run_id: ID of the run; empty before it is created.
        url: web page of the run.
        registered_model, version: name and version in the model registry; empty before registration.
        step: the current step, as a verb phrase for messages, such as "upload the model".
        done: whether everything is logged.
        error: reason of the failure; empty without one.
        http_status: HTTP status of the failed request; 0 without a response.
    """

    experiment: str
    run_id: str = ""
    url: str = ""
    registered_model: str = ""
    version: str = ""
    step: str = "start"
    done: bool = False
    error: str = ""
    http_status: int = 0

    def run(self) -> TrackedRun:
        """The run as part of the result of a training."""
        return TrackedRun(self.experiment, self.run_id, self.url, self.registered_model, self.version)


def tracking_server() -> TrackingServer | None:
    """MLflow server in MLFLOW_TRACKING_URI; None if the variable is not set or empty.

    Raises:
        ConfigError: a variable has a value that cannot be used.
    """
    named = environment.MLFLOW_URI.read()
    if not named:
        return None
    parts = urlsplit(named)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "MLFLOW_TRACKING_URI: expected the address of an MLflow server, such as http://127.0.0.1:5000, received "
            f"{without_credentials(named)!r}. Start one with: mlflow server"
        )
    return TrackingServer(
        address=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}",
        user=unquote(parts.username or "") or environment.MLFLOW_USER.read(),
        password=unquote(parts.password or "") or environment.MLFLOW_PASSWORD.read(),
        experiment=environment.MLFLOW_EXPERIMENT.read(),
        seconds=environment.MLFLOW_SECONDS.read(),
    )


def is_installed() -> bool:
    """Whether MLflow's client is installed."""
    return importlib.util.find_spec("mlflow") is not None


def add_tracking(result: TrainingResult, progress: Progress = no_progress) -> TrainingResult:
    """Log a finished training to MLflow if MLFLOW_TRACKING_URI is set.

    Returns:
        The result with `mlflow`. If MLflow fails, the model is complete nevertheless, and the result has one more
        warning, with the command that repeats the logging.
    """
    directory = result.path
    try:
        server = tracking_server()
        if server is None:
            return result
        progress("mlflow", 0, 1)
        outcome = log_model(directory, server)
        progress("mlflow", 1, 1)
    except (TopgraftError, OSError) as error:
        reason = with_path(error).rstrip(".")
        warning = f"{reason}. The model is complete. To log it later: {_how_to_log(directory)}"
        log.warning("%s", warning)
        return result.with_warning(warning)
    except BaseException:
        log.warning(
            "%s: logging to MLflow was stopped. To log it later: %s",
            directory.name,
            _how_to_log(directory),
        )
        raise
    log.info("logged to MLflow: %s", outcome.url)
    return dataclasses.replace(result, mlflow=outcome.run())


def log_model(directory: Path, server: TrackingServer) -> Outcome:
    """Log the model in `directory` as one run: parameters, metrics, report and model. An existing run is continued.

    The run is recorded next to the model: see `model.provenance`.

    Raises:
        TrackingError: logging failed, or took longer than `server.seconds`. The message names the failed step and
            contains no password.
    """
    if not is_installed():
        raise TrackingError(
            f"MLflow: expected its client, because MLFLOW_TRACKING_URI is set, found none. Install it: {INSTALL}."
        )
    with scratch_folder("mlflow") as folder:
        ended = _run_child(directory, folder, server)
        outcome = _read_outcome(folder, server)
        if outcome.done:
            write_run(directory, dataclasses.asdict(outcome.run()))
            return outcome
        reason = outcome.error or ended or f"its process failed: {_last_line(folder / _LOG)}"
    raise TrackingError(_without_secrets(_failure(outcome, reason, server), server))


def check_server(server: TrackingServer) -> str:
    """Request the experiment from the server, within a few seconds; return the problem, empty if there is none."""
    token = "" if server.user else environment.MLFLOW_TOKEN.read()
    try:
        answer = requests.get(
            f"{server.address}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": server.experiment},
            auth=(server.user, server.password) if server.user else None,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=_SECONDS_TO_CHECK,
            stream=True,
        )
        known = answer.ok or b'"RESOURCE_DOES_NOT_EXIST"' in read_answer(answer)
    except requests.RequestException as error:
        return f"{server.address} cannot be reached ({type(error).__name__}). {_UNREACHABLE}"
    return "" if known else f"{server.address} answers {answer.status_code}. {_advice(answer.status_code)}"


def _run_child(directory: Path, folder: Path, server: TrackingServer) -> str:
    """Log the model in a child process, up to the time limit; return how it was killed, empty if it exited."""
    command = python_command(CHILD, directory, folder)
    with open(folder / _LOG, "wb") as output:
        child = start_child(command, stdout=output, stderr=output, env=_environment(server))
        try:
            child.wait(server.seconds)
        except subprocess.TimeoutExpired:
            return f"it took more than {server.seconds:g} s (TOPGRAFT_MLFLOW_SECONDS)"
        finally:
            child.kill()
            child.wait()
    return f"its process {describe_exit(child.returncode)}" if child.returncode < 0 else ""


def _environment(server: TrackingServer) -> dict[str, str]:
    """Environment variables of the child: the server, and settings of MLflow's client, without empty ones."""
    kept = {name: value for name, value in python_environment().items() if value or not name.startswith("MLFLOW_")}
    of_server = {
        "MLFLOW_TRACKING_URI": server.address,
        "MLFLOW_TRACKING_USERNAME": server.user,
        "MLFLOW_TRACKING_PASSWORD": server.password,
        "MLFLOW_EXPERIMENT_NAME": server.experiment,
    }
    return {name: value for name, value in (_CLIENT_SETTINGS | kept | of_server).items() if value}


def _read_outcome(folder: Path, server: TrackingServer) -> Outcome:
    path = folder / OUTCOME
    try:
        return record_from(Outcome, read_json(path, _MAX_OUTCOME_BYTES))
    except FileNotFoundError:
        return Outcome(server.experiment)
    except (OSError, UnreadableError) as error:
        return Outcome(server.experiment, error=f"{path} cannot be read: {describe(error)}")


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write the progress of the child process for the parent."""
    durable.write_json(folder / OUTCOME, dataclasses.asdict(outcome))


def _failure(outcome: Outcome, reason: str, server: TrackingServer) -> str:
    incomplete = f" The incomplete run is at {outcome.url}." if outcome.url else ""
    return (
        f"MLflow at {server.address}: expected to {outcome.step}, received: {reason}.{incomplete} "
        f"{_advice(outcome.http_status)}."
    )


def _advice(http_status: int) -> str:
    return _ADVICE.get(http_status, _UNREACHABLE)


def _without_secrets(text: str, server: TrackingServer) -> str:
    secrets = (server.password, environment.MLFLOW_TOKEN.read())
    for secret in filter(None, secrets):
        text = text.replace(secret, "...")
    return text


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote no output"


def _how_to_log(directory: Path) -> str:
    return f"topgraft models track {directory.name}"
