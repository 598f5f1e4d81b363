"""Requests that are too long, half sent, or under the name of another site; each is refused or made room for."""

import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

_AS_FILE = '; filename="a"'
_GZIP = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
_JSON, _FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
_MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}


def _field(name: str, content: bytes, more: str = "") -> bytes:
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def _long_json(**values: Any) -> bytes:
    return json.dumps(values).encode()


REQUESTS: dict[str, tuple[str, Callable[[], bytes], dict[str, str], set[int]]] = {
    "choice of 62 MB": ("train", lambda: _long_json(backbone="x" * 62_000_000), _JSON, {413}),
    "choice just within the limit": ("train", lambda: _long_json(backbone="x" * 1_000_000), _JSON, {422}),
    "text just within the limit": ("train", lambda: _long_json(dataset="x" * 1_000_000), _JSON, {422}),
    "form of 62 MB": ("train", lambda: b"backbone=" + b"x" * 62_000_000, _FORM, {413}),
    "multipart of 62 MB": ("train", lambda: _field("backbone", b"x" * 62_000_000) + b"--xx--", _MULTIPART, {413}),
    "multipart text within the limit": (
        "train",
        lambda: _field("name", b"x" * 900_000) + b"--xx--",
        _MULTIPART,
        {422},
    ),
    "multipart of many files": (
        "train",
        lambda: _field("a", b"x", _AS_FILE) * 9_000 + b"--xx--",
        _MULTIPART,
        {400},
    ),
    "gzip bomb": (
        "train",
        lambda: gzip.compress(_long_json(backbone="x" * 200_000_000)),
        _GZIP,
        {413},
    ),
    "many keys": ("train", lambda: _long_json(**{f"key{n}": n for n in range(40_000)}), _JSON, {400}),
    "many fields": ("train", lambda: b"&".join(b"a%d=1" % n for n in range(90_000)), _FORM, {413}),
    "long list": ("train", lambda: _long_json(backbone=["x"] * 100_000), _JSON, {400}),
    "list just within the limit": ("train", lambda: _long_json(backbone=["x" * 80] * 9_000), _JSON, {422}),
    "deep": ("train", lambda: b"[" * 500_000, _JSON, {400}),
    "deep within the limit": ("train", lambda: b'{"a":' * 9_000 + b"1" + b"}" * 9_000, _JSON, {400}),
    "digits": ("train", lambda: b'{"epochs": ' + b"1" * 1_000_000 + b"}", _JSON, {400}),
    "large number": ("train", lambda: b'{"epochs": 1' + b"0" * 4_000 + b"}", _JSON, {422}),
    "exponent": ("train", lambda: b'{"learning_rate": 1e999999999}', _JSON, {422}),
    "predict: model of 62 MB": ("predict", lambda: _long_json(model="x" * 62_000_000), _JSON, {422}),
    "predict: url of 62 MB": ("predict", lambda: _long_json(url="x" * 62_000_000), _JSON, {400}),
    "predict: form of 62 MB": ("predict", lambda: b"explain_class=" + b"x" * 62_000_000, _FORM, {422}),
    "predict: escapes": ("predict", lambda: b"url=" + b"%41" * 20_000_000, _FORM, {400}),
    "predict: multipart of 200 MB": (
        "predict",
        lambda: _field("url", b"x" * 200_000_000) + b"--xx--",
        _MULTIPART,
        {413},
    ),
    "predict: many keys": ("predict", lambda: b"[" + b"{}," * 9_000_000 + b"{}]", _JSON, {400}),
    "predict: many fields": ("predict", lambda: b"a=&" * 20_000_000, _FORM, {413}),
    "predict: many parts": ("predict", lambda: _field("a", b"") * 100_000 + b"--xx--", _MULTIPART, {400}),
    "other route": ("", lambda: b"x" * 62_000_000, _JSON, {405, 413}),
}
"""Name -> route, function that makes the body, headers, expected statuses."""


_PREDICT = b"POST /v2/models/topgraft/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_UPLOAD = _PREDICT + b"Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 9000000\r\n\r\n"
_FILE = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + b"x" * 3_000_000
HALVES = {
    "nothing": b"",
    "heads": b"GET / HTTP/1.1\r\nHost: 127",
    "bodies": _UPLOAD,
    "files": _UPLOAD + _FILE,
    "texts": _PREDICT + b"Content-Type: application/json\r\nContent-Length: 60000000\r\n\r\n" + b"x" * 3_000_000,
    "answered": b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
"""Name -> what a client sends before it stops."""

JOB = "0a1b2c3d-0000-1111-2222-333344445555"
MACHINE = socket.gethostname().lower()
OWN_HOSTS = (
    "127.0.0.1:5000", "127.0.0.1", "192.168.1.7:5000", "[::1]:5000", "[fe80::1%25eth0]", "8.8.8.8", "localhost:5000",
    "LOCALHOST", "localhost.", "app.localhost:80", "host.docker.internal:5000", MACHINE, "lab.example:5000",
)  # fmt: skip
FOREIGN_HOSTS = (
    "evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "evil", "2130706433",
    "0x7f.1", "127.1", "a@localhost", "localhost:5000:80", "localhost/x", "", " ", "[::1", "::1", "localhost:port",
    "localhost\tevil", f"api-{JOB}.evil.example", f"{MACHINE}.evil.example", "notlocalhost", "xn--e1afmkfd.example",
)  # fmt: skip


@contextlib.contextmanager
def half_sent(port: int, sent: bytes, count: int = 90) -> Iterator[None]:
    """Keep so many connections open that have sent `sent` and then nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            client.settimeout(2)
            with contextlib.suppress(OSError):  # closed by the server, to make room
                client.sendall(sent)
        yield
