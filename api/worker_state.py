"""State that a worker process of the server keeps between requests; no other file in `api` keeps any."""

import logging
import multiprocessing
import subprocess

from api.cancellation import Cancellation
from api.usage import Usage, UsageReader
from model import environment
from model.logs import protect_logs
from model.registry import Registry
from model.serving.model_cache import ModelCache
from model.workspace import Workspace

log = logging.getLogger(__name__)


def is_server() -> bool:
    """Whether this process is a worker of the service, and not a batch job (`deepaas-cli`)."""
    return multiprocessing.parent_process() is not None


class Monitor:
    """The TensorBoard process started by this process, if any."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self, workspace: Workspace) -> None:
        """Start TensorBoard unless it is running or disabled; a batch job (`deepaas-cli`) never starts it."""
        runs = self._process is not None and self._process.poll() is None
        if runs or not is_server() or not environment.TENSORBOARD.read():
            return
        from model.tracking.monitoring import start_tensorboard

        self._process = start_tensorboard(workspace.models)

    def url(self, workspace: Workspace) -> str | None:
        """URL of TensorBoard if any worker of this machine runs it."""
        if not environment.TENSORBOARD.read():
            return None
        from model.tracking.monitoring import tensorboard_url

        return tensorboard_url(workspace.models)


class AutoResume:
    """Resumes trainings with the option `auto_resume` that were interrupted when the service ended."""

    def __init__(self) -> None:
        self._started = False

    def start(self, workspace: Workspace) -> None:
        """Start resuming in the background, once per worker process of a server."""
        if self._started or not is_server():
            return
        from model.runs.auto_resume import resume_interrupted

        self._started = True
        resume_interrupted(workspace)


AUTO_RESUME = AutoResume()
REGISTRY = Registry()
MODEL_CACHE = ModelCache(REGISTRY)
MONITOR = Monitor()
USAGE = Usage()
USAGE_READER = UsageReader()
CANCELLATION = Cancellation()


def configure_logging() -> None:
    """Log messages of Topgraft from level INFO on; DEEPaaS configures no logging in worker processes."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    protect_logs()
    for name in ("api", "model"):
        logging.getLogger(name).setLevel(logging.INFO)
