"""Reports over HTTP: those of complete models, read-only, with a policy that lets them load and run nothing."""

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import api
from api import service_address
from model.bundle import open_bundle, write_manifest
from model.evaluation.report.policy import content_security_policy, safe_beginning
from model.workspace import Workspace
from tests.support.deepaas_server import Server, running_server
from tests.support.small_model import write_small_model

CONTENT = f"{safe_beginning()}<title>caf\u00e9</title></head><body><h1>a report</h1></body></html>"
REPORTS = "/v2/models/topgraft/reports"
POLICY = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "img-src": "data:",
    "script-src": content_security_policy().rpartition("script-src ")[2],
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "sandbox": "allow-scripts",
}


def _write_model(directory: Path, content: str | None = CONTENT) -> Path:
    write_small_model(directory)
    if content is not None:
        (directory / "report.html").write_text(content, encoding="utf-8")
    write_manifest(directory, open_bundle(directory).manifest)
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    models = home / "models"
    (home / "data").mkdir()
    (home / "secret.html").write_text("secret")
    _write_model(models / "imported", None)
    _write_model(models / ".running" / "busy")
    (_write_model(models / "half-made") / "manifest.json").unlink()
    (_write_model(models / "damaged") / "manifest.json").write_text("{")
    (_write_model(models / "gone") / "report.html").unlink()
    link = _write_model(models / "linked") / "report.html"
    link.unlink()
    link.symlink_to(home / "secret.html")
    unlisted = _write_model(models / "added", None)
    (unlisted / "report.html").write_text("secret")
    _write_model(models / "pets")
    with running_server(home) as running:
        yield running


def _get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
    """Response to a path that no client library has normalized."""
    connection = http.client.HTTPConnection(urlsplit(server.root).netloc, timeout=30)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    return response.status, response.headers, response.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pets", "latest"])
def test_a_report_is_sent_with_its_policy(server: Server, name: str) -> None:
    status, headers, content = _get(server, f"{REPORTS}/{name}")
    assert (status, content) == (200, CONTENT)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    directives = [part.strip().partition(" ") for part in headers["Content-Security-Policy"].split(";")]
    assert {directive: value for directive, _, value in directives} == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.slow
def test_head_range_and_conditional_requests(server: Server) -> None:
    path = f"{REPORTS}/pets"
    status, headers, content = _get(server, path, "HEAD")
    assert (status, content, int(headers["Content-Length"])) == (200, "", len(CONTENT.encode()))
    assert _get(server, path, Range="bytes=0-14")[::2] == (206, "<!DOCTYPE html>")
    assert _get(server, path, Range="bytes=900000-")[0] == 416
    assert _get(server, path, **{"If-None-Match": headers["ETag"]})[::2] == (304, "")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_reports_are_read_only(server: Server, method: str) -> None:
    assert _get(server, f"{REPORTS}/pets", method)[0] == 405
    assert (server.home / "models" / "pets" / "report.html").read_text(encoding="utf-8") == CONTENT


TRAVERSAL = [
    *("..", ".", "%2e%2e", "%2e%2e%2f..%2fsecret.html", "..%2f..%2fsecret.html", "..%5c..%5csecret.html"),
    *(
        "pets%2f..%2f..%2fsecret.html",
        "pets/../../secret.html",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "pets%00",
        "pets%0a",
    ),
    *("..%252f..%252fsecret.html", "%c0%ae%c0%ae%c0%af", "pets/manifest.json", "pets%2fmanifest.json", "%e9"),
    *("busy", ".running%2fbusy", ".running/busy", ".monitor", "half-made", "PETS", "pets%20", "nosuch", "a" * 300),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAVERSAL)
def test_only_names_of_complete_models_are_found(server: Server, name: str) -> None:
    status, _, content = _get(server, f"{REPORTS}/{name}")
    assert status in (400, 404), content
    assert "secret" not in content.replace("secret.html", "") and "a report" not in content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("nosuch", 404, "expected the name of a trained model, received 'nosuch'"),
        ("imported", 404, "the model imported has no report"),
        ("gone", 404, "the model gone has no report"),
        ("linked", 404, "the model linked has no report"),
        ("added", 404, "the model added has no report"),
        ("damaged", 503, "manifest.json"),
    ],
)
def test_a_missing_report_is_explained(server: Server, name: str, status: int, message: str) -> None:
    received, headers, content = _get(server, f"{REPORTS}/{name}")
    assert (received, headers["Content-Type"].partition(";")[0]) == (status, "application/json")
    assert message in json.loads(content)["message"]


@pytest.mark.slow
def test_a_model_trained_or_removed_since_takes_effect(server: Server) -> None:
    assert _get(server, f"{REPORTS}/late")[0] == 404
    directory = _write_model(server.home / "models" / "late", CONTENT.replace("a report", "late"))
    assert "late" in _get(server, f"{REPORTS}/late")[2]
    shutil.rmtree(directory)
    assert _get(server, f"{REPORTS}/late")[0] == 404


@pytest.mark.slow
def test_the_metadata_has_the_address_of_each_report(server: Server) -> None:
    reports = {model["name"]: model.get("report") for model in server.metadata()["models"]}
    assert reports["imported"] is None and reports["damaged"] is None and reports["added"] is None
    assert reports["pets"] == f"{REPORTS}/pets"
    assert requests.get(server.root + reports["pets"], timeout=30).text == CONTENT


@pytest.mark.slow
def test_swagger_describes_the_route(server: Server) -> None:
    paths = requests.get(f"{server.root}/swagger.json", timeout=30).json()["paths"]
    operation = paths[f"{REPORTS}/{{name}}"]["get"]
    assert (operation["produces"], operation["parameters"][0]["name"]) == (["text/html"], "name")


@pytest.mark.slow
def test_addresses_below_the_base_path_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    _write_model(tmp_path / "models" / "pets")
    with running_server(tmp_path, base_path="/photos") as server:
        report = server.metadata()["models"][0]["report"]
        assert report == f"/photos{REPORTS}/pets"
        assert requests.get(urlsplit(server.url)._replace(path=report).geturl(), timeout=30).text == CONTENT


def test_addresses_below_the_prefix_of_a_proxy(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_model(workspace.models / "pets")
    monkeypatch.setenv("TOPGRAFT_SERVICE_URL", "https://example.org/photos/")
    assert api.get_metadata()["models"][0]["report"] == f"/photos{REPORTS}/pets"
    assert service_address.report_url("pets") == f"https://example.org/photos{REPORTS}/pets"
    monkeypatch.setenv("TOPGRAFT_SERVICE_URL", "")
    assert api.get_metadata()["models"][0]["report"] == f"{REPORTS}/pets"


def test_metadata_states_the_address_of_the_page_where_it_is_known(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "page" not in api.get_metadata()
    monkeypatch.setenv("TOPGRAFT_PAGE_URL", "https://photos.example.org/")
    assert api.get_metadata()["page"].rstrip("/") == "https://photos.example.org"


def test_metadata_lists_the_newest_model_first(workspace: Workspace) -> None:
    for name, month in (("newest", 3), ("oldest", 1), ("second", 2)):
        write_small_model(workspace.models / name, created=f"2026-0{month}-01T00:00:00Z")
    assert [model["name"] for model in api.get_metadata()["models"]] == ["newest", "second", "oldest"]
