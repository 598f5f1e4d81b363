"""Content types by RFC 9110, section 12.5.1: the headers of real clients, and every rule of the section."""

import csv
import io
import json
from typing import Any

import pytest
import requests

from api.negotiation import best_content_type, parse_accept
from api.responses import ACCEPTED_TYPES
from tests.support.deepaas_server import Server
from tests.support.photos import photo

JSON, CSV, APPLICATION_CSV, PNG = ACCEPTED_TYPES
# Default headers of clients, as they send them.
CLIENTS = {
    "axios": "application/json, text/plain, */*",
    "R httr": "application/json, text/xml, application/xml, */*",
    "Java HttpURLConnection": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "Java HttpClient of Apache": "application/json; charset=utf-8",
    "Angular": "application/json",
    "jQuery": "application/json, text/javascript, */*; q=0.01",
    "Firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Chromium": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    "curl, requests, fetch": "*/*",
    "Django REST framework": "application/json; indent=4",
    "SharePoint": "application/json;odata=verbose",
    "none": "",
}

HEADERS = [
    # lists, in the order of the client where the weights are equal
    ("text/html, image/png", PNG),
    ("image/png, application/json", PNG),
    ("application/json, image/png", JSON),
    ("text/csv,image/png,application/json", CSV),
    # weights
    ("application/json;q=0.5, image/png", PNG),
    ("application/json;q=0.5, image/png;q=0.501", PNG),
    ("application/json;q=0.2, text/csv;q=.9, image/png;q=0", CSV),
    ("application/json;q=0, */*", CSV),
    ("*/*, application/json;q=0, text/csv;q=0.000", APPLICATION_CSV),
    ("application/json; q=0.", None),
    ("image/png;q=0", None),
    ("*/*;q=0", None),
    ("*/*;q=0, image/png;q=0.001", PNG),
    ("text/html, */*;q=0", None),
    # ranges: the most specific one decides
    ("*/*", JSON),
    ("*", JSON),
    ("image/*", PNG),
    ("text/*", CSV),
    ("application/*", JSON),
    ("application/*, application/json;q=0", APPLICATION_CSV),
    ("image/*;q=0.9, image/png;q=0.1, text/csv;q=0.5", CSV),
    ("*/*;q=1, application/*;q=0.1, text/*;q=0.2, image/*;q=0", CSV),
    ("*/*, image/png", PNG),
    ("audio/*; q=0.2, text/csv", CSV),
    # parameters
    ("application/json; charset=utf-8", JSON),
    ('application/json;charset="UTF-8"', JSON),
    ("text/csv; charset=utf-8; header=present", CSV),
    ("image/png; level=1", PNG),
    ("application/json;version=1;q=0, application/json", JSON),
    ("application/json;charset=utf-8;q=0, application/json, image/png;q=0.1", PNG),
    ("application/json; version=2, */*;q=0.1", JSON),
    ("application/json;q=0.5;extension=1;q=1, image/png;q=0.6", PNG),
    ('application/json; profile="a,image/png;q=1\\"", text/csv;q=0.9', JSON),
    # upper case and odd whitespace
    ("APPLICATION/JSON", JSON),
    ("Image/PNG ; Q=0.9 , TEXT/CSV;q=0.8", PNG),
    ("\t image/png\t;\tq=1 \t", PNG),
    (",, ,image/png,,", PNG),
    (" , \t,", JSON),
    # malformed elements are ignored, and malformed weights
    ("image/png;q=high", PNG),
    ("image/png;q=, application/json;q=0.9", PNG),
    ("image/png;q=nan", PNG),
    ("image/png;q=-1, application/json;q=0.9", PNG),
    ("image/png;q=5, application/json", PNG),
    ("image/png;q=1e9", PNG),
    ("image/png;;;", PNG),
    ("json, image/png;q=0.1", PNG),
    ("*/json, image/png;q=0.1", PNG),
    ("a/b/c, /, image/png", PNG),
    ('image/png;a="unterminated, text/csv', PNG),
    ("json", None),
    ("image/", None),
    ("\u00e9/\u00e9", None),
    # nothing fits
    ("text/html", None),
    ("application/xml, text/html;q=0.5, image/jpeg, video/*", None),
    ("application/jsonp", None),
    ("application/problem+json", None),
]


@pytest.mark.parametrize("client", CLIENTS)
def test_default_headers_of_clients_get_json(client: str) -> None:
    assert best_content_type(CLIENTS[client], ACCEPTED_TYPES) == JSON


@pytest.mark.parametrize(("accept", "expected"), HEADERS)
def test_the_preferred_type_is_chosen(accept: str, expected: str | None) -> None:
    assert best_content_type(accept, ACCEPTED_TYPES) == expected


def test_weights_of_the_example_in_the_rfc() -> None:
    accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
    offered = {"text/html": "text/*", "text/plain": "text/plain", "image/jpeg": "*/*"}
    weights = {f"{one.type}/{one.subtype}": one.weight for one in parse_accept(accept) if not one.parameters}
    assert {kind: weights[named] for kind, named in offered.items()} == {
        "text/html": 0.3,
        "text/plain": 0.7,
        "image/jpeg": 0.5,
    }
    assert best_content_type(accept, list(offered)) == "text/plain"
    assert best_content_type(accept, ["text/html", "image/jpeg"]) == "image/jpeg"


@pytest.mark.parametrize("hostile", ['"' * 8000, "a;" * 4000, '"\\' * 4000, "*/*;q=" + "9" * 8000, "," * 8000])
def test_hostile_headers_take_no_time(hostile: str) -> None:
    best_content_type(hostile, ACCEPTED_TYPES)


def _predict(server: Server, *accept: str, **query: str) -> requests.Response:
    """A prediction with any number of Accept headers; aiohttp joins none of them."""
    from urllib3 import HTTPHeaderDict, PoolManager, encode_multipart_formdata

    body, kind = encode_multipart_formdata({"image": ("a.jpg", photo())})
    headers = HTTPHeaderDict([("Content-Type", kind), *(("Accept", one) for one in accept)])
    path = requests.Request("POST", f"{server.url}/predict/", params=query).prepare().url
    raw = PoolManager().request("POST", path, body=body, headers=headers, preload_content=False)
    response = requests.adapters.HTTPAdapter().build_response(requests.Request("POST", path).prepare(), raw)
    assert response.content is not None
    return response


def _is_json(content: bytes) -> bool:
    return json.loads(content)["status"] == "OK"


def _is_csv(content: bytes) -> bool:
    return next(csv.reader(io.StringIO(content.decode())))[0] == "image"


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


CHECKS = {JSON: _is_json, CSV: _is_csv, APPLICATION_CSV: _is_csv, PNG: _is_png}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        *(((header,), {}, JSON) for header in CLIENTS.values()),
        ((), {}, JSON),
        (("text/csv",), {}, CSV),
        (("application/csv",), {}, APPLICATION_CSV),
        (("image/*",), {}, PNG),
        (("text/html", "image/png;q=0.5", "text/csv"), {}, CSV),
        (("*/*",), {"accept": "image/png"}, PNG),
        (("text/html",), {"accept": "text/csv;q=0.5, image/jpeg"}, CSV),
        (("image/png",), {"accept": ""}, PNG),
        (("application/csv",), {"accept": "application/csv"}, APPLICATION_CSV),
    ],
)
def test_the_server_answers_in_the_preferred_type(
    shared_server: Server, accept: tuple[str, ...], query: dict[str, Any], expected: str
) -> None:
    response = _predict(shared_server, *accept, **query)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].partition(";")[0] == expected
    assert response.headers["Vary"] == "Accept"
    assert CHECKS[expected](response.content)


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["text/html", "json", "*/*;q=0", "image/jpeg, text/plain"])
def test_the_server_lists_its_types_if_it_has_none_of_those_accepted(shared_server: Server, accept: str) -> None:
    for response in (_predict(shared_server, accept), _predict(shared_server, "*/*", accept=accept)):
        assert response.status_code == 406
        assert response.json()["message"] == (
            f"accept: expected one of application/json, text/csv, application/csv, image/png, or */*, "
            f"received {accept!r}."
        )


@pytest.mark.slow
def test_other_routes_answer_json_whatever_is_accepted(shared_server: Server) -> None:
    headers = {"Accept": "text/html, image/png"}
    assert requests.get(f"{shared_server.url}/", headers=headers, timeout=30).json()["latest"] == "small"
    refused = requests.post(f"{shared_server.url}/train/", params={"epochs": "0"}, headers=headers, timeout=30)
    assert (refused.status_code, list(refused.json())) == (422, ["epochs"])
