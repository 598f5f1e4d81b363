"""Requests drawn from the server's own description of itself, and the same fields in ways it does not describe.

TOPGRAFT_TEST_REQUESTS sets how many there are; with it they are others each time.
"""

import json
import os
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

COUNT = "TOPGRAFT_TEST_REQUESTS"
REQUESTS = int(os.environ.get(COUNT) or 200)
SECONDS = 10.0
PHOTO = photo()

drawn = settings(
    max_examples=REQUESTS // 2,
    deadline=None,
    derandomize=COUNT not in os.environ,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home, TOPGRAFT_MAX_UPLOAD_MB="1") as running:
        workers = running.process.children()
        yield running
        assert requests.get(f"{running.url}/train/", timeout=SECONDS).ok
        assert running.predict(PHOTO).status_code == 200
        assert running.process.children() == workers, "a worker died"


@pytest.fixture(scope="module")
def description(server: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(requests.get(f"{server.root}/swagger.json", timeout=SECONDS).json())


def _answer(method: str, url: str, **request: Any) -> requests.Response:
    try:
        return requests.request(method, url, timeout=SECONDS, **request)
    except requests.RequestException as error:
        raise AssertionError(f"{error!r} for {method} {url} {request!r:.2000}") from error


def _check(response: requests.Response) -> None:
    """Check that no response is a server error, not even 503, since a model exists."""
    assert response.status_code < 500, (response.status_code, response.text, vars(response.request))
    if response.headers.get("Content-Type", "").startswith("application/json") and response.request.method != "HEAD":
        json.loads(response.content, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_generated_requests_get_a_documented_answer(server: Server, description: schemathesis.BaseSchema) -> None:
    @drawn
    @given(case=description.as_strategy())
    def send(case: schemathesis.Case) -> None:
        _check(requests.request(**case.as_transport_kwargs(base_url=server.root), timeout=SECONDS))

    send()


# Texts that have a meaning somewhere, and any others.
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "0", "1", "-1", "NaN", "1e400", "true", "null", "latest", "small", "*/*", "\x00", "../..", "{}"]
    ),
    st.text(max_size=20),
)
# Only JSON can name halves of surrogate pairs.
HALVES = st.sampled_from(["\ud800", "data:,\ud800", "http://example.org/\udfff.jpg", "small\udce9"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | HALVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BODIES = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([PHOTO, b"[" * 100_000, b'{"top_k": ' + b"1" * 5000 + b"}"]),
    st.binary(max_size=20).map(lambda more: PHOTO[:300] + more),
)
# As clients send it whose names are Latin-1, or any bytes at all.
NO_UTF8 = [b"\xe9t\xe9.jpg", b"\xff", b"\xed\xa0\x80.png", b"a\tb\xe2\x80\xa8.zip"]
RAW_NAMES = st.sampled_from(NO_UTF8) | st.binary(max_size=20)
RAW_FORM = "multipart/form-data; boundary=xx"
CONTENT_TYPES = st.one_of(
    st.sampled_from(
        [
            "application/json",
            "application/json; charset=utf-16",
            "application/json; charset=base64",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/form-data; boundary=xx",
            "text/plain",
            "",
        ]
    ),
    st.text(string.ascii_letters + "/;= ", max_size=30).map(str.strip),
)
PACKINGS = st.sampled_from(["gzip", "deflate", "identity", "nosuch"])
METHODS = st.sampled_from(["POST"] * 6 + ["GET", "DELETE", "PUT", "OPTIONS", "HEAD", "PATCH"])
ACCEPT = st.sampled_from(["application/json", "image/png", "text/csv", "*/*", "text/html", "a, b;q=0", ""])


def _named(name: bytes, content: bytes) -> bytes:
    """A form with one file, of whatever bytes its name is."""
    head = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    return head + content + b"\r\n--xx--\r\n"


def _ways(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields in a query, a form, a file form or JSON, or a body that is none of these."""
    fields = st.dictionaries(st.sampled_from(names) | TEXTS, TEXTS, max_size=2)
    file = st.just(("photo.jpg", PHOTO)) | st.tuples(TEXTS, BODIES)
    files = st.fixed_dictionaries({"image": file}, optional={names[-1]: file, "other": file})
    any_json = st.dictionaries(st.sampled_from(names), VALUES, max_size=4) | VALUES
    return st.one_of(
        st.fixed_dictionaries({"params": fields}),
        st.fixed_dictionaries({"data": fields}),
        st.fixed_dictionaries({"files": files, "params": fields}),
        st.fixed_dictionaries({"data": fields, "files": files, "params": fields}),
        st.fixed_dictionaries(
            {
                "data": st.builds(_named, RAW_NAMES, st.just(PHOTO) | BODIES),
                "type": st.just(RAW_FORM),
                "params": st.just({}) | fields,
            }
        ),
        st.fixed_dictionaries({"data": any_json.map(json.dumps), "type": st.just("application/json")}),
        st.fixed_dictionaries({"data": BODIES, "type": CONTENT_TYPES}, optional={"packing": PACKINGS}),
    )


def _names(description: schemathesis.BaseSchema, path: str) -> list[str]:
    parameters = description.raw_schema["paths"][path]["post"]["parameters"]
    return [parameter["name"] for parameter in parameters]


@pytest.mark.parametrize("action", ["predict", "train"])
def test_generated_requests_of_every_content_type_get_a_documented_answer(
    server: Server, description: schemathesis.BaseSchema, action: str
) -> None:
    url = f"{server.url}/{action}/"

    @settings(drawn, max_examples=REQUESTS // 4)
    @given(way=_ways(_names(description, urlsplit(url).path)), method=METHODS, accept=ACCEPT)
    def send(way: dict[str, Any], method: str, accept: str) -> None:
        named = {"Content-Type": way.pop("type", None), "Content-Encoding": way.pop("packing", None)}
        headers = {"Accept": accept} | {name: text for name, text in named.items() if text is not None}
        _check(_answer(method, url, headers=headers, **way))

    send()


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "image/png"])
@pytest.mark.parametrize(("content", "status"), [(PHOTO, 200), (b"", 400), (b"no image", 415)])
def test_file_names_that_are_not_utf8_get_the_usual_answer(
    server: Server, accept: str, content: bytes, status: int
) -> None:
    headers = {"Accept": accept, "Content-Type": RAW_FORM}
    for name in NO_UTF8:
        answer = _answer("POST", f"{server.url}/predict/", data=_named(name, content), headers=headers)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("action", ["predict", "train"])
def test_lone_surrogates_in_json_are_refused(server: Server, description: schemathesis.BaseSchema, action: str) -> None:
    url = f"{server.url}/{action}/"
    for name in _names(description, urlsplit(url).path):
        if name not in ("image", "accept"):
            answer = _answer("POST", url, json={name: "\ud800"})
            assert answer.status_code in (400, 422) and name in answer.json() | {"url": ""}, (name, answer.text)
