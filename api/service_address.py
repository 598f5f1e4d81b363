"""Addresses of the service, as paths for answers and as URLs for the log.

A path is valid behind any proxy that keeps it. TOPGRAFT_SERVICE_URL states the public host name, and a prefix that the
proxy removes.
"""

import os
import sys
from urllib.parse import urlsplit

from model import environment
from model.supervisor import Address

MODULE = "/v2/models/topgraft"


def set_service_url() -> None:
    """Set TOPGRAFT_SERVICE_URL to the address of the server in this process, unless it is set; workers inherit it."""
    server = sys.modules.get("deepaas.cmd.run")
    if server is None or environment.SERVICE_URL.is_set:
        return
    options = server.CONF
    os.environ[environment.SERVICE_URL.name] = Address(options.listen_ip, options.listen_port, options.base_path).url


def report_path(name: str) -> str:
    """Path of the report of a model on the server."""
    return f"{urlsplit(_service_url()).path}{MODULE}/reports/{name}"


def report_url(name: str) -> str:
    """URL of the report of a model."""
    return f"{_service_url()}{MODULE}/reports/{name}"


def _service_url() -> str:
    """Address of the service without a slash at its end."""
    return environment.SERVICE_URL.read().rstrip("/")
