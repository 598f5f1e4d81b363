"""`topgraft doctor --storage` finds the user that the credentials belong to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.storage.diagnosis import check_remote
from tests.support.nextcloud_server import Nextcloud, nextcloud
from tests.support.storage_servers import use


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nextcloud]:
    with nextcloud(tmp_path / "files") as running:
        use(monkeypatch, running.environment())
        yield running


@pytest.mark.parametrize("owner", ["bob", "b\u00f6b", "a person@example.org"])
def test_another_users_name_in_the_url_is_found(cloud: Nextcloud, owner: str) -> None:
    cloud.principal = owner
    *_, last = check_remote("rshare:")
    assert not last.works and "'alice'" in last.detail and repr(owner) in last.detail and "/dav/files/" in last.detail


@pytest.mark.parametrize("owner", ["alice", "Alice", ""], ids=["the same", "in other case", "not reported"])
def test_ones_own_name_in_the_url_is_accepted(cloud: Nextcloud, owner: str) -> None:
    cloud.principal = owner
    assert all(check.works for check in check_remote("rshare:"))


def test_a_wrong_password_is_reported_once(cloud: Nextcloud) -> None:
    cloud.refuses = True
    *_, last = check_remote("rshare:")
    assert not last.works and "401" in last.detail
    assert len(cloud.requests) == 1
