"""Environment variables as typed values: the class of a variable, and the kinds of values.

A variable is read when its value is needed. An empty value counts as not set, because the platform sets unused
variables to an empty text. An invalid value is logged once, and the default applies.
"""

import dataclasses
import ipaddress
import logging
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_MEBIBYTE, _GIBIBYTE = 1 << 20, 1 << 30
_HOST = re.compile(r"(https?://)?(?P<name>\*|(\*\.)?[a-z0-9_-][a-z0-9._-]*|\[[0-9a-f:.]+\])(:(?P<port>[0-9]+))?/?")

log = logging.getLogger(__name__)
_logged: set[tuple[str, str]] = set()


@dataclasses.dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A type of value.

    Attributes:
        name: for the documentation.
        expected: description of valid values, for messages.
        parse: from text that is not blank to the value.
    """

    name: str
    expected: str
    parse: Callable[[str], T_co]


@dataclasses.dataclass(frozen=True)
class Variable(Generic[T]):
    """An environment variable.

    Attributes:
        name: name of the variable.
        kind: type of the value.
        default: the value if the variable is not set.
        help: the meaning, for the documentation.
        section: section of the documentation.
        secret: whether the value is hidden in all output.
        shown: the default in words, if it differs from the default as text.
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
        """The default as text; empty without a default."""
        if self.shown or self.default in (None, ""):
            return self.shown
        return {True: "1", False: "0"}[self.default] if isinstance(self.default, bool) else str(self.default)

    @property
    def is_set(self) -> bool:
        """Whether the variable has a value that is not blank."""
        return bool(os.environ.get(self.name, "").strip())

    @property
    def raw(self) -> str:
        """The value as text; empty if the variable is not set. Never show the text of a secret."""
        return os.environ[self.name] if self.is_set else ""

    def read(self) -> T:
        """The parsed value; the default if the variable is not set or, with a warning, invalid."""
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
        """Message about an invalid value; empty if the value is valid or not set."""
        try:
            if self.is_set:
                self.kind.parse(self.raw)
        except ValueError:
            applied = f"the default applies: {self.default_text}" if self.default_text else "it is ignored"
            received = "a hidden value" if self.secret else repr(self.raw)
            return f"{self.name}: expected {self.kind.expected}, received {received}; {applied}."
        return ""


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


def _parse_positive_number(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


def _parse_port(text: str) -> int:
    port = _parse_positive(text)
    if port >= 1 << 16:
        raise ValueError(text)
    return port


def _parse_web_address(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.port == 0:
        raise ValueError(text)
    return text.strip().rstrip("/")


def _parse_threads(text: str) -> int | Literal["all", "share"]:
    word = text.strip().lower()
    if word == "all":
        return "all"
    return "share" if word == "share" else _parse_positive(text)


def _parse_cores(text: str) -> int:
    """Number of cores. A single number is a count, because a single core ID would already limit the CPU affinity."""
    if text.strip().isdecimal():
        return int(text)
    spans = [part.split("-") for part in text.split(",")]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)


class HostPattern(NamedTuple):
    """A host name, `*.DOMAIN` or `*` for any, in lower case; and a port, empty for any."""

    name: str
    port: str


def _parse_hosts(text: str) -> tuple[HostPattern, ...]:
    return tuple(map(_parse_host, text.split(",")))


def _parse_host(text: str) -> HostPattern:
    found = _HOST.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(text)
    return HostPattern(found["name"].removesuffix("."), found["port"] or "")


def _parse_networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(network.strip()) for network in text.split(","))


def _parse_folders(text: str) -> tuple[Path, ...]:
    folders = tuple(map(Path, text.strip().split(os.pathsep)))
    if not all(folder.is_absolute() for folder in folders):
        raise ValueError(text)
    return folders


TEXT = Kind("text", "text", str.strip)
SECRET = Kind("text", "text", str)
PATH = Kind("path", "a path", Path)
YES_OR_NO = Kind("yes or no", "1 or 0 (or true, yes, on, false, no, off)", _parse_yes_or_no)
WHOLE_NUMBER = Kind("whole number", "a whole number from 0", _parse_whole_number)
POSITIVE = Kind("whole number", "a whole number from 1", _parse_positive)
MEGABYTES = Kind("megabytes", "a number of megabytes from 1", lambda text: _parse_positive(text) * _MEBIBYTE)
GIGABYTES = Kind(
    "gigabytes", "a number of gigabytes above 0", lambda text: int(_parse_positive_number(text) * _GIBIBYTE)
)
SECONDS = Kind("seconds", "a number of seconds above 0", _parse_positive_number)
PORT = Kind("port", "a port from 1 to 65535", _parse_port)
PORTS = Kind("ports", "ports such as 80,443,8443", lambda text: frozenset(map(_parse_port, text.split(","))))
HOSTS = Kind("hosts", "host names such as photos.example.org,*.example.org:8443", _parse_hosts)
NETWORKS = Kind("networks", "addresses or networks such as 127.0.0.1,10.0.0.0/8", _parse_networks)
FOLDERS = Kind("folders", "absolute paths separated by colons, such as /data:/mnt/photos", _parse_folders)
THREADS = Kind("threads", "all, share or a whole number from 1", _parse_threads)
WEB_ADDRESS = Kind("URL", "an address such as https://photos.example.org", _parse_web_address)
CORES = Kind("cores", "a number, or a list such as 0-3,7", _parse_cores)


def unset_if_empty(name: str) -> None:
    """Remove a variable that is set to nothing or to blanks: programs other than Topgraft take it for a value."""
    if not os.environ.get(name, "").strip():
        os.environ.pop(name, None)
