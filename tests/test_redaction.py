"""The signature of a pre-signed URL appears in no error and no log, whatever fails."""

import io
import logging
import urllib.parse
from pathlib import Path

import pytest

from api.fetch import FetchLimits, fetch
from model.errors import FetchError, StorageError, TopgraftError
from model.logs import ProtectingFilter
from model.storage import failures
from model.storage.download import download
from model.storage.failures import failure
from tests.support.http_server import Answer, serving
from tests.support.ports import free_port

SECRET = "c2lnbmF0dXJl"
QUERY = f"?X-Amz-Signature={SECRET}"
ANSWERS = {
    f"/missing{QUERY}": Answer(404),
    f"/refused{QUERY}": Answer(401),
    f"/busy{QUERY}": Answer(503),
    f"/loop{QUERY}": Answer(302, location=f"/loop{QUERY}"),
    f"/away{QUERY}": Answer(302, location=f"http://example.invalid/x{QUERY}"),
    f"/invalid{QUERY}": Answer(302, location=f"http://[x{QUERY}"),
    f"/page{QUERY}": Answer(200, b"page"),
}
FAILING = (
    *(f"{{server}}{path}" for path in ANSWERS),
    f"http://127.0.0.1:{{closed}}/x{QUERY}",
    f"https://127.0.0.1:{{closed}}/x{QUERY}",
    f"https://{{address}}/x{QUERY}",
    f"ftp://127.0.0.1/x{QUERY}",
    f"http://127.0.0.1:port/x{QUERY}",
    f"http://[::1/x{QUERY}",
    f"http://user:{SECRET}@127.0.0.1/x",
    f"http://user:pa/{SECRET}@127.0.0.1/x",
    f"http://\u2100{QUERY}/x",
    f"http://127.0.0.1/a b{QUERY}",
    f"http://127.0.0.1\\x{QUERY}",
    f"127.0.0.1/x{QUERY}",
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.0,))


@pytest.mark.parametrize("url", FAILING, ids=lambda url: url.partition(SECRET)[0])
def test_a_failed_download_does_not_show_the_query(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(ANSWERS) as server:
        address = urllib.parse.urlsplit(server.address)
        url = url.replace("{server}", server.address.rstrip("/")).replace("{address}", address.netloc)
        url = url.replace("{closed}", str(free_port()))
        with pytest.raises(TopgraftError) as by_command:
            download(url, tmp_path / "file", sha256="0" * 64)
        stream = io.BytesIO()
        ports = range(1 << 16)
        with pytest.raises(TopgraftError) as by_service:
            fetch(url, stream, FetchLimits(3, seconds=5, private=True, ports=ports))
    for text in (by_command.value.message, by_service.value.message, caplog.text):
        assert SECRET not in text, text


@pytest.mark.parametrize(
    "message",
    [
        f"Get https://user:{SECRET}@host/a{QUERY}: dial tcp: connection refused",
        f"HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /a{QUERY} (Caused by x)",
        f'Put "http://host/a{QUERY}": EOF',
    ],
)
def test_an_error_of_remote_storage_does_not_show_the_query(message: str) -> None:
    error = failure("fetch rshare:a", [message])
    assert isinstance(error, StorageError)
    assert SECRET not in error.message


def test_logs_of_all_libraries_and_their_tracebacks_are_redacted() -> None:
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.addFilter(ProtectingFilter())
    logger = logging.getLogger("some.library")
    logger.addHandler(handler)
    try:
        line = f"POST /v2/models/topgraft/predict/?url=https%3A%2F%2Fhost%2Fx%3Fsig%3D{SECRET} HTTP/1.1"
        logger.error('%s "%s" %d', "127.0.0.1", line, 400)
        logger.error("retrying %r", f"/a{QUERY}")
        try:
            raise ValueError(f"cannot open https://host/a{QUERY}")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    assert SECRET not in output.getvalue()
    assert "predict/ HTTP/1.1" in output.getvalue()
    assert "Traceback" in output.getvalue()


def test_every_hop_to_http_is_refused_before_it_is_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Plain http is accepted from this machine only: here it stands for https.
    monkeypatch.setattr("model.storage.download.is_this_machine", lambda host: host == "127.0.0.1")
    with serving({}) as insecure:
        port = urllib.parse.urlsplit(insecure.address).port
        hop = Answer(302, location=f"http://localhost:{port}/back")
        with serving({"/a": Answer(302, location="/b"), "/b": hop}) as server, pytest.raises(FetchError) as error:
            download(f"{server.address.rstrip('/')}/a", tmp_path / "file")
        assert "expected https" in error.value.message
        assert insecure.seen == []


@pytest.mark.parametrize("location", ["http://host/b", "HTTP://host/b", "http:/b", "//host:80/b", "http://[", "/b"])
def test_a_photo_by_https_is_not_redirected_to_http(location: str) -> None:
    from api.fetch import _redirected

    if location.startswith("/"):
        assert _redirected("https://host/a", location).startswith("https://")
    else:
        with pytest.raises(FetchError):
            _redirected("https://host/a", location)
    if location != "http://[":
        assert _redirected("http://host/a", location)
