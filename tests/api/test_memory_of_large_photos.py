"""Large photos in both workers at once: the service stays far below the memory of a small container."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from PIL import Image

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import encoded, photo
from tests.support.probe import repeated
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

MAX_BYTES = 2_500_000_000
_RED = (120, 30, 9)
_SECONDS_BETWEEN_SAMPLES = 0.05


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    # The memory is measured here, not the time.
    with running_server(home, TOPGRAFT_PHOTO_SECONDS="300", TOPGRAFT_WORKER_SECONDS="600") as running:
        yield running


class Peak:
    """Largest sum of the memory of all processes of a server, in bytes."""

    def __init__(self, server: Server) -> None:
        self.size = 0
        self._process = server.process

    def sampled(self) -> contextlib.AbstractContextManager[None]:
        return repeated(self._sample, _SECONDS_BETWEEN_SAMPLES)

    def _sample(self) -> None:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self.size = max(self.size, total)


def _predict(server: Server, content: bytes) -> requests.Response:
    files, headers = {"image": ("a.jpg", content)}, {"accept": "application/json"}
    return requests.post(f"{server.url}/predict/", files=files, headers=headers, timeout=500)


def _content(kind: str) -> bytes:
    """A photo of 79 megapixels, just below the limit of memory for decoding."""
    options = {"JPEG": {"progressive": True, "quality": 50}, "PNG": {"compress_level": 1}}[kind]
    return encoded(Image.new("RGB", (8900, 8900), _RED), kind, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_largest_photos_at_once_take_less_memory_than_a_small_container_has(server: Server, kind: str) -> None:
    content = _content(kind)
    assert server.predict(photo()).status_code == 200
    workers = {child.pid for child in server.process.children()}
    peak = Peak(server)
    with peak.sampled(), ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: _predict(server, content), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4, answers[0].text[:500]
    print(f"{kind}: {peak.size / 1e6:,.0f} MB")
    assert workers <= {child.pid for child in server.process.children()}
    assert peak.size < MAX_BYTES
