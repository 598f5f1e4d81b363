"""The nginx of `docker/nginx.conf`, on free ports of this machine, with a certificate made for it."""

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

SITE = Path(__file__).resolve().parents[2] / "docker" / "nginx.conf"
USER, PASSWORD = "ada", "correct horse"
TOKEN = "0123456789abcdef" * 4


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes:
        root: of what it serves, by https.
        plain: the same by http.
        certificate: to be trusted.
    """

    root: str
    plain: str
    certificate: Path


@contextlib.contextmanager
def running_proxy(directory: Path, upstream_port: int) -> Iterator[Proxy]:
    """Start nginx in front of a server on this machine; requests of more than 2 MB are too large."""
    # Not on the search path of every user.
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    https, http = free_port(), free_port()
    _write_secrets(directory)
    (directory / "site.conf").write_text(_site(directory, upstream_port, https, http))
    (directory / "nginx.conf").write_text(_main(directory))
    log = directory / "error.log"
    process = subprocess.Popen(
        [nginx, "-p", str(directory), "-e", str(log), "-c", str(directory / "nginx.conf")], stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: process.poll() is not None or is_listening(https), seconds=10)
        assert process.poll() is None, log.read_text()
        yield Proxy(f"https://localhost:{https}", f"http://localhost:{http}", directory / "tls.crt")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _write_secrets(directory: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(directory / "tls.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *subject, *key, "-out", str(directory / "tls.crt")],
        check=True,
        capture_output=True,
    )
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True).stdout
    (directory / "passwords").write_text(f"{USER}:{hashed}")
    (directory / "tokens").write_text(f'"Bearer {TOKEN}" off;\n')


def _site(directory: Path, upstream_port: int, https: int, http: int) -> str:
    """The shipped file with other ports, another folder and a lower limit."""
    text = SITE.read_text(encoding="utf-8")
    for shipped, adapted in (
        (r"listen \[::\].*\n", ""),
        (r"listen 443 ssl;", f"listen 127.0.0.1:{https} ssl;"),
        (r"listen 80;", f"listen 127.0.0.1:{http};"),
        (r"(?<= )/etc/topgraft/", f"{directory}/"),
        (r"http://127\.0\.0\.1:5000;", f"http://127.0.0.1:{upstream_port};"),
        (r"client_max_body_size 513m;", "client_max_body_size 2m;"),
    ):
        text, count = re.subn(shipped, adapted, text)
        assert count, shipped
    return text


def _main(directory: Path) -> str:
    """Debian's /etc/nginx/nginx.conf, adapted to this folder."""
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "\n".join(f"    {place}_temp_path {directory / place};" for place in places)
    # The folder of a test can be read by its owner alone.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
daemon off;
worker_processes 1;
pid {directory / "nginx.pid"};
events {{ worker_connections 64; }}
http {{
    access_log off;
{scratch}
    include {directory / "site.conf"};
}}
"""
