"""Import from a Label Studio server."""

import json
from pathlib import Path

import pytest

from model.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnreachableError,
)
from model.labels import server as server_module
from model.labels.crops import CropOptions
from model.labels.cutting import SplitOptions
from model.labels.import_labels import ImportOptions, LabelsImport, import_labels
from model.labels.label_studio import read_tasks
from model.labels.server import LabelStudio, read_token
from model.labels.server_photos import ServerPhotos
from model.labels.server_tasks import current_tasks
from model.storage import failures
from tests.labels.label_studio_server import LEGACY_TOKEN, PERSONAL_TOKEN, Project, label_studio, served
from tests.labels.label_studio_tasks import annotation, box_item, boxed_tasks, task
from tests.labels.label_studio_tasks import imported as imported_from_files
from tests.support.command import Run


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.0,))
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))


def imported(address: str, target: Path, token: str = LEGACY_TOKEN) -> LabelsImport:
    server = LabelStudio(address, token)
    tasks, photo_keys = current_tasks(server, 1)
    labels = read_tasks(tasks, photo_keys=photo_keys)
    options = ImportOptions(CropOptions(), SplitOptions())
    return import_labels(address, labels, ServerPhotos(server), target, options)


@pytest.mark.parametrize("token", [LEGACY_TOKEN, PERSONAL_TOKEN])
def test_a_project_becomes_a_dataset(tmp_path: Path, token: str) -> None:
    project = served(boxed_tasks(tmp_path / "photos"), tmp_path / "photos")
    with label_studio(project) as address:
        result = imported(address, tmp_path / "made", token)
    assert result.new == 12
    assert len(list((tmp_path / "made" / "images").iterdir())) == 12
    assert project.exchanged == (token == PERSONAL_TOKEN)


def test_only_changed_tasks_and_their_photos_are_requested_again(tmp_path: Path) -> None:
    project = served(boxed_tasks(tmp_path / "photos"), tmp_path / "photos")
    with label_studio(project) as address:
        imported(address, tmp_path / "made")
        project.requests.clear()
        changed = project.tasks[3]
        changed["annotations"] = [annotation(box_item("cat", x=30))]
        changed["updated_at"] = "2026-02-02T00:00:00Z"
        result = imported(address, tmp_path / "made")
    assert (result.new, result.unchanged, result.withdrawn) == (1, 11, 1)
    assert [path.count("ids") for path in project.asked("/api/projects/1/export")] == [1]
    assert project.asked("/data/") == [changed["data"]["image"]]


def test_the_configuration_states_the_photo_of_tasks_of_several(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos")
    project = served(tasks, tmp_path / "photos")
    for one in tasks:
        one["data"] = {"before": "/data/upload/1/missing.png", "after": one["data"]["image"]}
        one["annotations"][0]["result"][0]["to_name"] = "second"
    photo = {"type": "Image", "value": "after"}
    project.configuration = {"label": {"type": "RectangleLabels", "to_name": ["second"], "inputs": [photo]}}
    with label_studio(project) as address:
        assert imported(address, tmp_path / "made").new == 12


def test_a_personal_token_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = served(boxed_tasks(tmp_path / "photos", 4), tmp_path / "photos")
    monkeypatch.setattr(server_module, "_SECONDS_UNTIL_RENEWED", 0.0)
    with label_studio(project) as address:
        server = LabelStudio(address, PERSONAL_TOKEN)
        server.project(1)
        server.project(1)
    assert project.exchanged == 2


def test_a_project_of_several_pages_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_TASKS_PER_PAGE", 5)
    monkeypatch.setattr(server_module, "_TASKS_PER_EXPORT", 4)
    project = served(boxed_tasks(tmp_path / "photos"), tmp_path / "photos")
    project.tasks[0]["annotations"] = []
    with label_studio(project) as address:
        tasks = LabelStudio(address, LEGACY_TOKEN).tasks(1, {})
    assert [one["id"] for one in tasks] == list(range(2, 13))
    assert len(project.asked("/api/tasks")) == len(project.asked("/api/projects/1/export")) == 3


def test_an_object_of_remote_storage_is_requested_without_the_token(tmp_path: Path) -> None:
    boxed_tasks(tmp_path / "photos", 1)
    content = (tmp_path / "photos" / "photo 1.png").read_bytes()
    storage = Project([], {"/bucket/a b.png": content})
    with label_studio(storage) as bucket:
        storage.pages["/bucket/a"] = ""
        project = Project([], presigned=f"{bucket}/bucket/a%20b.png?signature=secret")
        with label_studio(project) as address:
            photos = ServerPhotos(LabelStudio(address, LEGACY_TOKEN))
            [name] = photos.find(read_tasks([task(7, image="s3://bucket/a b.png")]).tasks[0])
            assert name.startswith("/tasks/7/resolve/?fileuri=") and photos.suffix(name) == ".png"
            with pytest.raises(ImageError, match=r"refuses the photo \(401\), requested without") as caught:
                photos.read(name)
    assert project.requests == [(name, f"Token {LEGACY_TOKEN}")]
    assert storage.requests == [("/bucket/a%20b.png?signature=secret", "")]
    assert "secret" not in caught.value.message


def test_photos_of_a_host_that_does_not_answer_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with label_studio(Project([])) as silent:
        pass
    tasks = boxed_tasks(tmp_path / "photos", 8)
    project = served(tasks, tmp_path / "photos")
    for one in (tasks[1], tasks[4]):
        one["data"]["image"] = f"{silent}/photo_{one['id']}.png?signature=secret"
    with label_studio(project) as address:
        result = imported(address, tmp_path / "made")
        server = LabelStudio(address, LEGACY_TOKEN)
        reasons = []
        monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.0,) * 4)
        for _ in range(2):
            with pytest.raises(ImageError) as caught:
                server.read(f"{silent}/a.png?signature=secret")
            reasons.append(caught.value.message)
    assert (result.new, result.left_out) == (6, 2)
    listed = (tmp_path / "made" / "rejected.csv").read_text() + "".join(reasons)
    assert "no answer" in listed and "secret" not in listed
    assert "its host did not answer 5 times in a row" in reasons[1]


def test_uploads_named_by_another_host_name_are_read_from_the_server(tmp_path: Path) -> None:
    upload, local = "/data/upload/1/0a1b2c3d-a b.png", "/data/local-files/"
    project = Project([], {upload: b"upload", local: b"local", "/data/upload/a.png": b"other"})
    with label_studio(project) as address:
        server = LabelStudio(address, LEGACY_TOKEN)
        assert server.read("http://other.invalid:8080/data/upload/1/0a1b2c3d-a%20b.png") == b"upload"
        assert server.read("http://other.invalid/data/local-files/?d=x.png") == b"local"
        assert server._photo_url("http://other.invalid/data/upload/a.png") == "http://other.invalid/data/upload/a.png"
    assert project.requests[-1][0] == "/data/local-files/?d=x.png"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/upload/1/0a1b2c3d-a.png", "/label-studio/data/upload/1/0a1b2c3d-a.png"),
        ("/label-studio/data/upload/1/0a1b2c3d-a.png", "/label-studio/data/upload/1/0a1b2c3d-a.png"),
        ("s3://bucket/a.png", "/label-studio/tasks/7/resolve/?fileuri=czM6Ly9idWNrZXQvYS5wbmc="),
        ("http://other.invalid/data/local-files/?d=a.png", "/label-studio/data/local-files/?d=a.png"),
    ],
)
def test_a_server_below_a_path_is_asked_below_it(address: str, path: str) -> None:
    server = LabelStudio("https://host/label-studio/", LEGACY_TOKEN)
    [name] = ServerPhotos(server).find(read_tasks([task(7, image=address)]).tasks[0])
    assert server._photo_url(name) == f"https://host{path}"


def test_the_ending_of_an_object_is_that_of_its_key() -> None:
    photos = ServerPhotos(LabelStudio("https://host", LEGACY_TOKEN))
    [name] = photos.find(read_tasks([task(7, image="s3://bucket/photo #1.PNG")]).tasks[0])
    assert photos.suffix(name) == ".png"


def test_an_address_with_a_password_is_refused() -> None:
    for address in ("https://me:secret@host", "https://me:sec/ret@host", "ftp://me:secret@host"):
        with pytest.raises(ConfigError, match="--url: expected") as caught:
            LabelStudio(address, LEGACY_TOKEN)
        assert "sec" not in caught.value.message


def test_a_password_in_the_address_of_a_photo_is_not_shown() -> None:
    with label_studio(Project([])) as address:
        server = LabelStudio(address, LEGACY_TOKEN)
        with pytest.raises(ImageError, match=r"a\.png: the storage refuses the photo") as caught:
            server.read(address.replace("//", "//me:secret@") + "/a.png?signature=secret")
    assert "secret" not in caught.value.message


def test_a_photo_that_is_missing_on_the_server_is_listed(tmp_path: Path) -> None:
    project = served(boxed_tasks(tmp_path / "photos"), tmp_path / "photos")
    del project.photos[project.tasks[2]["data"]["image"]]
    with label_studio(project) as address:
        result = imported(address, tmp_path / "made")
    assert (result.new, result.left_out) == (11, 1)
    assert "not found (404)" in (tmp_path / "made" / "rejected.csv").read_text()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, StorageRefusedError, r"refuses the access token \(401\)"),
        (403, StorageRefusedError, r"refuses the access token \(403\)"),
        (404, StorageNotFoundError, r"not found \(404\)\. Check the address and the number of the project"),
        (500, StorageBusyError, r"overloaded or failing \(500\)"),
    ],
)
def test_a_server_that_refuses_is_reported(tmp_path: Path, status: int, error: type[StorageError], words: str) -> None:
    project = Project([], statuses={"/api/projects/1/": status})
    with label_studio(project) as address, pytest.raises(error, match=words):
        imported(address, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_server_that_is_down_is_reported(tmp_path: Path) -> None:
    with label_studio(Project([])) as address:
        pass
    with pytest.raises(StorageUnreachableError, match="no answer"):
        imported(address, tmp_path / "made")


def test_a_login_page_is_no_answer(tmp_path: Path) -> None:
    project = Project([], pages={"/api/projects/1/": "<html>Log in</html>"})
    with label_studio(project) as address, pytest.raises(StorageError, match="received a web page, such as a login"):
        imported(address, tmp_path / "made")
    project = Project([], pages={"/data/a.png": "<html>Log in</html>"})
    with label_studio(project) as address, pytest.raises(ImageError, match="expected a photo, received a web page"):
        LabelStudio(address, LEGACY_TOKEN).read("/data/a.png")


def test_projects_without_photos_are_refused(tmp_path: Path) -> None:
    text = {"ner": {"type": "Labels", "inputs": [{"type": "Text", "value": "text"}]}}
    for configuration, words in (({}, "configuration, found none"), (text, "for photos, found one for Text")):
        project = Project([], configuration=configuration)
        with label_studio(project) as address, pytest.raises(DatasetError, match=words):
            imported(address, tmp_path / "made")


def test_an_empty_project_is_refused(tmp_path: Path) -> None:
    with label_studio(Project([])) as address, pytest.raises(DatasetError, match="the project is empty"):
        imported(address, tmp_path / "made")


def test_the_token_is_read_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert read_token(tmp_path / "token") == "abc"
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "def")
    assert read_token(None) == "def"
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(ConfigError, match="LABEL_STUDIO_API_KEY or in --token-file, received none"):
        read_token(None)


def test_the_command_reads_a_server(run: Run, workspace: Path, tmp_path: Path) -> None:
    project = served(boxed_tasks(tmp_path / "photos"), tmp_path / "photos")
    with label_studio(project) as address:
        options = ("--url", address, "--project", 1, "data/animals")
        made = run("import-labels", *options, "--json", LABEL_STUDIO_API_KEY=LEGACY_TOKEN)
        assert made.returncode == 0, made.stderr
        refused = run("import-labels", *options, LABEL_STUDIO_API_KEY="wrong")
    assert json.loads(made.stdout)["new"] == 12
    assert refused.returncode == 5 and "refuses the access token" in refused.stderr
    assert run("import-labels", "--url", "http://a", "made").returncode == 2
    assert run("import-labels", "--url", "http://a", "--project", 1, "a", "made").returncode == 2


def test_no_message_has_the_signature_of_an_address(tmp_path: Path) -> None:
    page = Project([], pages={"/bucket/a.png": "<html>Log in</html>"})
    with label_studio(page) as address, pytest.raises(ImageError) as caught:
        LabelStudio(address, LEGACY_TOKEN).read("/bucket/a.png?X-Amz-Signature=secret")
    assert "/bucket/a.png: expected a photo" in caught.value.message and "secret" not in caught.value.message
    boxed_tasks(tmp_path / "photos", 1)
    export = tmp_path / "export.json"
    signed = task(1, annotation(box_item()), image="https://example.org/missing.png?X-Amz-Signature=secret")
    export.write_text(json.dumps([signed]))
    with pytest.raises(DatasetError) as refused:
        imported_from_files(export, tmp_path / "photos", tmp_path / "made")
    assert "missing.png" in refused.value.message and "secret" not in refused.value.message


def test_no_file_of_an_import_has_the_signature_of_an_address(tmp_path: Path) -> None:
    tasks = boxed_tasks(tmp_path / "photos", 4)
    broken = task(5, annotation(box_item()), image="https://example.org/photo 5.png")
    (tmp_path / "photos" / "photo 5.png").write_bytes(b"no photo")
    export = tmp_path / "export.json"
    made = []
    for signature in ("secret1", "secret2"):
        for one in (*tasks, broken):
            one["data"]["image"] = f"https://example.org/photo {one['id']}.png?X-Amz-Signature={signature}"
        export.write_text(json.dumps([*tasks, broken]))
        made.append(imported_from_files(export, tmp_path / "photos", tmp_path / "made"))
        files = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
        assert len(files) > 8 and not any("secret" in path.name for path in files)
        assert not any(b"secret" in path.read_bytes() for path in files)
    rows = (tmp_path / "made" / "origin.csv").read_text()
    assert "https://example.org/photo 1.png," in rows
    # Addresses that are signed again are the same photos.
    assert (made[1].new, made[1].unchanged, made[1].left_out) == (0, 4, 1)
