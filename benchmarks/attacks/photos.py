"""Hostile photos: slow to decode, slow to read, or large."""

import contextlib
import functools
import io
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.attacks.target import Target, Trick
from tests.support import slow_photos
from tests.support.photos import photo
from tests.support.processes import tree_megabytes

_LARGE = ("PNG", "GIF", "WEBP", "TIFF", "JPEG2000", "AVIF", "JPEG")
_MOVING = ("GIF", "PNG", "WEBP")
# Structures that are slow to read are refused; which of these come before the pixels differs between formats.
_REFUSED = (400, 413, 415)
_ANSWERED = (200, *_REFUSED)
_CONTAINER_MEGABYTES = 4000.0
# As many scans as are allowed, and as large as they may be: seconds, on a busy machine more than the limit.
_SLOW = (90, 5000)
# Deadline of an honest client, in seconds.
_MAX_WAIT = 10.0
_DECODED_OR_SLOW = (200, 413)


def tricks() -> list[Trick]:
    """Hostile photos, each uploaded to predict."""
    return [
        *(Trick(name, _upload(make, _ANSWERED)) for name, make in slow_photos.HEADERS.items()),
        *(Trick(f"large {form}", _upload(functools.partial(slow_photos.large, form), (200,))) for form in _LARGE),
        *(
            Trick(f"animated {form}", _upload(functools.partial(slow_photos.animated, form), (200,)))
            for form in _MOVING
        ),
        Trick("interlaced PNG of 16 bits", _upload(lambda: slow_photos.interlaced(4000), _DECODED_OR_SLOW)),
        Trick("progressive JPEG of 90 scans", _upload(lambda: slow_photos.scan_bomb(*_SLOW), _DECODED_OR_SLOW)),
        Trick("progressive JPEG of 600 scans", _upload(lambda: slow_photos.scan_bomb(600, 4000), (413,))),
        Trick("half a photo", _upload(lambda: photo(size=(640, 480))[:-400], (200, 415))),
        Trick("eight slow photos at once", _eight_at_once),
        Trick("two large photos at once", _two_large_at_once),
        Trick("three zips of slow photos, and a PNG that is decoded in a process", _three_zips_of_slow_photos),
    ]


def _upload(make: Callable[[], bytes], statuses: Collection[int]) -> Callable[[Target], str]:
    def play(target: Target) -> str:
        status = target.post(make()).status_code
        return "" if status in statuses else f"expected status {statuses}, received {status}"

    return play


def _eight_at_once(target: Target) -> str:
    return _at_once(target, [slow_photos.scan_bomb(*_SLOW)] * 8, _DECODED_OR_SLOW)


def _two_large_at_once(target: Target) -> str:
    """As much memory as photos may take on two processors, in a container of 4 GB."""
    sums: list[float] = []
    sampler = threading.Event()

    def sample() -> None:
        while not sampler.wait(0.05):
            with contextlib.suppress(psutil.Error):
                sums.append(tree_megabytes(target.server.process)[0])

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        problem = _at_once(target, [slow_photos.interlaced(5000)] * 2, (200,))
    finally:
        sampler.set()
        thread.join()
    print(f"two large photos at once: {max(sums):.0f} MB of memory together", file=sys.stderr)
    return problem or ("" if max(sums) < _CONTAINER_MEGABYTES else f"they take {max(sums):.0f} MB")


def _three_zips_of_slow_photos(target: Target) -> str:
    """A plain PNG of 7 megapixels, several times while the zips are processed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"{number}.jpg", slow_photos.scan_bomb(90, 4000))
    honest = slow_photos.large("PNG")
    target.post(honest)
    waits = []
    with ThreadPoolExecutor(3) as clients:
        zips = [clients.submit(target.post, stream.getvalue(), "a.zip") for _ in range(3)]
        while not all(answer.done() for answer in zips):
            start = time.monotonic()
            if (status := target.post(honest).status_code) != 200:
                return f"expected status 200 for the PNG, received {status}"
            waits.append(time.monotonic() - start)
    print(f"a PNG beside three zips of slow photos: longest wait {max(waits):.1f} s", file=sys.stderr)
    return "" if max(waits) < _MAX_WAIT else f"the PNG waited {max(waits):.1f} s"


def _at_once(target: Target, contents: list[bytes], expected: Collection[int]) -> str:
    with ThreadPoolExecutor(len(contents)) as clients:
        statuses = [answer.status_code for answer in clients.map(target.post, contents)]
    return "" if set(statuses) <= set(expected) else f"expected only statuses {expected}, received {statuses}"
