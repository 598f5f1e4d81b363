"""What operators set by environment variables."""

import pytest

from model import environment


@pytest.mark.parametrize(
    ("text", "megabytes"), [("", 512), ("1", 1), (" 20 ", 20), ("0", 512), ("-1", 512), ("1GB", 512)]
)
def test_numbers(text: str, megabytes: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TOPGRAFT_MAX_UPLOAD_MB", text)
    assert environment.max_upload_bytes() == megabytes << 20
    assert ("TOPGRAFT_MAX_UPLOAD_MB" in caplog.text) == (text in ("0", "-1", "1GB"))


@pytest.mark.parametrize(
    ("text", "workers", "threads"),
    [("", 2, 6), ("all", 2, 6), (" Share ", 2, 3), ("share", 4, 2), ("share", 9, 1), ("2", 2, 2), ("99", 2, 6)],
)
def test_threads_are_all_processors_a_share_or_a_number(
    text: str, workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "available_processors", lambda: 6)
    monkeypatch.setenv("TOPGRAFT_THREADS", text)
    assert environment.threads(workers) == threads


@pytest.mark.parametrize("text", ["0", "-1", "half"])
def test_threads_that_make_no_sense_are_told_of(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environment, "available_processors", lambda: 6)
    monkeypatch.setenv("TOPGRAFT_THREADS", text)
    assert environment.threads(2) == 6
    assert "TOPGRAFT_THREADS" in caplog.text


@pytest.mark.parametrize(("text", "allowed"), [("", False), ("0", False), ("no", False), ("1", True), ("TRUE", True)])
def test_switches(text: str, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_ALLOW_PRIVATE_URLS", text)
    assert environment.private_urls_allowed() is allowed


@pytest.mark.parametrize(("text", "wanted"), [("", True), ("0", False), ("off", False), ("1", True)])
def test_empty_means_unset(text: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_TENSORBOARD", text)
    assert environment.tensorboard_wanted() is wanted


@pytest.mark.parametrize(
    ("text", "ports"),
    [("", {80, 443}), (" 8443 ", {8443}), ("80, 9000", {80, 9000}), ("0", {80, 443}), ("web", {80, 443})],
)
def test_ports(text: str, ports: set[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TOPGRAFT_URL_PORTS", text)
    assert environment.url_ports() == ports
    assert ("TOPGRAFT_URL_PORTS" in caplog.text) == (text in ("0", "web"))
