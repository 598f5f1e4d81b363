"""Mounts that let pip in a container find packages as pip on this machine does."""

import ast
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def pip_mounts() -> list[str]:
    """Options of buildah for the configuration of pip here; see `volumes`."""
    pip = [sys.executable, "-m", "pip", "config"]
    report = subprocess.run([*pip, "debug"], capture_output=True, text=True, check=True).stdout
    listed = subprocess.run([*pip, "list"], capture_output=True, text=True, check=True).stdout
    certificates = ssl.get_default_verify_paths().cafile
    mounts = volumes(report, listed, Path(certificates) if certificates else None)
    return [word for target, source in mounts.items() for word in ("--volume", f"{source}:{target}:ro")]


def volumes(report: str, listed: str, certificates: Path | None) -> dict[str, Path]:
    """Files and folders that pip needs, by their paths in the container; each path occurs once.

    Args:
        report: output of `pip config debug`, which names the configuration files.
        listed: output of `pip config list`, whose values name files and folders.
        certificates: certificates of this machine, which replace those of the container.
    """
    configurations = map(Path, re.findall(r"^\s*(/.+), exists: True$", report, re.M))
    named = [path for path in _named_paths(listed) if path.exists()]
    # `simple` of a local index holds links to its neighbours.
    inside = [path.parent if path.name == "simple" else path for path in named]
    found = {str(path): path for path in (*configurations, *inside)}
    if certificates is not None and certificates.is_file():
        found[CERTIFICATES] = certificates
    return found


def _named_paths(listed: str) -> Iterator[Path]:
    """Absolute paths, file: URLs and paths below ~ in the values of `pip config list`."""
    for line in listed.splitlines():
        _, _, value = line.partition("=")
        for word in str(ast.literal_eval(value)).split():
            path = unquote(urlsplit(word).path) if word.startswith("file:") else word
            if path.startswith(("/", "~")):
                yield Path(path).expanduser()
