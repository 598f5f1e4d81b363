"""Folders that a request may name: nothing outside them is read, found or shown."""

import dataclasses
import os
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.errors import ConfigError
from model.storage import allowed_folders
from model.storage.allowed_folders import restrict_paths
from model.workspace import Workspace


@pytest.fixture
def outside(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the allowed ones; below `data/` are a dataset and links that lead outside."""
    folder = tmp_path / "outside"
    (folder / "secret").mkdir(parents=True)
    (workspace.data / "photos" / "pictures").mkdir(parents=True)
    (workspace.data / "link").symlink_to(folder)
    (workspace.data / "photos" / "link").symlink_to(folder)
    (workspace.data / "loop").symlink_to("loop")
    (tmp_path / "storage").mkdir()
    monkeypatch.setattr(allowed_folders, "PLATFORM_STORAGE", tmp_path / "storage")
    monkeypatch.chdir(tmp_path)
    return folder


def _refusal(workspace: Workspace, **options: str) -> str:
    with pytest.raises(ConfigError) as error:
        restrict_paths(TrainConfig(**options), workspace)
    return error.value.message


REFUSED = (
    "/", "/root", "/etc/passwd", "/nowhere", "..", "../outside", "photos/../../outside", "./../outside/secret",
    "{outside}", "{outside}/secret", "{outside}/nowhere", "{data}/../outside", "link", "link/secret", "{data}/link",
    "photos/link/secret", "link/../../outside", "loop", "~", "~root", "~no-such-user/x", "/proc/self/cwd",
    "/dev/fd", "a\0b", "x" * 300, "/" + "x" * 300, "../" * 100 + "etc", "{data}-other", "/storage/../etc", "//etc",
    "file:///etc", "{outside}/q://../secret", "q://../../outside", "s3://../{outside}", "{data}/q:/../../outside",
    "{outside}/a:", "./a:/../../outside",
)  # fmt: skip


@pytest.mark.parametrize("option", ["dataset", "features", "import_from", "upload_to"])
@pytest.mark.parametrize("value", REFUSED)
def test_a_path_outside_is_refused(option: str, value: str, outside: Path, workspace: Workspace) -> None:
    value = value.format(outside=outside, data=workspace.data)
    try:
        config = restrict_paths(dataclasses.replace(TrainConfig(), **{option: value}), workspace)
    except ConfigError as error:
        assert error.message.startswith(f"{option}: expected ") and "a path in data/" in error.message
        assert "TOPGRAFT_DATA_ROOTS" in error.message
    else:
        # A name inside data/ that does not exist.
        path = Path(getattr(config, option))
        assert path.is_relative_to(workspace.data) and path.resolve().is_relative_to(workspace.data.resolve())
        assert not path.exists()


@pytest.mark.parametrize("option", ["dataset", "features", "import_from", "upload_to"])
@pytest.mark.parametrize(
    "value", ["s3://bucket/features", "gs://bucket/x", "hdfs://host/x", "file:///etc", "S3A://b/x"]
)
def test_an_address_is_not_taken_as_a_path_in_data(
    option: str, value: str, outside: Path, workspace: Workspace
) -> None:
    message = _refusal(workspace, **{option: value})
    assert message.startswith(f"{option}: expected a path in data/") and f"received the address '{value}'" in message
    assert "Copy the files to data/" in message and ("remote:path" in message) == (option != "features")


def test_the_message_is_the_same_whether_the_path_exists(outside: Path, workspace: Workspace) -> None:
    existing = _refusal(workspace, dataset=str(outside / "secret"))
    missing = _refusal(workspace, dataset=str(outside / "nowhere"))
    assert existing.replace("secret", "nowhere") == missing


def test_the_disk_outside_is_not_touched(outside: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[str] = []

    def record(path: object, *_: object, **__: object) -> object:
        touched.append(str(path))
        return real(path)

    for name in ("stat", "lstat", "listdir", "scandir", "readlink"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, record)
    for value in (str(outside), str(outside / "secret"), "/root", "/nowhere", "~root"):
        _refusal(workspace, dataset=value)
    assert [path for path in touched if path.startswith((str(outside), "/root", "/nowhere"))] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("photos", "photos"),
        ("photos/pictures", "photos/pictures"),
        ("{data}/photos", "{data}/photos"),
        ("data/photos", "{data}/photos"),
        ("nowhere", "{data}/nowhere"),
        ("nowhere/below", "{data}/nowhere/below"),
        ("{storage}/set", "{storage}/set"),
        ("rshare:photos", "rshare:photos"),
    ],
)
def test_a_path_in_an_allowed_folder_is_accepted(
    value: str, expected: str, outside: Path, tmp_path: Path, workspace: Workspace
) -> None:
    places = {"data": str(workspace.data), "storage": str(tmp_path / "storage")}
    config = restrict_paths(TrainConfig(dataset=value.format(**places)), workspace)
    assert config.dataset == expected.format(**places)


@pytest.mark.parametrize("option", ["import_from", "upload_to"])
@pytest.mark.parametrize("value", ["photos", "models/new", "{data}/photos", "{storage}/models", "rshare:models"])
def test_a_model_comes_from_and_goes_to_allowed_folders(
    option: str, value: str, outside: Path, tmp_path: Path, workspace: Workspace
) -> None:
    given = value.format(data=workspace.data, storage=tmp_path / "storage")
    config = restrict_paths(dataclasses.replace(TrainConfig(), **{option: given}), workspace)
    # Never relative to the folder in which the service runs.
    assert getattr(config, option) == (given if ":" in given else str(workspace.data / given))


@pytest.mark.parametrize("value", ["/etc/passwd", "../labels.csv", "a/../../labels.csv", "~/labels.csv", "{outside}/x"])
def test_the_table_of_labels_is_in_the_dataset(value: str, outside: Path, workspace: Workspace) -> None:
    assert "table: expected a file in the dataset" in _refusal(
        workspace, dataset="photos", table=value.format(outside=outside)
    )
    for accepted in ("labels.csv", "tables/labels.csv", "none", str(workspace.data / "photos" / "labels.csv")):
        assert restrict_paths(TrainConfig(dataset="photos", table=accepted), workspace).table == accepted


def test_the_operator_allows_further_folders(
    outside: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_DATA_ROOTS", f"/nowhere:{outside}")
    assert restrict_paths(TrainConfig(dataset="link"), workspace).dataset == "link"
    assert restrict_paths(TrainConfig(dataset=str(outside / "new")), workspace).dataset == str(outside / "new")
    assert "dataset" in _refusal(workspace, dataset="/nowhere/x")


@pytest.mark.parametrize("value", ["/etc", "../..", "pictures/../..", "~root", "link", "link/secret"])
def test_the_folder_of_images_is_in_the_dataset(value: str, outside: Path, workspace: Workspace) -> None:
    assert "images_directory" in _refusal(workspace, dataset="photos", images_directory=value)
    kept = restrict_paths(TrainConfig(dataset="photos", images_directory="pictures"), workspace)
    assert kept.images_directory == "pictures"
