"""Run every URL of `url_tricks.py` and check the status, the message and the connections made."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import uploads
from api.errors import ApiError, as_http_errors
from api.fetch import FetchLimits
from model.dataset.images import decode_image
from model.environment import WEB_PORTS
from model.results import InputSpec
from tests.api.url_tricks import GROUPS, TRICKS, Trick
from tests.support.strange_servers import PUBLIC, Forbidden, Network, Stranger, listening

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def forbidden() -> Iterator[Forbidden]:
    server = Forbidden()
    with server.listening():
        yield server


@pytest.fixture(scope="module")
def stranger(forbidden: Forbidden) -> Stranger:
    return Stranger(forbidden.port)


@pytest.fixture(scope="module")
def public_port(stranger: Stranger) -> Iterator[int]:
    with listening("127.0.0.1", 0, stranger.take) as port:
        yield port


@pytest.fixture
def network(public_port: int, forbidden: Forbidden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The process under test: its names, its proxies, its temporary folder."""
    network = Network(public_port)
    network.install(monkeypatch)
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{forbidden.port}")
        monkeypatch.setenv(variable.upper(), f"http://127.0.0.1:{forbidden.port}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return network


def _play(
    trick: Trick, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch, private: bool = False
) -> ApiError | None:
    """Fetch and decode as predict does; the error that is the answer."""
    # The port of the forbidden server is allowed, so that the address alone stands in the way.
    limits = FetchLimits(1 << 20, seconds=0.5, private=private, ports=WEB_PORTS | {forbidden.port})
    monkeypatch.setattr(uploads, "_fetch_limits", lambda: limits)
    try:
        with as_http_errors(), uploads.open_photos(None, trick.url.replace("{port}", str(forbidden.port))) as photos:
            contents = [content for _, content in photos.images]
            if photos.single is not None:
                decode_image(contents[0], InputSpec.square(8))
    except ApiError as error:
        return error
    return None


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_a_trick_gets_its_expected_answer(
    trick: Trick, forbidden: Forbidden, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forbidden.connections()
    network.tried.clear()
    error = _play(trick, forbidden, monkeypatch)
    assert set(network.tried) <= {PUBLIC}
    assert (200 if error is None else error.status, trick.message in str(error or "")) == (trick.status, True), error
    assert str(error or "").isprintable()
    assert forbidden.connections() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick.reaches], ids=lambda trick: trick.name)
def test_a_trick_would_succeed_without_the_checks(
    trick: Trick, forbidden: Forbidden, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forbidden.connections()
    _play(trick, forbidden, monkeypatch, private=True)
    assert forbidden.connections() == before + 1


@pytest.mark.usefixtures("network")
def test_a_request_forwards_nothing_of_the_client(
    stranger: Stranger, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    _play(Trick("", "http://public.example/photo.jpg?%0d%0aX-Injected:1\u560d\u560a#fragment"), forbidden, monkeypatch)
    assert stranger.heads[-1].decode("ascii").split("\r\n") == [
        "GET /photo.jpg?%0d%0aX-Injected:1%E5%98%8D%E5%98%8A HTTP/1.1",
        "Host: public.example",
        "User-Agent: topgraft",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
        "",
    ]


def test_the_tricks_are_distinct_and_as_many_as_documented() -> None:
    assert len({trick.url for trick in TRICKS}) == len(TRICKS) >= 60


def test_the_security_page_states_the_number_of_tricks() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    assert f"lists {len(TRICKS)} attempts" in page
    assert [int(count) for count in re.findall(r"^\| [a-zA-Z ]+ \| (\d+) \|", page, re.MULTILINE)] == [
        len(tricks) for tricks in GROUPS.values()
    ]
