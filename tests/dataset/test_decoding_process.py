"""The time limit of a photo: a slow one is stopped and named, and all others are decoded as before."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from model.dataset import decoding_process, images, pipeline
from model.dataset.decoding_turns import one_request
from model.dataset.image_limits import MAX_DECODING_BYTES
from model.dataset.images import decode_in_this_process, decode_photo, measure_image, open_photo
from model.errors import ImageError, ImageTooLargeError, ImageTooSlowError
from model.results import InputSpec
from tests.support.photos import encoded, photo, random_image
from tests.support.processes import processes_below
from tests.support.slow_photos import HEADERS, large, scan_bomb
from tests.support.slowness import slowness
from tests.support.waiting import wait_until

SPEC = InputSpec.square(64)
BOMB = scan_bomb(90, 4000)
SLOW = large("PNG")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Decoding processes of this test only."""
    images._decoding_processes.cache_clear()
    yield
    for process in images._decoding_processes()._idle:
        process.close()
    images._decoding_processes.cache_clear()


def _children() -> list[psutil.Process]:
    return processes_below(psutil.Process(), "decoding_child")


@contextlib.contextmanager
def _child_killed(number: int) -> Iterator[None]:
    """Send a signal to the decoding process that starts inside, once it is decoding."""
    before = set(_children())

    def send() -> None:
        [child] = wait_until(lambda: set(_children()) - before, 30)
        wait_until(lambda: child.memory_info().rss > 60e6, 30)
        child.send_signal(number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "WEBP", "TIFF", "JPEG2000", "AVIF", "JPEG"])
def test_a_large_photo_of_any_format_has_a_time_limit(
    file_format: str, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = large(file_format)
    assert not open_photo(content, SPEC).cost.is_quick
    decoded = decode_photo(content, SPEC).pixels
    assert np.array_equal(decoded, decode_in_this_process(content, SPEC, MAX_DECODING_BYTES).pixels)
    [child] = _children()
    child.suspend()
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.1")
    with pytest.raises(ImageTooSlowError, match=r"within 0\.1 s, decoding took longer"):
        decode_photo(content, SPEC)
    assert _children() == []


@pytest.mark.parametrize("scans", [60, 90])
def test_a_progressive_jpeg_of_many_scans_is_stopped(
    scans: int, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.1")
    with pytest.raises(ImageTooSlowError):
        decode_photo(scan_bomb(scans, 4000), SPEC)
    monkeypatch.delenv("TOPGRAFT_PHOTO_SECONDS")
    assert decode_photo(SLOW, SPEC).pixels.shape == (64, 64, 3)


def _seconds_until_refused(content: bytes) -> float:
    start = time.monotonic()
    with pytest.raises(ImageTooSlowError):
        decode_photo(content, SPEC)
    return time.monotonic() - start


def test_a_photo_that_takes_too_long_is_stopped_within_a_second_of_its_limit(
    processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_photo(SLOW, SPEC)
    # As on a machine where the child has a processor for itself.
    monkeypatch.setattr(decoding_process, "processor_seconds", lambda pid: time.monotonic())
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.2")
    assert 0.2 <= _seconds_until_refused(scan_bomb(90, 4000)) < 1.2


def test_a_decoder_that_hangs_is_stopped_within_a_second_of_six_times_its_limit(
    processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_photo(SLOW, SPEC)
    # As for a child that gets no processor.
    monkeypatch.setattr(decoding_process, "processor_seconds", lambda pid: 0.0)
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.05")
    assert 0.3 <= _seconds_until_refused(scan_bomb(90, 4000)) < 1.3
    assert _children() == []


@pytest.mark.parametrize("kind", HEADERS)
def test_a_structure_that_takes_long_to_read_is_bounded(
    kind: str, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "1")
    content = HEADERS[kind]()
    for work in (measure_image, open_photo, decode_photo):
        start = time.process_time()
        with contextlib.suppress(ImageError):
            work(content)
        assert time.process_time() - start < 1.5 * slowness(), work


def test_a_slow_photo_does_not_affect_those_around_it(processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.7")
    contents = [photo(200), BOMB, photo(100), SLOW, BOMB, photo(50)]
    answers = list(pipeline.decoded(contents, bytes, SPEC, 2, on_error=lambda _, error: type(error)))
    assert [type(answer) for answer in answers[:1] + answers[2:4]] == [np.ndarray] * 3
    assert [answers[1], answers[4]] == [ImageTooSlowError] * 2
    assert np.array_equal(answers[5], decode_photo(photo(50), SPEC).pixels)


def test_errors_and_distributions_of_values_come_from_the_child(processes: None) -> None:
    with pytest.raises(ImageError, match="received a damaged PNG"):
        decode_photo(SLOW[:-200], SPEC)
    with pytest.raises(ImageTooLargeError, match="at most 1 MB"):
        decode_photo(SLOW, SPEC, max_memory=1_000_000)
    deep = np.random.default_rng(0).integers(0, 4000, (2600, 2600), dtype=np.uint16)
    deep[:300] = 65535
    content = encoded(Image.fromarray(deep), "PNG", compress_level=1)
    remote, local = decode_photo(content, SPEC), decode_in_this_process(content, SPEC, MAX_DECODING_BYTES)
    assert np.array_equal(remote.pixels, local.pixels) and remote.pixels.flags.writeable
    assert remote.values is not None and local.values is not None
    assert remote.values.dtype == local.values.dtype == "uint16"
    assert np.array_equal(remote.values.quantiles, local.values.quantiles)
    assert remote.values.isolated == local.values.isolated == (None, 65535)
    assert len(_children()) == 1


def test_a_process_that_is_killed_is_an_error_of_its_photo_only(processes: None) -> None:
    with _child_killed(signal.SIGKILL), pytest.raises(ImageError, match=r"was killed \(SIGKILL\)"):
        decode_photo(BOMB, SPEC)
    assert decode_photo(SLOW, SPEC).pixels.shape == (64, 64, 3)


def test_a_process_that_ended_while_it_was_idle_is_replaced(processes: None) -> None:
    decode_photo(SLOW, SPEC)
    [child] = _children()
    child.kill()
    assert decode_photo(SLOW, SPEC).pixels.shape == (64, 64, 3)
    assert _children() != [child]


def test_a_process_that_was_stopped_while_it_was_idle_is_replaced(processes: None) -> None:
    decode_photo(SLOW, SPEC)
    [child] = _children()
    child.suspend()
    assert decode_photo(SLOW, SPEC).pixels.shape == (64, 64, 3)
    assert _children() != [child]


def test_a_process_that_is_stopped_while_it_decodes_is_an_error_of_its_photo_only(
    processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "600")
    with _child_killed(signal.SIGSTOP), pytest.raises(ImageError, match="was stopped by a signal"):
        decode_photo(BOMB, SPEC)
    assert _children() == []
    assert decode_photo(SLOW, SPEC).pixels.shape == (64, 64, 3)


def test_a_slow_photo_of_a_request_leaves_the_processors_to_others(
    processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered: list[int] = []
    monkeypatch.setattr(decoding_process, "SECONDS_OF_A_TURN", 0.0)
    monkeypatch.setattr(decoding_process, "_lower_priority", lowered.append)
    decode_photo(SLOW, SPEC)
    assert not lowered
    monkeypatch.setattr(decoding_process, "_SECONDS_STOPPED", 600.0)
    [child] = _children()
    child.suspend()
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.1")
    with one_request(), pytest.raises(ImageTooSlowError):
        decode_photo(SLOW, SPEC)
    assert set(lowered) == {child.pid}


def test_without_a_process_the_photo_is_not_blamed(processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr("model.dataset.decoding_process.subprocess.Popen", fail)
    with pytest.raises(MemoryError, match="no process can be started"):
        decode_photo(SLOW, SPEC)


def test_memory_beyond_the_limit_of_the_process_is_an_error_of_the_photo(
    processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_MAX_PROCESS_BYTES", 60_000_000)
    with pytest.raises(ImageError):
        decode_photo(encoded(random_image(1, (5200, 5200)), "JPEG"), None)


def test_quick_photos_are_decoded_without_a_process(processes: None) -> None:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        assert decode_photo(photo(form=form, size=(640, 480)), SPEC).pixels.shape == (64, 64, 3)
    assert _children() == []


def test_a_decoding_process_ends_with_its_parent(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(scan_bomb(90, 3000))
    code = f"from model.dataset.images import read_image; from pathlib import Path; read_image(Path({str(bomb)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as parent:
        [child] = wait_until(lambda: psutil.Process(parent.pid).children(), 30)
        wait_until(lambda: child.memory_info().rss > 60e6, 30)
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not child.is_running(), 10)
