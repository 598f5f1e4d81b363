"""What the operator of a server sets by environment variables; read at each call, empty means unset."""

import logging
import math
import os

from model.resources import available_processors

log = logging.getLogger(__name__)

WEB_PORTS = frozenset((80, 443))

_NO = {"", "0", "false", "no", "off"}


def max_upload_bytes() -> int:
    """Largest upload, or answer of a URL, in bytes: TOPGRAFT_MAX_UPLOAD_MB megabytes (2**20), by default 512."""
    return _positive_integer("TOPGRAFT_MAX_UPLOAD_MB", 512) << 20


def models_in_memory() -> int:
    """How many trained models each worker keeps loaded: TOPGRAFT_MODELS_IN_MEMORY, by default 2."""
    return _positive_integer("TOPGRAFT_MODELS_IN_MEMORY", 2)


def threads(workers: int) -> int:
    """How many threads decode, and compute a batch, in each worker: TOPGRAFT_THREADS, by default all processors.

    `share` gives each of the workers its part of the processors, rounded up; a number is bounded by the processors.

    Args:
        workers: of this service.
    """
    most = available_processors()
    text = os.environ.get("TOPGRAFT_THREADS", "").strip().lower()
    if text == "share":
        return math.ceil(most / workers)
    if text.isdecimal() and int(text) > 0:
        return min(int(text), most)
    if text not in ("", "all"):
        log.warning("TOPGRAFT_THREADS: expected all, share or a number above 0, received %r; using all", text)
    # Whoever is alone in asking is answered soonest so; workers that compute at the same time share by turns.
    return most


def url_ports() -> frozenset[int]:
    """The ports that a URL may name: TOPGRAFT_URL_PORTS, separated by commas, by default 80 and 443."""
    text = os.environ.get("TOPGRAFT_URL_PORTS", "").strip()
    if not text:
        return WEB_PORTS
    ports = [port.strip() for port in text.split(",")]
    if all(port.isdecimal() and 0 < int(port) < 1 << 16 for port in ports):
        return frozenset(map(int, ports))
    log.warning("TOPGRAFT_URL_PORTS: expected numbers such as 80,443,8443, received %r; using 80 and 443", text)
    return WEB_PORTS


def private_urls_allowed() -> bool:
    """Whether a URL may lead to a private address: TOPGRAFT_ALLOW_PRIVATE_URLS, by default not."""
    return os.environ.get("TOPGRAFT_ALLOW_PRIVATE_URLS", "").lower() not in _NO


def tensorboard_wanted() -> bool:
    """Whether TensorBoard is started with the first training: TOPGRAFT_TENSORBOARD, by default yes."""
    return (os.environ.get("TOPGRAFT_TENSORBOARD") or "1").lower() not in _NO


def monitor_wanted() -> bool:
    """Whether answers are counted: TOPGRAFT_MONITOR, by default not."""
    return os.environ.get("TOPGRAFT_MONITOR", "").lower() not in _NO


def _positive_integer(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if text:
        log.warning("%s: expected a whole number above 0, received %r; using %d", variable, text, default)
    return default
