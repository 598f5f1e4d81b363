"""Publishing to a Nextcloud: archive, public link, verification and child module; it is repeatable."""

import dataclasses
import datetime
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from model import durable
from model.bundle import Bundle, write_manifest
from model.cli import main
from model.errors import (
    ConfigError,
    StorageDamagedError,
    StorageFullError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageSettingsError,
    StorageUnreachableError,
)
from model.export.comparison_photos import draw_photos
from model.publishing import upload
from model.publishing.card import About
from model.publishing.child_module import WRITTEN
from model.publishing.child_options import ChildOptions
from model.publishing.public_link import SharedFiles
from model.publishing.publish import PublishOptions, plan, publish
from model.publishing.record import RECORD
from model.publishing.upload import push_model
from model.registry import find_bundle
from model.storage import WebDavAccount, failures, parse_place, rclone_queries
from model.storage.rclone import Rclone
from model.workspace import Workspace
from tests.support.nextcloud_server import FOLDER, NAME, SHARED, TOKEN, Nextcloud, nextcloud
from tests.support.ports import free_port
from tests.support.small_model import write_model
from tests.support.storage_servers import PASSWORD

OPTIONS = PublishOptions(f"rshare:{FOLDER}")
SECRET = "Str0ng-Sh4re-Pw"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nextcloud]:
    """A Nextcloud, as the remote `rshare:`."""
    with nextcloud(tmp_path / "cloud") as running:
        (running.root / FOLDER).mkdir(parents=True)
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Nextcloud as the remote `rshare:` that gets no requests."""
    url = "https://cloud.example.org/remote.php/dav/files/alice"
    for name, value in {"TYPE": "webdav", "VENDOR": "nextcloud", "URL": url}.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_RSHARE_{name}", value)


@pytest.fixture
def published(workspace: Workspace) -> Bundle:
    """A model of the name that the recorded exchanges are about."""
    write_model(workspace.models / NAME)
    return find_bundle(workspace, NAME)


def a_month_from_now() -> str:
    return (datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=30)).isoformat()


def test_publishing_uploads_links_verifies_writes_the_child_module_and_is_repeatable(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    begun: list[int] = []
    first = publish(published, workspace, OPTIONS, on_step=begun.append)
    assert begun == list(range(1, len(plan(published, workspace, OPTIONS)) + 1))
    assert first.sent and first.link.is_new
    assert first.link.url == f"{cloud.url}/s/{TOKEN}/download"
    sent = cloud.root / SHARED[1:]
    assert sent.read_bytes() == first.archive.path.read_bytes()
    assert sorted(path.name for path in sent.parent.iterdir()) == [sent.name, f"{sent.name}.sha256"]
    assert first.child is not None
    dockerfile = (first.child.directory / "Dockerfile").read_text()
    assert first.link.url in dockerfile and first.archive.sha256 in dockerfile
    before = sent.stat().st_mtime_ns

    second = publish(published, workspace, OPTIONS)
    assert not second.sent and not second.link.is_new and sent.stat().st_mtime_ns == before
    assert second.link.url == first.link.url and len(cloud.shares) == 1
    assert sum(line.startswith("POST") for line in cloud.asked) == 1
    assert second.child is not None and second.child.kept == ()


def titled(title: str) -> PublishOptions:
    return dataclasses.replace(OPTIONS, child=ChildOptions(About(title)))


def planned_folder(bundle: Bundle, workspace: Workspace, options: PublishOptions) -> Path:
    return Path(plan(bundle, workspace, options)[-1].rpartition(": ")[2])


def test_another_title_updates_the_existing_child_module(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, tmp_path: Path
) -> None:
    first = publish(published, workspace, OPTIONS)
    again = publish(published, workspace, titled("Colours of things"))
    assert first.child is not None and again.child is not None
    assert again.child.directory == first.child.directory
    assert len(list((workspace.root / "published").rglob(WRITTEN))) == 1
    assert "Colours of things" in (again.child.directory / "README.md").read_text()
    moved = shutil.copytree(workspace.root / "published", tmp_path / "moved" / "published")
    assert planned_folder(published, Workspace(tmp_path / "moved"), titled("Another")) == moved / NAME / NAME
    assert planned_folder(published, workspace, dataclasses.replace(OPTIONS, out=tmp_path / "new")) == tmp_path / "new"


def test_a_title_given_after_a_kill_continues_the_same_child_module(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = durable.replace_file

    def stop_at_the_readme(path: Path, *arguments: Any) -> None:
        if path.name == "README.md":
            raise KeyboardInterrupt
        replace_file(path, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(durable, "replace_file", stop_at_the_readme)
        publish(published, workspace, dataclasses.replace(OPTIONS, out=tmp_path / "elsewhere"))
    assert planned_folder(published, workspace, titled("Another")) == tmp_path / "elsewhere"
    shutil.rmtree(tmp_path / "elsewhere")
    assert planned_folder(published, workspace, titled("Another")) == workspace.root / "published" / NAME / "another"


def test_a_record_without_a_folder_is_ignored(settings: None, published: Bundle, workspace: Workspace) -> None:
    folder = workspace.root / "published" / NAME
    folder.mkdir(parents=True)
    for record in ("", "[]", "{}", '{"child": ""}', '{"child": 7}'):
        (folder / RECORD).write_text(record)
        assert planned_folder(published, workspace, titled("Another")) == folder / "another"


def test_a_link_with_other_content_is_detected(cloud: Nextcloud, published: Bundle, workspace: Workspace) -> None:
    cloud.page = b"<html>something else</html>"
    with pytest.raises(StorageDamagedError, match="private window"):
        publish(published, workspace, OPTIONS)
    assert not list((workspace.root / "published").rglob("Dockerfile"))


def test_an_archive_replaced_by_another_publish_is_restored_by_repeating(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    content = publish(published, workspace, OPTIONS).archive.path.read_bytes()
    cloud.shared_file.write_bytes(bytes(len(content)))
    assert publish(published, workspace, OPTIONS).sent and cloud.shared_file.read_bytes() == content


def test_an_archive_of_another_publish_gets_no_checksum(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = publish(published, workspace, OPTIONS).archive.path.read_bytes()
    write_manifest(published.directory, dataclasses.replace(published.manifest, temperature=2.0))
    push, replacing = Rclone.push, dataclasses.replace(OPTIONS, replace=True)

    def replaced_by_another(self: Rclone, source: Path, name: str, *more: Any, **named: Any) -> None:
        push(self, source, name, *more, **named)
        cloud.shared_file.write_bytes(content)

    with monkeypatch.context() as patched, pytest.raises(StorageDamagedError):
        patched.setattr(Rclone, "push", replaced_by_another)
        publish(find_bundle(workspace, NAME), workspace, replacing)
    assert not cloud.shared_file.with_name(f"{cloud.shared_file.name}.sha256").exists()
    assert cloud.shared_file.read_bytes() == content
    assert publish(find_bundle(workspace, NAME), workspace, replacing).sent


def changed(bundle: Bundle, workspace: Workspace) -> Bundle:
    """The same model with other content."""
    write_manifest(bundle.directory, dataclasses.replace(bundle.manifest, temperature=2.0))
    return find_bundle(workspace, bundle.name)


def test_a_new_version_keeps_the_link_and_the_content_that_child_modules_pin(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    first = publish(published, workspace, OPTIONS)
    content = first.archive.path.read_bytes()
    second = publish(changed(published, workspace), workspace, OPTIONS)
    assert requests.get(first.link.url, timeout=10).content == content
    assert second.link.url != first.link.url and second.link.is_new
    assert requests.get(second.link.url, timeout=10).content == second.archive.path.read_bytes() != content
    assert second.place == f"rshare:{FOLDER}/{NAME}-{second.archive.sha256[:8]}.tar.xz"
    assert second.child is not None and second.link.url in (second.child.directory / "Dockerfile").read_text()
    assert any("is kept" in remark and first.place in remark for remark in second.remarks)
    checksum = cloud.root / f"{second.place.partition(':')[2]}.sha256"
    assert checksum.read_text() == f"{second.archive.sha256}  {second.archive.path.name}\n"
    third = publish(find_bundle(workspace, NAME), workspace, OPTIONS)
    assert not third.sent and third.link.url == second.link.url and len(cloud.shares) == 2


def test_a_replaced_version_keeps_its_link_and_says_what_breaks(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    first = publish(published, workspace, OPTIONS)
    second = publish(changed(published, workspace), workspace, dataclasses.replace(OPTIONS, replace=True))
    assert second.link.url == first.link.url and second.sent and len(cloud.shares) == 1
    assert requests.get(first.link.url, timeout=10).content == second.archive.path.read_bytes()
    assert any("can no longer be built" in remark for remark in second.remarks)
    assert not any("can no longer be built" in remark for remark in first.remarks)


def test_a_version_without_a_link_is_replaced(cloud: Nextcloud, published: Bundle, workspace: Workspace) -> None:
    push_model(published, OPTIONS.to)
    done = publish(changed(published, workspace), workspace, OPTIONS)
    assert done.place == f"rshare:{FOLDER}/{NAME}.tar.xz" and done.sent and len(done.remarks) == 1


def test_a_push_over_a_published_version_keeps_its_link_and_warns(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish(published, workspace, OPTIONS)
    push_model(find_bundle(workspace, NAME), OPTIONS.to)
    assert "public link" not in caplog.text
    push_model(changed(published, workspace), OPTIONS.to)
    assert "has a public link" in caplog.text and "can no longer be built" in caplog.text
    assert requests.get(first.link.url, timeout=10).content == cloud.shared_file.read_bytes()


@pytest.mark.parametrize("fault", ["quota", "password", "server"])
def test_the_server_is_asked_before_the_model_is_packed(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "quota":
        monkeypatch.setattr(rclone_queries, "free_bytes", lambda place: 10)
    elif fault == "password":
        cloud.refuses = True
    else:
        monkeypatch.setenv("RCLONE_CONFIG_RSHARE_URL", f"http://127.0.0.1:{free_port()}/remote.php/dav/files/alice")
        monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", ())
    kinds = {"quota": StorageFullError, "password": StorageRefusedError, "server": StorageUnreachableError}
    monkeypatch.setattr(upload, "write_archive", None)
    with pytest.raises(kinds[fault]):
        push_model(published, OPTIONS.to)
    with pytest.raises(kinds[fault]):
        publish(published, workspace, OPTIONS)
    assert not list((workspace.root / "published").rglob("*.tar.xz"))


def test_leftovers_of_a_killed_publish_are_removed_by_the_next(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    folder = workspace.root / "published" / NAME
    (folder / ".proof-killed").mkdir(parents=True)
    (folder / ".proof-killed" / f"{NAME}.tar.xz").write_bytes(b"half")
    (folder / f".{NAME}.tar.xz.{'ab' * 16}").write_bytes(b"half")
    (folder / f".{RECORD}.{'ab' * 16}").write_bytes(b"half")
    publish(published, workspace, OPTIONS)
    hidden = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    assert hidden == [".lock"]


def test_an_expiry_date_is_set_reported_and_written_into_the_readme(
    cloud: Nextcloud, published: Bundle, workspace: Workspace
) -> None:
    publish(published, workspace, OPTIONS)
    day = a_month_from_now()
    done = publish(published, workspace, dataclasses.replace(OPTIONS, expires=day))
    assert done.link.expires == day and not done.link.is_new and len(cloud.shares) == 1
    assert any(f"expires on {day}" in remark for remark in done.remarks)
    assert done.child is not None and f"expires on {day}" in (done.child.directory / "README.md").read_text()
    assert publish(published, workspace, OPTIONS).link.expires == day, (
        "the same link is used, and its expiry date reported"
    )


def test_a_password_is_set_and_verified_and_leaves_no_trace(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    done = publish(published, workspace, dataclasses.replace(OPTIONS, password=SECRET))
    assert done.link.has_password and done.child is None
    assert any("has a password" in remark for remark in done.remarks)
    assert SECRET not in caplog.text and PASSWORD not in caplog.text and SECRET not in str(done)
    written = [path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content or PASSWORD.encode() in content for content in written)
    publish(published, workspace, OPTIONS)
    assert len(cloud.shares) == 2, "a link that asks for a password is no use to the hub: another is made"


def links_of(cloud: Nextcloud) -> SharedFiles:
    (cloud.root / SHARED[1:]).write_bytes(b"x")
    return SharedFiles(WebDavAccount(f"{cloud.url}/remote.php/dav/files/alice", "alice", PASSWORD, "nextcloud"))


def test_a_refusal_of_the_server_is_reported_in_its_words(cloud: Nextcloud) -> None:
    place, links = parse_place(f"rshare:{SHARED}"), links_of(cloud)
    with pytest.raises(ConfigError, match="most common ones"):
        links.link(place, password="abc")
    with pytest.raises(ConfigError, match="Expiration date is in the past"):
        links.link(place, expires="2099-01-01")
    (cloud.root / SHARED[1:]).unlink()
    with pytest.raises(StorageNotFoundError, match="file/folder does not exist"):
        links.link(place)


def test_a_wrong_password_is_reported_and_never_retried(cloud: Nextcloud) -> None:
    cloud.refuses = True
    with pytest.raises(StorageRefusedError, match="401: Unauthorised") as refused:
        links_of(cloud).link(parse_place(f"rshare:{SHARED}"))
    assert len(cloud.asked) == 1 and PASSWORD not in str(refused.value)


def test_a_dry_run_lists_the_steps_and_does_nothing(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(workspace.root)]
    assert main([*place, "publish", NAME, "--to", f"rshare:{FOLDER}", "--dry-run", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["plan"]
    assert len(steps) == 5 and f"rshare:{FOLDER}/{NAME}.tar.xz" in steps[1]
    assert cloud.asked == [] and not (workspace.root / "published").exists()
    assert list((cloud.root / FOLDER).iterdir()) == []


def test_the_command_lists_the_remaining_manual_steps(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(workspace.root)]
    assert main([*place, "publish", NAME, "--to", f"rshare:{FOLDER}", "--title", "Colours", "--author", "A"]) == 0
    said = capsys.readouterr().out
    assert "the sha256 of the download is correct" in said and "Remaining steps:" in said and "Note: Anyone" in said
    assert (workspace.root / "published" / NAME / "colours" / "README.md").is_file()


def test_problems_of_the_child_module_are_reported_before_the_upload(
    cloud: Nextcloud, published: Bundle, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "broken.jpg").write_bytes(draw_photos(1)[0][:500])
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    bad: list[tuple[PublishOptions, str]] = [
        (dataclasses.replace(OPTIONS, child=ChildOptions(base="Bad Name")), "base: expected"),
        (dataclasses.replace(OPTIONS, child=ChildOptions(tag="a b")), "tag: expected"),
        (dataclasses.replace(OPTIONS, child=ChildOptions(sample=tmp_path / "notes.txt")), "sample: expected a photo"),
        (dataclasses.replace(OPTIONS, child=ChildOptions(sample=tmp_path / "broken.jpg")), "sample: expected a photo"),
        (dataclasses.replace(OPTIONS, out=tmp_path / "thesis"), "contains something else"),
    ]
    for options, reason in bad:
        for do in (plan, publish):
            with pytest.raises(ConfigError, match=reason):
                do(published, workspace, options)
        with_password = dataclasses.replace(options, password=SECRET)
        assert len(plan(published, workspace, with_password)) == 4, "no child module follows from such a link"
    assert cloud.asked == [] and list((cloud.root / FOLDER).iterdir()) == []


def test_links_over_plain_http_are_refused_before_the_upload(
    settings: None, published: Bundle, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_RSHARE_URL", "http://cloud.example.org/remote.php/dav/files/alice")
    for do in (plan, publish):
        with pytest.raises(StorageSettingsError, match=r"https://HOST.*'http://cloud\.example\.org'"):
            do(published, workspace, OPTIONS)
    assert len(plan(published, workspace, dataclasses.replace(OPTIONS, password=SECRET))) == 4


def test_a_dry_run_does_not_remove_files_of_a_running_command(
    settings: None, published: Bundle, workspace: Workspace, tmp_path: Path
) -> None:
    half = tmp_path / "child" / f".{WRITTEN}.{'ab' * 16}"
    half.parent.mkdir()
    half.write_bytes(b"half")
    assert len(plan(published, workspace, dataclasses.replace(OPTIONS, out=half.parent))) == 5
    assert half.is_file()


def test_past_expiry_dates_and_remotes_without_links_are_refused_before_the_upload(
    settings: None, published: Bundle, workspace: Workspace
) -> None:
    with pytest.raises(ConfigError, match="a future day"):
        plan(published, workspace, dataclasses.replace(OPTIONS, expires="2020-01-01"))
    account = WebDavAccount("https://other.example.org/dav", "u", "p")
    with pytest.raises(StorageSettingsError, match="child-module --weights-url"):
        SharedFiles(account)
