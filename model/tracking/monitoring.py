"""TensorBoard as a child process of the server, to monitor running trainings."""

import importlib.util
import logging
import socket
import subprocess
import sys
from pathlib import Path

from model.environment import TENSORBOARD_HOST, TENSORBOARD_PORT
from model.processes import start_child
from model.reading import with_path
from model.supervisor import Address

log = logging.getLogger(__name__)

_NICENESS = 15
# With a module named `notf` TensorBoard runs without TensorFlow: a tenth of a gigabyte instead of two thirds.
_TENSORBOARD = """
import sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.main import run_main
run_main()
"""


def start_tensorboard(models: Path) -> "subprocess.Popen[bytes] | None":
    """Start TensorBoard for the folder of models; return None and log the reason if it cannot start.

    It listens on the port `monitorPORT` (default 6006) of the address TOPGRAFT_TENSORBOARD_HOST (default
    127.0.0.1). If the port is in use, most likely by the TensorBoard of another worker, nothing is started.
    TensorBoard ends with this process. Call this function from the main thread: the kernel ends TensorBoard when the
    calling thread ends.
    """
    host, port = TENSORBOARD_HOST.read(), TENSORBOARD_PORT.read()
    if importlib.util.find_spec("tensorboard") is None:
        log.warning("TensorBoard is not started: the package tensorboard is not installed")
        return None
    if problem := _why_not_free(host, port):
        log.info("TensorBoard is not started: port %s of %s: %s", port, host, problem)
        return None
    log.info("starting TensorBoard on %s", Address(host, port, "/").url)
    options = ["--logdir", str(models), "--host", host, "--port", str(port)]
    command = [sys.executable, "-c", _TENSORBOARD, *options]
    return start_child(command, _NICENESS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tensorboard_url(models: Path) -> str | None:
    """URL of the TensorBoard that a worker of this machine has started for the folder of models; None if none runs.

    Takes a millisecond: TensorBoard records each of its processes in the temporary folder, and creates a folder for it.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return None
    import psutil
    from tensorboard import manager

    try:
        recorded = manager.get_all()
    except OSError as error:
        log.debug("the addresses of TensorBoard cannot be read: %s", with_path(error))
        return None
    ports = [one.port for one in recorded if one.logdir == str(models) and psutil.pid_exists(one.pid)]
    return Address(TENSORBOARD_HOST.read(), ports[-1], "/").url if ports else None


def _why_not_free(host: str, port: int) -> OSError | None:
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
