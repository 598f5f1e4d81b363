"""TCP ports of this machine."""

import contextlib
import socket


def free_port() -> int:
    """A port of the loopback interface that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether a process accepts connections to a port of the loopback interface."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
