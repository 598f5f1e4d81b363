"""Environment variables: the table of all variables that Topgraft reads. See `model.environment_variable`."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from model.environment_variable import (
    CORES,
    FOLDERS,
    GIGABYTES,
    HOSTS,
    MEGABYTES,
    NETWORKS,
    PATH,
    PORT,
    PORTS,
    POSITIVE,
    SECONDS,
    SECRET,
    TEXT,
    THREADS,
    WEB_ADDRESS,
    WHOLE_NUMBER,
    YES_OR_NO,
    HostPattern,
    Variable,
)

WEB_PORTS = frozenset((80, 443))

_FOLDERS, _SERVICE, _STUDIO, _PHOTOS, _TRAINING = "Folders", "Service", "Studio", "Photos", "Training"
_STORAGE, _MLFLOW, _LABELS, _PLATFORM = "Remote storage", "MLflow", "Label Studio", "Platform and libraries"

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
BACKBONES_FOLDER = Variable(
    "TOPGRAFT_BACKBONES",
    PATH,
    Path("~/.local/share/topgraft/backbones"),
    "Folder of the backbones that `topgraft backbones add` has added.",
    _FOLDERS,
)
KERAS_HOME = Variable(
    "KERAS_HOME",
    PATH,
    Path("~/.keras"),
    "Folder of Keras. Weights of backbones are read from its subfolder `models/`, and downloaded to it.",
    _FOLDERS,
)

MODELS_IN_MEMORY = Variable("TOPGRAFT_MODELS_IN_MEMORY", POSITIVE, 2, "Models that each worker keeps loaded.", _SERVICE)
WORKER_THREADS: Variable[int | Literal["all", "share"]] = Variable(
    "TOPGRAFT_THREADS",
    THREADS,
    "all",
    "Threads of each worker for decoding and inference: `all` available processors; `share`, the available processors "
    "divided by the number of workers, rounded up; or a number.",
    _SERVICE,
)
MAX_UPLOAD = Variable(
    "TOPGRAFT_MAX_UPLOAD_MB",
    MEGABYTES,
    512 << 20,
    "Maximum size of an upload, or of the content of a URL, in megabytes (2^20 bytes).",
    _SERVICE,
    shown="512",
)
ALLOW_PRIVATE_URLS = Variable(
    "TOPGRAFT_ALLOW_PRIVATE_URLS", YES_OR_NO, False, "Allow private addresses in `url`.", _SERVICE
)
URL_PORTS = Variable(
    "TOPGRAFT_URL_PORTS",
    PORTS,
    WEB_PORTS,
    "Ports allowed in `url`, separated by commas.",
    _SERVICE,
    shown="80,443",
)
SERVICE_URL = Variable(
    "TOPGRAFT_SERVICE_URL",
    WEB_ADDRESS,
    "",
    "Address at which users reach the service, such as `https://photos.example.org/classifier`, for links in its "
    "answers and log.",
    _SERVICE,
    shown="the address on which it listens",
)
PAGE_URL = Variable(
    "TOPGRAFT_PAGE_URL",
    WEB_ADDRESS,
    "",
    "Address at which users reach the web page, such as `https://photos.example.org/`, for the metadata of the "
    "service: the page is another process.",
    _SERVICE,
    shown="the metadata names no page",
)
ALLOWED_HOSTS: Variable[tuple[HostPattern, ...]] = Variable(
    "TOPGRAFT_ALLOWED_HOSTS",
    HOSTS,
    (),
    "Further names of the service and the web page, separated by commas, and other origins whose pages may use them: "
    "`HOST`, `HOST:PORT`, `*.DOMAIN`, or `*` for all. See [security](security.md#other-web-pages).",
    _SERVICE,
    shown="addresses, localhost, the name of the machine and that of the platform's job",
)
TRUSTED_PROXIES: Variable[tuple[IPv4Network | IPv6Network, ...]] = Variable(
    "TOPGRAFT_TRUSTED_PROXIES",
    NETWORKS,
    (),
    "Addresses or networks of reverse proxies whose header X-Forwarded-Host is used in place of Host.",
    _SERVICE,
    shown="none",
)
DATA_ROOTS: Variable[tuple[Path, ...]] = Variable(
    "TOPGRAFT_DATA_ROOTS",
    FOLDERS,
    (),
    "Further folders, separated by colons, in which requests may name datasets and models to import.",
    _SERVICE,
    shown="`data/` and `/storage`",
)
WORKER_SECONDS = Variable(
    "TOPGRAFT_WORKER_SECONDS",
    SECONDS,
    60.0,
    "Time without progress after which a worker that handles a prediction is killed and replaced. Loading a model "
    "counts as one step.",
    _SERVICE,
    shown="60",
)
MONITOR = Variable(
    "TOPGRAFT_MONITOR",
    YES_OR_NO,
    False,
    "Record usage statistics of the service, for `topgraft monitor`.",
    _SERVICE,
)
TENSORBOARD = Variable("TOPGRAFT_TENSORBOARD", YES_OR_NO, True, "Start TensorBoard with the first training.", _SERVICE)
TENSORBOARD_HOST = Variable(
    "TOPGRAFT_TENSORBOARD_HOST",
    TEXT,
    "127.0.0.1",
    "Address that TensorBoard listens on; 0.0.0.0 in the Docker image.",
    _SERVICE,
)
TENSORBOARD_PORT = Variable("monitorPORT", PORT, 6006, "Port of TensorBoard; set by the platform.", _SERVICE)
DEEPAAS_MODEL = Variable(
    "DEEPAAS_V2_MODEL",
    TEXT,
    "",
    "Module that `deepaas-run` serves. With `topgraft`, it fails at the start if Topgraft is not installed.",
    _SERVICE,
    shown="every installed module",
)
WORKERS = Variable(
    "OS_DEFAULT__WORKERS",
    TEXT,
    "",
    "Number of workers of `deepaas-run` without `--workers`; 2 in the Docker image.",
    _SERVICE,
    shown="1",
)

STUDIO_PASSWORD = Variable(
    "TOPGRAFT_STUDIO_PASSWORD",
    SECRET,
    "",
    "Password of the [studio](studio.md#other-computers), for other computers.",
    _STUDIO,
    shown="the studio opens by the link that it prints",
    secret=True,
)
STUDIO_MAX_BYTES: Variable[int | None] = Variable(
    "TOPGRAFT_STUDIO_MAX_GB",
    GIGABYTES,
    None,
    "Maximum size of `data/` in gigabytes (2^30 bytes): the studio accepts no photos beyond it.",
    _STUDIO,
    shown="the free space of the disk",
)

PHOTO_SECONDS = Variable(
    "TOPGRAFT_PHOTO_SECONDS",
    SECONDS,
    10.0,
    "Time limit for decoding one photo; the photo then counts as one that cannot be decoded. It is extended, at most "
    "sixfold, while other processes use the processors.",
    _PHOTOS,
    shown="10",
)

MAX_TRAININGS = Variable("TOPGRAFT_MAX_TRAININGS", POSITIVE, 1, "Maximum number of running trainings.", _TRAINING)
MAX_QUEUED: Variable[int | None] = Variable(
    "TOPGRAFT_MAX_QUEUED",
    WHOLE_NUMBER,
    None,
    "Maximum number of queued trainings. In the service, each queued training occupies a worker.",
    _TRAINING,
    shown="0 in the service, unlimited on the command line",
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
RSHARE = (
    Variable(
        "RCLONE_CONFIG_RSHARE_TYPE",
        TEXT,
        "",
        "Type of the remote `rshare:`, such as `webdav`. `RCLONE_CONFIG_<REMOTE>_<OPTION>` configures other remotes.",
        _STORAGE,
    ),
    Variable("RCLONE_CONFIG_RSHARE_VENDOR", TEXT, "", "Vendor of `rshare:`, such as `nextcloud`.", _STORAGE),
    Variable("RCLONE_CONFIG_RSHARE_URL", TEXT, "", "Address of `rshare:`.", _STORAGE),
    Variable("RCLONE_CONFIG_RSHARE_USER", SECRET, "", "User of `rshare:`.", _STORAGE, secret=True),
    Variable(
        "RCLONE_CONFIG_RSHARE_PASS",
        SECRET,
        "",
        "Password of `rshare:`, encoded by `rclone obscure -`.",
        _STORAGE,
        secret=True,
    ),
)

AWS_ENDPOINT = Variable(
    "AWS_ENDPOINT_URL_S3",
    WEB_ADDRESS,
    "",
    "Address of an S3 server for `topgraft featurize`, http:// or https://. Credentials come from the variables, files "
    "and roles of AWS.",
    _STORAGE,
    shown="Amazon S3",
)
AWS_REGION = Variable(
    "AWS_REGION", TEXT, "", "Region of the buckets of `topgraft featurize`.", _STORAGE, shown="settings of AWS"
)

AWS_CHECKSUMS = Variable(
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    TEXT,
    "",
    "When uploads of `topgraft featurize` carry a checksum of S3: `when_required` or `when_supported`.",
    _STORAGE,
    shown="when_required",
)

JAVA_HOME = Variable(
    "JAVA_HOME",
    TEXT,
    "",
    "Folder of Java for `topgraft featurize --engine spark`.",
    _PLATFORM,
    shown="java on the PATH",
)

MLFLOW_URI = Variable(
    "MLFLOW_TRACKING_URI",
    TEXT,
    "",
    "Address of the MLflow server to log trainings to, http:// or https://; other addresses are refused.",
    _MLFLOW,
    shown="nothing is logged",
)
MLFLOW_USER = Variable(
    "MLFLOW_TRACKING_USERNAME",
    SECRET,
    "",
    "User name on the MLflow server; may also be part of its address.",
    _MLFLOW,
    secret=True,
)
MLFLOW_PASSWORD = Variable(
    "MLFLOW_TRACKING_PASSWORD", SECRET, "", "Password of the user on the MLflow server.", _MLFLOW, secret=True
)
MLFLOW_TOKEN = Variable(
    "MLFLOW_TRACKING_TOKEN",
    SECRET,
    "",
    "Access token of the MLflow server, instead of user name and password.",
    _MLFLOW,
    secret=True,
)
MLFLOW_EXPERIMENT = Variable(
    "MLFLOW_EXPERIMENT_NAME", TEXT, "topgraft", "Name of the experiment, and of the registered model.", _MLFLOW
)
MLFLOW_SECONDS = Variable(
    "TOPGRAFT_MLFLOW_SECONDS", SECONDS, 60.0, "Time limit for logging one training.", _MLFLOW, shown="60"
)
MLFLOW_RUN = Variable(
    "MLFLOW_RUN", TEXT, "", "MLflow run recorded in a child module as provenance.", _MLFLOW, shown="run of the training"
)

LABEL_STUDIO_API_KEY = Variable(
    "LABEL_STUDIO_API_KEY",
    SECRET,
    "",
    "Access token of the Label Studio server of `topgraft import-labels --url` and `topgraft suggest-labels`.",
    _LABELS,
    secret=True,
)

NOMAD_JOB = Variable(
    "TOPGRAFT_NOMAD_JOB",
    TEXT,
    "",
    "Nomad job recorded in a child module as provenance.",
    _PLATFORM,
    shown="job of the training",
)
NOMAD_JOB_ID = Variable("NOMAD_JOB_ID", TEXT, "", "Nomad job; recorded in models trained in it.", _PLATFORM)
NOMAD_ALLOC_ID = Variable("NOMAD_ALLOC_ID", TEXT, "", "Nomad allocation; recorded in models trained in it.", _PLATFORM)
NOMAD_CPU_CORES: Variable[int | None] = Variable(
    "NOMAD_CPU_CORES",
    CORES,
    None,
    "Processors allocated by the platform: a number, or a list such as 0-3,7.",
    _PLATFORM,
)
NOMAD_MEMORY: Variable[int | None] = Variable(
    "NOMAD_MEMORY_LIMIT", MEGABYTES, None, "Memory allocated by the platform, in megabytes.", _PLATFORM
)
CUDA_DEVICES = Variable("CUDA_VISIBLE_DEVICES", TEXT, "", "GPUs to use.", _PLATFORM, shown="all")
BLAS_THREADS = (
    Variable(
        "OMP_NUM_THREADS",
        TEXT,
        "",
        "Number of OpenMP threads of NumPy and scikit-learn.",
        _PLATFORM,
        shown="1",
    ),
    Variable(
        "OPENBLAS_NUM_THREADS",
        TEXT,
        "",
        "Number of threads of the linear algebra of NumPy.",
        _PLATFORM,
        shown="1",
    ),
)
ORT_DISABLE_TELEMETRY = Variable(
    "ORT_DISABLE_TELEMETRY",
    TEXT,
    "",
    "1 disables the usage data that ONNX Runtime sends to Microsoft.",
    _PLATFORM,
    shown="1",
)
TENSORFLOW_LOG_LEVEL = Variable(
    "TF_CPP_MIN_LOG_LEVEL", TEXT, "", "Minimum level of TensorFlow's own log.", _PLATFORM, shown="3 on the command line"
)

VARIABLES: tuple[Variable[Any], ...] = (
    *(HOME, CACHE, BACKBONES_FOLDER, KERAS_HOME),
    *(MODELS_IN_MEMORY, WORKER_THREADS, MAX_UPLOAD, ALLOW_PRIVATE_URLS, URL_PORTS, SERVICE_URL, PAGE_URL),
    *(ALLOWED_HOSTS, TRUSTED_PROXIES, DATA_ROOTS, WORKER_SECONDS, MONITOR),
    *(TENSORBOARD, TENSORBOARD_HOST, TENSORBOARD_PORT, DEEPAAS_MODEL, WORKERS),
    *(STUDIO_PASSWORD, STUDIO_MAX_BYTES),
    PHOTO_SECONDS,
    *(MAX_TRAININGS, MAX_QUEUED),
    *(STORAGE_SECONDS, RCLONE_CONFIG, *RSHARE, AWS_ENDPOINT, AWS_REGION, AWS_CHECKSUMS),
    *(MLFLOW_URI, MLFLOW_USER, MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_EXPERIMENT, MLFLOW_SECONDS, MLFLOW_RUN),
    LABEL_STUDIO_API_KEY,
    *(NOMAD_JOB, NOMAD_JOB_ID, NOMAD_ALLOC_ID, NOMAD_CPU_CORES, NOMAD_MEMORY),
    *(CUDA_DEVICES, *BLAS_THREADS, JAVA_HOME, ORT_DISABLE_TELEMETRY, TENSORFLOW_LOG_LEVEL),
)
"""All variables, by section."""
