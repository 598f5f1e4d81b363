"""A trained model, logged to an MLflow server as one run.

At the end, when the model is whole and in its place, not as the training goes: no epoch waits for a network, a
training that was killed and resumed is still one run, and whatever MLflow does, the model stays. To watch a training,
there are status.json and TensorBoard.

By a child process (`mlflow_run.py`): it can be ended at the deadline wherever it hangs, be it in name resolution or
in an upload, and the settings that MLflow's client reads from the environment are its own.
"""

import dataclasses
import importlib.util
import json
import logging
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from model import durable, environment
from model.addresses import without_credentials
from model.errors import ConfigError, TopgraftError, TrackingError
from model.processes import describe_exit, python_command, python_environment, start_child
from model.provenance import write_run
from model.results import Progress, no_progress
from model.training_result import TrackedRun, TrainingResult

CHILD = "model.tracking.mlflow_run"
OUTCOME = "outcome.json"
INSTALL = "pip install 'topgraft[mlflow]'"

_LOG = "log"
_SECONDS_TO_LOOK = 3.0
# Within the deadline, a server that never answers is told from one that is slow; MLflow's own are 120 s and 7 times.
_CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_UNREACHABLE = "See that it runs, and that MLFLOW_TRACKING_URI is its address"
_ADVICE = {
    401: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of a user of that server",
    403: "Set MLFLOW_EXPERIMENT_NAME to an experiment, and registered model, that this user may change",
}

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrackingServer:
    """An MLflow server as the environment names it.

    Attributes:
        address: http or https, without credentials.
        user, password: empty where none are needed.
        experiment: where its runs go; the registered model has this name too.
        seconds: the longest that logging one model may take.
    """

    address: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    experiment: str = environment.MLFLOW_EXPERIMENT.default
    seconds: float = environment.MLFLOW_SECONDS.default

    @property
    def registered_model(self) -> str:
        """The registered model whose versions the trainings are; MLflow allows no / and : in its name."""
        return self.experiment.replace("/", "-").replace(":", "-")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How far the logging of a model came.

    Attributes:
        experiment: its name.
        run_id: of the run; empty while there is none.
        url: the page of the run.
        registered_model, version: what the model is in the registry; empty while it is not there.
        step: what is being done, as in "it was to ...".
        done: whether all is logged.
        error: why it ended before, else empty.
        http_status: of the answer that ended it; 0 where there was none.
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
        """The run, for the result of a training."""
        return TrackedRun(self.experiment, self.run_id, self.url, self.registered_model, self.version)


def tracking_server() -> TrackingServer | None:
    """The server that MLFLOW_TRACKING_URI names; None where it is not set, or empty.

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
    """Whether MLflow's client is there."""
    return importlib.util.find_spec("mlflow") is not None


def add_tracking(result: TrainingResult, progress: Progress = no_progress) -> TrainingResult:
    """Log a finished training to MLflow, if the environment names a server.

    Returns:
        The result with `mlflow`. If MLflow fails, the model is whole and the result has one more warning, with the
        command that repeats the logging.
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
        warning = f"{error} The model is whole. To log it later: {_how_to_log(directory)}"
        log.warning("%s", warning)
        return result.with_warning(warning)
    except BaseException:
        log.warning("%s is trained; its logging to MLflow was stopped: %s", directory.name, _how_to_log(directory))
        raise
    log.info("logged to MLflow: %s", outcome.url)
    return dataclasses.replace(result, mlflow=outcome.run())


def log_model(directory: Path, server: TrackingServer) -> Outcome:
    """Log the model in `directory` as one run: parameters, metrics, report and model. An existing run is continued.

    The run is recorded next to the model: see `model.provenance`.

    Raises:
        TrackingError: logging failed, or took longer than `server.seconds`. The message says how far it came, and
            contains no password.
    """
    if not is_installed():
        raise TrackingError(
            f"MLflow: expected its client to be installed, since MLFLOW_TRACKING_URI is set. Install it: {INSTALL}."
        )
    with tempfile.TemporaryDirectory(prefix="topgraft-mlflow-") as folder:
        ended = _run_child(directory, Path(folder), server)
        outcome = _read_outcome(Path(folder), server)
        if outcome.done:
            write_run(directory, dataclasses.asdict(outcome.run()))
            return outcome
        reason = outcome.error or ended or f"its process failed: {_last_line(Path(folder) / _LOG)}"
    raise TrackingError(_without_secrets(_failure(outcome, reason, server), server))


def look_at(server: TrackingServer) -> str:
    """Ask the server for the experiment, as its user, for a few seconds; what is wrong, empty if nothing is."""
    token = "" if server.user else environment.MLFLOW_TOKEN.read()
    try:
        answer = requests.get(
            f"{server.address}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": server.experiment},
            auth=(server.user, server.password) if server.user else None,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=_SECONDS_TO_LOOK,
        )
        known = answer.ok or answer.json().get("error_code") == "RESOURCE_DOES_NOT_EXIST"
    except requests.JSONDecodeError:
        known = False
    except requests.RequestException as error:
        return f"{server.address} cannot be reached ({type(error).__name__}). {_UNREACHABLE}"
    return "" if known else f"{server.address} answers {answer.status_code}. {_advice(answer.status_code)}"


def _run_child(directory: Path, folder: Path, server: TrackingServer) -> str:
    """Let the child log the model until it ends or time is up; how it was ended, empty if it ended by itself."""
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
    """The environment of the child: the server and what its client needs to know, nothing empty."""
    kept = {name: value for name, value in python_environment().items() if value or not name.startswith("MLFLOW_")}
    of_server = {
        "MLFLOW_TRACKING_URI": server.address,
        "MLFLOW_TRACKING_USERNAME": server.user,
        "MLFLOW_TRACKING_PASSWORD": server.password,
        "MLFLOW_EXPERIMENT_NAME": server.experiment,
    }
    return {name: value for name, value in (_CLIENT_SETTINGS | kept | of_server).items() if value}


def _read_outcome(folder: Path, server: TrackingServer) -> Outcome:
    try:
        return Outcome(**json.loads((folder / OUTCOME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Outcome(server.experiment)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """In the child: tell how far it came."""
    durable.write_json(folder / OUTCOME, dataclasses.asdict(outcome))


def _failure(outcome: Outcome, reason: str, server: TrackingServer) -> str:
    so_far = f" What was logged before is in {outcome.url}." if outcome.url else ""
    return (
        f"MLflow at {server.address}: expected to {outcome.step}, received: {reason}.{so_far} "
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
    return lines[-1] if lines else "it said nothing"


def _how_to_log(directory: Path) -> str:
    return f"topgraft models track {directory.name}"
