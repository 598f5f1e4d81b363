"""The work of `topgraft studio`: its server, and the DEEPaaS service as a child process."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator

from model.process_environment import named_variables
from model.processes import python_environment, start_child
from model.runs.auto_resume import resume_interrupted
from model.studio.access import Access
from model.studio.exposure import Exposure
from model.studio.preparation import prepare
from model.studio.server import advice_if_taken, make_app, run
from model.supervisor import Address
from model.workspace import Workspace

SERVICE_LOG = "service.log"
"""Output of the service, in the folder of the studio; replaced at each start."""

PORTS_TO_SERVICE = 100
"""From the port of the studio to that of its service, if it is free: programs that use the service stay valid."""

SECONDS_FOR_THREADS = 3.0
"""How long the studio waits for its own work when it is stopped."""

_SECONDS_TO_STOP = 10.0
# The main function of the command, without its path: the environment may not be activated.
_COMMAND = (sys.executable, "-c", "import sys; from model.cli import main; sys.exit(main())")

log = logging.getLogger(__name__)


def start(
    workspace: Workspace, exposure: Exposure, password: str, open_browser: bool, show: Callable[[str], None]
) -> None:
    """Run the studio until the process receives SIGINT or SIGTERM.

    Args:
        show: called with the address, which contains a one-time token, once the studio can be opened.

    Raises:
        ConfigError: it may not or cannot listen on its address.
    """
    exposure.check()
    address = Address(exposure.host, exposure.port, "/")
    address.check_free(advice_if_taken(exposure))
    for folder in (workspace.data, workspace.studio):
        folder.mkdir(parents=True, exist_ok=True)
    access = Access(workspace, exposure.port, password)

    def announce() -> None:
        # Behind the #, browsers send it to no server: it is in no log.
        link = f"{address.url}#token={access.new_token()}"
        show(link)
        if open_browser and _has_browser():
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    with _running_service(workspace, exposure.port + PORTS_TO_SERVICE) as service:
        resume_interrupted(workspace)
        prepare(workspace)
        run(make_app(workspace, exposure, access, service), exposure, announce)
    leave()


def leave(seconds: float = SECONDS_FOR_THREADS) -> None:
    """End this process if work in threads, such as the check of many photos, does not end within `seconds`.

    Python would wait for it. What it leaves is what a killed studio leaves: the next one continues.
    """
    deadline = time.monotonic() + seconds
    working = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in working:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in working):
        log.info("work in the studio was interrupted; its next start continues it")
        logging.shutdown()
        os._exit(0)


@contextlib.contextmanager
def _running_service(workspace: Workspace, preferred: int) -> Iterator[str]:
    """Address of the DEEPaaS service of this workspace, which ends with the block or this process.

    Args:
        preferred: its port, if it is free.
    """
    port = free_port(preferred)
    command = [*_COMMAND, "--workspace", str(workspace.root), "serve", "--port", str(port)]
    # Its own session: Ctrl-C in the terminal is for the studio, which then stops it.
    with open(workspace.studio / SERVICE_LOG, "wb") as output:
        child = start_child(
            command,
            number=signal.SIGTERM,
            env=python_environment(),
            start_new_session=True,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_SECONDS_TO_STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def free_port(preferred: int) -> int:
    """A port of this computer that is free: the preferred one, or else any."""
    with contextlib.suppress(OSError, OverflowError), socket.create_server(("127.0.0.1", preferred)):
        return preferred
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _has_browser() -> bool:
    """Whether there is a graphical browser; a text browser would occupy the terminal."""
    return bool(named_variables(("DISPLAY", "WAYLAND_DISPLAY")))
