"""Requests take turns at the processes that decode slow photos."""

import contextvars
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from model.dataset import decoding_process, decoding_turns
from model.dataset.decoding_process import DecodingProcesses
from model.dataset.decoding_turns import SECONDS_OF_A_TURN, Turns, one_request
from model.errors import ImageTooSlowError
from tests.support.waiting import wait_until


class Photos:
    """Photos of requests that are decoded until the test ends them; the clock stands still until it is set."""

    def __init__(self, places: int) -> None:
        self.now = 0.0
        self.turns = Turns(places, lambda: self.now)
        self.decoding: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(32)
        self._requests: dict[str, contextvars.Context] = {}

    def start(self, name: str) -> None:
        """Start to decode a photo, of the request that the first letter of its name stands for."""
        context = self._requests.setdefault(name[0], self._request())
        self._ends[name] = threading.Event()
        waiting = len(self.turns._waiting) + len(self.turns._running)
        future: Future[None] = self._pool.submit(context.copy().run, self._decode, name)
        wait_until(lambda: len(self.turns._waiting) + len(self.turns._running) > waiting or future.done(), 10)

    def end(self, name: str) -> None:
        """End a photo."""
        self._ends[name].set()
        wait_until(lambda: name not in self.decoding, 10)

    def are(self, *names: str) -> bool:
        """Whether exactly these photos are soon in decoding."""
        wait_until(lambda: len(self.decoding) >= len(names), 10)
        with self.turns._changed:
            waiting = [turn for turn in self.turns._waiting if self.turns._is_next(turn)]
        return not waiting and set(self.decoding) == set(names)

    def close(self) -> None:
        """End all photos."""
        while self.decoding or self.turns._waiting:
            for event in self._ends.values():
                event.set()
            time.sleep(0.01)
        self._pool.shutdown()

    def _request(self) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(decoding_turns._request.set, decoding_turns.Request())
        return context

    def _decode(self, name: str) -> None:
        with self.turns.turn():
            self.decoding.append(name)
            self._ends[name].wait()
            self.decoding.remove(name)


@pytest.fixture
def photos() -> Iterator[Photos]:
    found = Photos(2)
    yield found
    found.close()


def test_a_free_place_goes_to_the_request_with_the_fewest_photos(photos: Photos) -> None:
    for name in ("a1", "a2", "a3", "a4", "b1", "c1"):
        photos.start(name)
    assert photos.are("a1", "a2")
    photos.end("a1")
    assert photos.are("a2", "b1")
    photos.end("a2")
    assert photos.are("b1", "a3") or photos.are("b1", "c1")


def test_a_long_photo_gives_its_place_to_another_request_only(photos: Photos) -> None:
    for name in ("a1", "a2", "a3"):
        photos.start(name)
    photos.now = SECONDS_OF_A_TURN
    assert photos.are("a1", "a2")
    for name in ("b1", "b2", "b3"):
        photos.start(name)
    assert photos.are("a1", "a2", "b1", "b2")
    photos.now = 2 * SECONDS_OF_A_TURN
    photos.start("c1")
    # At most twice as many processes as places.
    assert photos.are("a1", "a2", "b1", "b2")
    photos.end("b1")
    assert photos.are("a1", "a2", "b2", "c1")


def test_slow_photos_of_three_requests_leave_a_place_within_a_turn(photos: Photos) -> None:
    for index in range(6):
        for request in "abc":
            photos.start(f"{request}{index}")
    photos.start("honest")
    photos.now = SECONDS_OF_A_TURN
    # One of each, and the photo that came last.
    wait_until(lambda: "honest" in photos.decoding, 10)
    assert len(photos.decoding) == 4


def test_a_wait_that_is_cancelled_leaves_no_trace(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(_is_over: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(decoding_turns, "wait_until", cancel)
    with pytest.raises(InterruptedError), photos.turns.turn():
        pass
    assert not photos.turns._waiting and not photos.turns._running


def test_photos_after_three_that_took_too_long_get_one_turn_each(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def stop(self: object, content: bytes, spec: object, max_memory: int, seconds: float) -> None:
        limits.append(seconds)
        raise ImageTooSlowError("too slow")

    monkeypatch.setattr(decoding_process, "DecodingProcess", _NoProcess)
    monkeypatch.setattr(_NoProcess, "decode", stop)
    processes = DecodingProcesses(10**9)

    def decode_five() -> list[float]:
        limits.clear()
        for _ in range(5):
            with pytest.raises(ImageTooSlowError):
                processes.decode(b"", None, 1)
        return list(limits)

    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "10")
    with one_request():
        assert decode_five() == [10, 10, 10, SECONDS_OF_A_TURN, SECONDS_OF_A_TURN]
    # A dataset is no request.
    assert decode_five() == [10] * 5


class _NoProcess:
    def __init__(self, max_bytes: int) -> None:
        pass

    def decode(self, content: bytes, spec: object, max_memory: int, seconds: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass
