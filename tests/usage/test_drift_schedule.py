"""The schedule of drift checks: a first verdict follows as soon as there are enough photos."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model import durable
from model.provenance import utc_now, utc_today
from model.usage import drift_check
from model.usage.drift import MIN_PHOTOS, Drift, DriftVerdict
from model.usage.drift_check import DriftChecks
from model.usage.store import DRIFT, UsageStore
from model.workspace import Workspace
from tests.support.waiting import wait_until
from tests.usage.records import PETS, record

SECONDS = 60


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UsageStore:
    """Records of 10 photos, which are too few."""
    monkeypatch.setattr(drift_check, "_MIN_SECONDS_BETWEEN_CHECKS", 0.01)
    store = UsageStore(Workspace(tmp_path))
    store.add(PETS, utc_today(), record(10))
    return store


def write_verdict(store: UsageStore, verdict: DriftVerdict) -> None:
    content = Drift(verdict, "of this test").to_json() | {"looked": utc_now()}
    durable.write_json(store.folder(PETS) / DRIFT, content)


def checks(store: UsageStore, tmp_path: Path, check: Callable[[], DriftVerdict]) -> DriftChecks:
    return DriftChecks(Workspace(tmp_path), store, lambda model: write_verdict(store, check()))


def verdict_is(store: UsageStore, verdict: str) -> bool:
    return (store.drift(PETS) or {}).get("verdict") == verdict


def test_photos_that_come_during_a_check_are_checked_without_another_request(store: UsageStore, tmp_path: Path) -> None:
    begun, more_came = threading.Event(), threading.Event()

    def check() -> DriftVerdict:
        photos = store.days(PETS)[utc_today()].sample.distinct
        begun.set()
        assert more_came.wait(SECONDS)
        return "no drift seen" if photos >= MIN_PHOTOS else "too few photos"

    checked = checks(store, tmp_path, check)
    checked.start({PETS})
    assert begun.wait(SECONDS)
    store.add(PETS, utc_today(), record(MIN_PHOTOS, first=10))
    checked.start({PETS})
    more_came.set()
    wait_until(lambda: verdict_is(store, "no drift seen"), SECONDS)


def test_the_late_verdict_of_another_worker_on_fewer_photos_is_replaced(store: UsageStore, tmp_path: Path) -> None:
    store.add(PETS, utc_today(), record(MIN_PHOTOS, first=10))
    verdicts: Iterator[DriftVerdict] = iter(["too few photos", "too few photos", "no drift seen"])
    checks(store, tmp_path, lambda: next(verdicts)).start({PETS})
    wait_until(lambda: verdict_is(store, "no drift seen"), SECONDS)


def test_a_verdict_is_not_repeated(store: UsageStore, tmp_path: Path) -> None:
    store.add(PETS, utc_today(), record(MIN_PHOTOS, first=10))
    made: list[str] = []

    def check() -> DriftVerdict:
        made.append("drift")
        return "drift"

    checked = checks(store, tmp_path, check)
    for _ in range(3):
        checked.start({PETS})
        wait_until(lambda: not checked._is_checking, SECONDS)
    assert made == ["drift"]
