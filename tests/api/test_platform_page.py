"""The platform's web page (Gradio), which is built from the server's own description of predict."""

from typing import Any

import pytest
import requests

from tests.support.deepaas_server import Server
from tests.support.photos import photo, zip_of
from tests.support.small_model import CLASSES

pytestmark = pytest.mark.slow

RENDERED = ("application", "image", "audio", "video")
MEDIA = ("image", "audio", "video")
TYPES = ("integer", "number", "boolean", "string", "array", "file")


@pytest.fixture(scope="module")
def description(shared_server: Server) -> dict[str, Any]:
    """What the page reads."""
    answered = requests.get(f"{shared_server.root}/swagger.json", timeout=30).json()
    predict = next(path for name, path in answered["paths"].items() if name.endswith("predict/"))
    return answered | predict["post"]


def test_the_page_renders_every_announced_type(description: dict[str, Any]) -> None:
    announced = [kind for kind in description["produces"] if kind != "*/*"]
    assert announced == ["application/json", "application/csv", "image/png"]
    assert all(kind.partition("/")[0] in RENDERED for kind in announced)


def test_the_page_has_a_component_for_every_argument(description: dict[str, Any]) -> None:
    for argument in description["parameters"]:
        assert argument["type"] in TYPES, argument["name"]
        assert argument["description"], argument["name"]
        if "enum" not in argument and argument["type"] in ("integer", "number"):
            assert "default" in argument, argument["name"]
        if argument["type"] == "integer":
            # A slider has no empty state.
            assert argument["minimum"] <= argument["default"] <= argument["maximum"], argument["name"]


def test_the_page_takes_a_photo_or_a_zip(description: dict[str, Any]) -> None:
    (upload,) = (argument for argument in description["parameters"] if argument["type"] == "file")
    text = upload["description"].lower()
    assert [word for word in MEDIA if word in text] == ["image"]
    # Without this mark the page offers an editor of photos, which no zip can be dropped on.
    assert "#noparse" in text
    assert "zip" in text.partition("\n\n")[0], "the page shows the first paragraph only"


def test_the_page_draws_the_answer(description: dict[str, Any]) -> None:
    fields = description["definitions"]["ModelPredictionResponse"]["properties"]
    assert {"labels", "probabilities"} <= fields.keys()
    for name, field in fields.items():
        assert field.get("type", "object") in ("string", "boolean", "integer", "number", "array", "object"), name
        # A text whose description names a medium is drawn as one, decoded from base64.
        if field.get("type") == "string":
            assert not any(word in field.get("description", "").lower() for word in MEDIA), name


@pytest.mark.parametrize("kind", ["application/json", "application/csv", "image/png"])
@pytest.mark.parametrize("is_zip", [False, True])
def test_requests_of_the_page_are_answered(
    shared_server: Server, description: dict[str, Any], kind: str, is_zip: bool
) -> None:
    """It sends the type twice, and every argument that is neither empty nor zero."""
    sent = {
        argument["name"]: argument["default"]
        for argument in description["parameters"]
        if argument.get("in") == "query" and argument["default"]
    }
    content = ("photos.zip", zip_of(a=photo(), b=photo()), "application/zip")
    files = {"image": content if is_zip else ("photo.jpg", photo(), "image/jpeg")}
    response = requests.post(
        f"{shared_server.url}/predict/",
        headers={"accept": kind},
        params=sent | {"accept": kind},
        files=files,
        timeout=60,
    )
    if is_zip and kind == "image/png":
        assert (response.status_code, "zip" in response.json()["message"]) == (400, True)
        return
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].partition(";")[0] == kind
    if kind == "application/json":
        answer = response.json()
        assert answer["status"] != "error"
        assert len(answer["labels"]) == len(answer["probabilities"]) == len(CLASSES)
