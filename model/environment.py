"""Environment variables: the table of all that Topgraft reads, and the one way to read them.

A variable is read when its value is needed. An empty value counts as not set, since the platform sets what it does
not use to an empty text. A value that cannot be used is logged once, and the default applies.
"""

import dataclasses
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WEB_PORTS = frozenset((80, 443))

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_MEBIBYTE = 1 << 20

log = logging.getLogger(__name__)
_logged: set[tuple[str, str]] = set()


@dataclasses.dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A type of value.

    Attributes:
        name: for the documentation.
        expected: what a value must be, for messages.
        parse: from text that is not blank to the value.
    """

    name: str
    expected: str
    parse: Callable[[str], T_co]


@dataclasses.dataclass(frozen=True)
class Variable(Generic[T]):
    """An environment variable.

    Attributes:
        name: of the variable.
        kind: its type.
        default: the value where it is not set.
        help: what it means.
        section: of the documentation.
        secret: whether its value is never shown.
        shown: the default in words, where it is not the default as text.
    """

    name: str
    kind: Kind[T]
    default: T
    help: str
    section: str
    secret: bool = False
    shown: str = ""

    @property
    def default_text(self) -> str:
        """The default as text; empty where there is none."""
        if self.shown or self.default in (None, ""):
            return self.shown
        return {True: "1", False: "0"}[self.default] if isinstance(self.default, bool) else str(self.default)

    @property
    def is_set(self) -> bool:
        """Whether it has a value that is not blank."""
        return bool(os.environ.get(self.name, "").strip())

    @property
    def raw(self) -> str:
        """The text that it is set to; empty where it is not set. Never show that of a secret."""
        return os.environ[self.name] if self.is_set else ""

    def read(self) -> T:
        """The value: the default where the variable is not set, or, after a warning, where its text is no value."""
        if not self.is_set:
            return self.default
        try:
            return self.kind.parse(self.raw)
        except ValueError:
            if (self.name, self.raw) not in _logged:
                _logged.add((self.name, self.raw))
                log.warning("%s", self.problem())
            return self.default

    def problem(self) -> str:
        """What is wrong with the text that it is set to; empty if nothing is."""
        try:
            if self.is_set:
                self.kind.parse(self.raw)
        except ValueError:
            applied = f"the default applies: {self.default_text}" if self.default_text else "it is ignored"
            received = "another text" if self.secret else repr(self.raw)
            return f"{self.name}: expected {self.kind.expected}, received {received}; {applied}."
        return ""


def set_variables(prefix: str) -> dict[str, str]:
    """The variables whose names begin with `prefix`, without the blank ones: name -> text."""
    return {name: text for name, text in os.environ.items() if name.startswith(prefix) and text.strip()}


def unset_blank(prefix: str) -> None:
    """Remove the blank variables whose names begin with `prefix` from the environment of this process."""
    for name in [name for name, text in os.environ.items() if name.startswith(prefix) and not text.strip()]:
        del os.environ[name]


def _parse_yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise ValueError(text)
    return word in _YES


def _parse_whole_number(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(text)
    return int(text)


def _parse_positive(text: str) -> int:
    number = _parse_whole_number(text)
    if number < 1:
        raise ValueError(text)
    return number


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


def _parse_port(text: str) -> int:
    port = _parse_positive(text)
    if port >= 1 << 16:
        raise ValueError(text)
    return port


def _parse_threads(text: str) -> int | Literal["all", "share"]:
    word = text.strip().lower()
    if word == "all":
        return "all"
    return "share" if word == "share" else _parse_positive(text)


def _parse_cores(text: str) -> int:
    """A lone number is how many: as the number of one core it would be in the affinity already."""
    if text.strip().isdecimal():
        return int(text)
    spans = [part.split("-") for part in text.split(",")]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)


TEXT = Kind("text", "text", str.strip)
SECRET = Kind("text", "text", str)
PATH = Kind("path", "a path", Path)
YES_OR_NO = Kind("yes or no", "1 or 0 (or true, yes, on, false, no, off)", _parse_yes_or_no)
WHOLE_NUMBER = Kind("whole number", "a whole number from 0", _parse_whole_number)
POSITIVE = Kind("whole number", "a whole number from 1", _parse_positive)
MEGABYTES = Kind("megabytes", "a number of megabytes from 1", lambda text: _parse_positive(text) * _MEBIBYTE)
SECONDS = Kind("seconds", "a number of seconds above 0", _parse_seconds)
PORT = Kind("port", "a port from 1 to 65535", _parse_port)
PORTS = Kind("ports", "ports such as 80,443,8443", lambda text: frozenset(map(_parse_port, text.split(","))))
THREADS = Kind("threads", "all, share or a whole number from 1", _parse_threads)
CORES = Kind("cores", "a number, or a list such as 0-3,7", _parse_cores)

_FOLDERS, _SERVICE, _TRAINING = "Folders", "Service", "Training"
_STORAGE, _MLFLOW, _PLATFORM = "Remote storage", "MLflow", "Platform and libraries"

HOME: Variable[Path | None] = Variable(
    "TOPGRAFT_HOME",
    PATH,
    None,
    "The workspace: the folder with `data/` and `models/`.",
    _FOLDERS,
    shown="the current folder if it has `data/` or `models/`, else the checkout",
)
CACHE = Variable(
    "TOPGRAFT_CACHE",
    PATH,
    Path("~/.cache/topgraft"),
    "Cache of converted backbones, features and copies of remote datasets.",
    _FOLDERS,
)
KERAS_HOME = Variable(
    "KERAS_HOME",
    PATH,
    Path("~/.keras"),
    "Where Keras looks for weights of backbones, in `models/`, and keeps those that it fetches.",
    _FOLDERS,
)

MODELS_IN_MEMORY = Variable("TOPGRAFT_MODELS_IN_MEMORY", POSITIVE, 2, "Models that each worker keeps loaded.", _SERVICE)
WORKER_THREADS: Variable[int | Literal["all", "share"]] = Variable(
    "TOPGRAFT_THREADS",
    THREADS,
    "all",
    "Threads that each worker decodes and computes with: `all` available processors; `share`, these divided by the "
    "number of workers, rounded up; or a number.",
    _SERVICE,
)
MAX_UPLOAD = Variable(
    "TOPGRAFT_MAX_UPLOAD_MB",
    MEGABYTES,
    512 * _MEBIBYTE,
    "Largest upload, or response of a URL, in megabytes (2^20 bytes).",
    _SERVICE,
    shown="512",
)
ALLOW_PRIVATE_URLS = Variable(
    "TOPGRAFT_ALLOW_PRIVATE_URLS", YES_OR_NO, False, "Whether `url` may lead to a private address.", _SERVICE
)
URL_PORTS = Variable(
    "TOPGRAFT_URL_PORTS",
    PORTS,
    WEB_PORTS,
    "Ports that `url` may name, separated by commas.",
    _SERVICE,
    shown="80,443",
)
MONITOR = Variable(
    "TOPGRAFT_MONITOR",
    YES_OR_NO,
    False,
    "Whether the service counts its predictions (`topgraft monitor`).",
    _SERVICE,
)
TENSORBOARD = Variable(
    "TOPGRAFT_TENSORBOARD", YES_OR_NO, True, "Whether TensorBoard starts with the first training.", _SERVICE
)
TENSORBOARD_HOST = Variable(
    "TOPGRAFT_TENSORBOARD_HOST",
    TEXT,
    "127.0.0.1",
    "Address of TensorBoard; 0.0.0.0 in the image.",
    _SERVICE,
)
TENSORBOARD_PORT = Variable("monitorPORT", PORT, 6006, "Port of TensorBoard; the platform sets it.", _SERVICE)
DEEPAAS_MODEL = Variable(
    "DEEPAAS_V2_MODEL",
    TEXT,
    "",
    "Module that `deepaas-run` serves: `topgraft`, so that it fails where Topgraft is not installed.",
    _SERVICE,
    shown="every installed module",
)
WORKERS = Variable(
    "OS_DEFAULT__WORKERS",
    TEXT,
    "",
    "Workers that `deepaas-run` starts without `--workers`; 2 in the image.",
    _SERVICE,
    shown="1",
)

MAX_TRAININGS = Variable("TOPGRAFT_MAX_TRAININGS", POSITIVE, 1, "Maximum number of running trainings.", _TRAINING)
MAX_QUEUED: Variable[int | None] = Variable(
    "TOPGRAFT_MAX_QUEUED",
    WHOLE_NUMBER,
    None,
    "Maximum number of queued trainings. In the service each of them keeps a worker busy.",
    _TRAINING,
    shown="0 in the service, any number by the command",
)

STORAGE_SECONDS = Variable(
    "TOPGRAFT_STORAGE_SECONDS",
    SECONDS,
    300.0,
    "Time without progress after which a transfer is aborted.",
    _STORAGE,
    shown="300",
)
RCLONE_CONFIG = Variable(
    "RCLONE_CONFIG", TEXT, "", "Configuration file of rclone.", _STORAGE, shown="~/.config/rclone/rclone.conf"
)
_RSHARE = "of the remote `rshare:`; `RCLONE_CONFIG_<REMOTE>_<OPTION>` configures any other."
RSHARE = (
    Variable("RCLONE_CONFIG_RSHARE_TYPE", TEXT, "", f"Type, such as `webdav`, {_RSHARE}", _STORAGE),
    Variable("RCLONE_CONFIG_RSHARE_VENDOR", TEXT, "", "Vendor of `rshare:`, such as `nextcloud`.", _STORAGE),
    Variable("RCLONE_CONFIG_RSHARE_URL", TEXT, "", "Address of `rshare:`.", _STORAGE),
    Variable("RCLONE_CONFIG_RSHARE_USER", SECRET, "", "User of `rshare:`.", _STORAGE, secret=True),
    Variable(
        "RCLONE_CONFIG_RSHARE_PASS",
        SECRET,
        "",
        "Password of `rshare:`, as `rclone obscure -` prints it.",
        _STORAGE,
        secret=True,
    ),
)

MLFLOW_URI = Variable(
    "MLFLOW_TRACKING_URI",
    TEXT,
    "",
    "MLflow server, http:// or https://, that trainings are logged to; any other address is refused.",
    _MLFLOW,
    shown="nothing is logged",
)
MLFLOW_USER = Variable(
    "MLFLOW_TRACKING_USERNAME", SECRET, "", "User of that server; may also be in its address.", _MLFLOW, secret=True
)
MLFLOW_PASSWORD = Variable("MLFLOW_TRACKING_PASSWORD", SECRET, "", "Password of that user.", _MLFLOW, secret=True)
MLFLOW_TOKEN = Variable("MLFLOW_TRACKING_TOKEN", SECRET, "", "Token, in place of a user.", _MLFLOW, secret=True)
MLFLOW_EXPERIMENT = Variable(
    "MLFLOW_EXPERIMENT_NAME", TEXT, "topgraft", "Experiment of the runs, and name of the registered model.", _MLFLOW
)
MLFLOW_SECONDS = Variable(
    "TOPGRAFT_MLFLOW_SECONDS", SECONDS, 60.0, "Time limit for logging one training.", _MLFLOW, shown="60"
)
MLFLOW_RUN = Variable(
    "MLFLOW_RUN", TEXT, "", "Run that a child module names as its provenance.", _MLFLOW, shown="that of the training"
)

NOMAD_JOB = Variable(
    "TOPGRAFT_NOMAD_JOB",
    TEXT,
    "",
    "Nomad job that a child module names as its provenance.",
    _PLATFORM,
    shown="that of the training",
)
NOMAD_JOB_ID = Variable("NOMAD_JOB_ID", TEXT, "", "Nomad job; kept with a model that is trained in it.", _PLATFORM)
NOMAD_ALLOC_ID = Variable("NOMAD_ALLOC_ID", TEXT, "", "Nomad allocation, kept likewise.", _PLATFORM)
NOMAD_CPU_CORES: Variable[int | None] = Variable(
    "NOMAD_CPU_CORES", CORES, None, "Processors that the platform grants: a number, or a list such as 0-3,7.", _PLATFORM
)
NOMAD_MEMORY: Variable[int | None] = Variable(
    "NOMAD_MEMORY_LIMIT", MEGABYTES, None, "Memory that the platform grants, in megabytes.", _PLATFORM
)
CUDA_DEVICES = Variable("CUDA_VISIBLE_DEVICES", TEXT, "", "GPUs that may be used.", _PLATFORM, shown="all")
BLAS_THREADS = (
    Variable(
        "OMP_NUM_THREADS",
        TEXT,
        "",
        "Threads of OpenMP, which NumPy and TensorFlow use.",
        _PLATFORM,
        shown="the available processors",
    ),
    Variable(
        "OPENBLAS_NUM_THREADS",
        TEXT,
        "",
        "Threads of the linear algebra of NumPy.",
        _PLATFORM,
        shown="the available processors",
    ),
)
ORT_DISABLE_TELEMETRY = Variable(
    "ORT_DISABLE_TELEMETRY", TEXT, "", "1 keeps ONNX Runtime from reporting its use to Microsoft.", _PLATFORM, shown="1"
)
TENSORFLOW_LOG_LEVEL = Variable(
    "TF_CPP_MIN_LOG_LEVEL", TEXT, "", "Lowest level of TensorFlow's own log.", _PLATFORM, shown="3 in the command"
)

VARIABLES: tuple[Variable[Any], ...] = (
    *(HOME, CACHE, KERAS_HOME),
    *(MODELS_IN_MEMORY, WORKER_THREADS, MAX_UPLOAD, ALLOW_PRIVATE_URLS, URL_PORTS, MONITOR),
    *(TENSORBOARD, TENSORBOARD_HOST, TENSORBOARD_PORT, DEEPAAS_MODEL, WORKERS),
    *(MAX_TRAININGS, MAX_QUEUED),
    *(STORAGE_SECONDS, RCLONE_CONFIG, *RSHARE),
    *(MLFLOW_URI, MLFLOW_USER, MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_EXPERIMENT, MLFLOW_SECONDS, MLFLOW_RUN),
    *(NOMAD_JOB, NOMAD_JOB_ID, NOMAD_ALLOC_ID, NOMAD_CPU_CORES, NOMAD_MEMORY),
    *(CUDA_DEVICES, *BLAS_THREADS, ORT_DISABLE_TELEMETRY, TENSORFLOW_LOG_LEVEL),
)
"""Every variable, by section."""
