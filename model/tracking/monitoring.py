"""TensorBoard beside the server, to follow trainings while they run."""

import importlib.util
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

log = logging.getLogger(__name__)

DEFAULT_PORT = 6006
# Spelled so by the platform.
PORT_VARIABLE = "monitorPORT"

# Runs in the child: dies with its parent, however that ends, gives way to it, and is TensorBoard.
# With a module of the name `notf` it does without TensorFlow: a tenth of a gigabyte instead of two thirds.
_LAUNCHER = """
import ctypes, os, signal, sys, types
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("the server is gone already")
os.nice(15)
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.main import run_main
run_main()
"""


def start_tensorboard(models: Path) -> "subprocess.Popen[bytes] | None":
    """Start TensorBoard for the folder of models; None, and a line in the log, where that cannot be.

    It listens on the port `monitorPORT` (default 6006) of the address TOPGRAFT_TENSORBOARD_HOST (default
    127.0.0.1). A busy port is left alone: most likely it is the TensorBoard of another worker.
    It dies with this process. Call it from the main thread: the kernel takes the end of the calling
    thread for the parent's.
    """
    host = os.environ.get("TOPGRAFT_TENSORBOARD_HOST") or "127.0.0.1"
    port = os.environ.get(PORT_VARIABLE) or str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        log.warning("TensorBoard is not started: monitorPORT: expected a port, received %r", port)
        return None
    if importlib.util.find_spec("tensorboard") is None:
        log.warning("TensorBoard is not started: the package tensorboard is not installed")
        return None
    if problem := _why_not_free(host, int(port)):
        log.info("TensorBoard is not started: port %s of %s: %s", port, host, problem)
        return None
    log.info("starting TensorBoard on http://%s:%s", host, port)
    options = ["--logdir", str(models), "--host", host, "--port", port]
    return subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(os.getpid()), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _why_not_free(host: str, port: int) -> OSError | None:
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
