"""What a process of the server remembers from one request to the next; nothing else in `api` has a memory."""

import logging
import multiprocessing
import subprocess

from api.still_wanted import StillWanted
from api.usage import Usage, UsageReader
from model import environment
from model.registry import Registry
from model.serving.model_cache import ModelCache
from model.workspace import Workspace

log = logging.getLogger(__name__)


class Monitor:
    """The TensorBoard that this process has started, if any."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self, workspace: Workspace) -> None:
        """Start TensorBoard unless it runs, is switched off, or this is a batch job where nobody would look."""
        is_server = multiprocessing.parent_process() is not None
        runs = self._process is not None and self._process.poll() is None
        if runs or not is_server or not environment.tensorboard_wanted():
            return
        from model.tracking.monitoring import start_tensorboard

        self._process = start_tensorboard(workspace.models)


class AutoResume:
    """Goes on with the trainings that the end of the service before this one interrupted, if they have the option."""

    def __init__(self) -> None:
        self._started = False

    def start(self, workspace: Workspace) -> None:
        """Look for them beside all else, once, in a worker of the server."""
        if self._started or multiprocessing.parent_process() is None:
            return
        from model.runs.auto_resume import go_on_with_interrupted

        self._started = True
        go_on_with_interrupted(workspace)


AUTO_RESUME = AutoResume()
REGISTRY = Registry()
MODEL_CACHE = ModelCache(REGISTRY)
MONITOR = Monitor()
USAGE = Usage()
USAGE_READER = UsageReader()
WANTED = StillWanted()


def configure_logging() -> None:
    """Let INFO of our own code through in a worker, where DEEPaaS configures nothing."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    for name in ("api", "model"):
        logging.getLogger(name).setLevel(logging.INFO)
