"""No value of a request is dropped without notice: what would have no effect is refused."""

import json
from typing import Any

import pytest
import requests

from tests.support.deepaas_server import Server
from tests.support.photos import photo, zip_of

pytestmark = pytest.mark.slow

FILE = ("photo.jpg", photo())
OTHER = ("other.jpg", photo(90))
URL = "data:image/jpeg;base64,AAAA"
RAW = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}

# The action, the request, and what the message names.
REFUSED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "two files in one field": (
        "predict",
        {"files": [("image", FILE), ("image", OTHER)]},
        ["image: expected one file, received 2: photo.jpg, other.jpg", "one zip", "image=@photos.zip"],
    ),
    "three files": ("predict", {"files": [("image", FILE)] * 3}, ["received 3", "one zip"]),
    "the same file twice": ("predict", {"files": [("image", FILE)] * 2}, ["received 2", "one zip"]),
    "two zips": ("predict", {"files": [("image", ("a.zip", zip_of(a=photo())))] * 2}, ["a.zip, a.zip", "one zip"]),
    "files in two fields": ("predict", {"files": {"image": FILE, "image2": OTHER}}, ["received 2", "one zip"]),
    "a field with brackets": ("predict", {"files": [("image[]", FILE), ("image[]", OTHER)]}, ["one zip"]),
    "one file in another field": ("predict", {"files": {"file": FILE}}, ["field image", "'file'"]),
    "one file in the field of an option": ("predict", {"files": {"url": FILE}}, ["field image", "'url'"]),
    "a file and a text": ("predict", {"files": {"image": FILE}, "data": {"image": "x"}}, ["image:", "received 2"]),
    "two URLs": ("predict", {"params": {"url": [URL, URL + "A"]}}, ["url: expected one value, received 2", "one zip"]),
    "two URLs in a form": ("predict", {"data": {"url": [URL, URL]}}, ["url:", "received 2", "one zip"]),
    "URLs in query and form": ("predict", {"params": {"url": URL}, "data": {"url": URL}}, ["(query)", "(form)"]),
    "URLs in query and JSON": ("predict", {"params": {"url": URL}, "json": {"url": URL}}, ["(query)", "(JSON)"]),
    "a file and a URL": ("predict", {"files": {"image": FILE}, "params": {"url": URL}}, ["image", "url", "both"]),
    "a repeated name in JSON": (
        "predict",
        {"data": json.dumps({"url": URL})[:-1] + ', "url": "b"}', "headers": JSON},
        ["url: expected one value, received 2"],
    ),
    "a repeated option": (
        "predict",
        {"files": {"image": FILE}, "params": {"top_k": [1, 2]}},
        ["top_k: expected one value, received 2: '1' (query), '2' (query)."],
    ),
    "a repeated content type": (
        "predict",
        {"files": {"image": FILE}, "params": {"accept": ["image/png", "text/csv"]}},
        ["accept: expected one value"],
    ),
    "a content type in the form": (
        "predict",
        {"files": {"image": FILE}, "data": {"accept": "image/png"}},
        ["accept:", "header", "query", "form"],
    ),
    "an image in the query": ("predict", {"params": {"image": "a.jpg", "url": URL}}, ["image:", "multipart form"]),
    "an image in JSON": ("predict", {"json": {"image": "AAAA"}}, ["image:", "multipart form", "JSON"]),
    "a misspelled option": (
        "predict",
        {"files": {"image": FILE}, "data": {"topk": 1}},
        ["topk:", "Did you mean: top_k"],
    ),
    "an unknown option": ("predict", {"files": {"image": FILE}, "params": {"zz": 1}}, ["zz:", "Options: accept"]),
    "a raw photo and a URL": (
        "predict",
        {"data": photo(), "headers": RAW, "params": {"url": URL}},
        ["image/jpeg", "-F"],
    ),
    "a body without a type": ("predict", {"data": photo()}, ["application/octet-stream"]),
    "a JSON array": ("predict", {"json": [{"url": URL}]}, ["JSON object"]),
    "JSON of another type": ("predict", {"data": "{}", "headers": {"Content-Type": "text/json"}}, ["text/json"]),
    "a file for a training": ("train", {"files": {"dataset": ("a.zip", b"x")}}, ["dataset:", "no file", "archive"]),
    "an unknown file for a training": ("train", {"files": {"image": FILE}}, ["image:", "no file"]),
    "a repeated option of a training": (
        "train",
        {"params": {"epochs": [1, 2]}},
        ["epochs:", "'1' (query), '2' (query)"],
    ),
    "an option of a training in two places": (
        "train",
        {"params": {"dataset": "a"}, "data": {"dataset": "b"}},
        ["dataset:", "'a' (query), 'b' (form)"],
    ),
    "a misspelled option of a training": ("train", {"params": {"epoch": 1}}, ["epoch:", "Did you mean: epochs"]),
    "several problems": ("train", {"params": {"epoch": 1, "seed": [1, 2]}}, ["epoch:", "seed:"]),
    "JSON sent as a form": (
        "train",
        {"data": '{"epochs": 1}', "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        ["{"],
    ),
    "JSON sent as text": (
        "train",
        {"data": '{"epochs": 1}', "headers": {"Content-Type": "text/plain"}},
        ["text/plain"],
    ),
    "a JSON array for a training": ("train", {"json": [{"epochs": 1}]}, ["JSON object"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_would_be_dropped_are_refused(shared_server: Server, case: str) -> None:
    action, request, named = REFUSED[case]
    response = requests.post(f"{shared_server.url}/{action}/", timeout=30, **request)
    assert response.status_code == 400, response.text
    message = response.json()["message"]
    assert [text for text in named if text not in message] == [], message
    assert len(message) < 1500
    assert requests.get(f"{shared_server.url}/train/", timeout=30).json() == []


@pytest.mark.parametrize(
    "request_",
    [
        {"files": {"image": FILE}},
        {"files": {"image": FILE}, "data": {"url": "", "explain_class": ""}},
        {"files": {"image": FILE}, "params": {"url": "", "top_k": "1"}, "data": {"top_k": ""}},
        {"files": [("image", FILE), ("image", ("", b""))]},
        {"files": {"image": FILE}, "params": {"accept": "application/json", "explain_class": ""}},
        {"files": {"image": ("photos.zip", zip_of(a=photo(), b=photo()))}, "data": {"model": "small"}},
        {"json": {"url": None, "top_k": 1}, "expected": "neither"},
        {"data": iter([b""]), "expected": "neither"},
    ],
)
def test_empty_values_count_as_not_given(shared_server: Server, request_: dict[str, Any]) -> None:
    expected = request_.get("expected")
    options = {name: value for name, value in request_.items() if name != "expected"}
    response = requests.post(f"{shared_server.url}/predict/", timeout=30, **options)
    assert (response.status_code, expected or "") == (400 if expected else 200, expected or ""), response.text
    assert (expected or "") in response.text
