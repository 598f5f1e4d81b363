"""Decoding in threads: order, errors, and bounded memory whatever the images are."""

import re
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset import pipeline
from model.dataset.images import decode_image
from model.dataset.memory_budget import MemoryBudget
from model.dataset.pipeline import encoded_batches
from model.errors import ImageError
from model.results import InputSpec, Sample
from tests.support.photos import photo
from tests.support.small_model import write_small_model

SPEC = InputSpec.square(16)

# A zip in the place of an upload, in a process that believes to have eight processors.
ASK = """
import resource, sys, types
import model.dataset.pipeline as pipeline
pipeline.available_processors = lambda: 8
from api import plugin
def ask(path):
    upload = types.SimpleNamespace(filename=path, original_filename="photos.zip")
    return plugin.predict(image=upload, top_k=1)["predictions"]
assert len(ask(sys.argv[1])) == 2
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert [answer.get("labels") for answer in ask(sys.argv[2])] == [["red"]] * 3
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_images_are_decoded_in_order_as_the_decoder_does() -> None:
    contents = [photo(brightness) for brightness in range(0, 250, 10)]
    spec = InputSpec(16, 24, "pad")
    images = list(pipeline.decoded(contents, bytes, spec, threads=3))
    assert all(
        np.array_equal(image, decode_image(content, spec)) for image, content in zip(images, contents, strict=True)
    )


def test_an_image_that_cannot_be_decoded_raises_or_is_replaced() -> None:
    contents = [photo(200), b"text", photo(100)]
    with pytest.raises(ImageError, match="received text"):
        list(pipeline.decoded(contents, bytes, SPEC))
    first, error, last = pipeline.decoded(
        contents, bytes, SPEC, on_error=lambda content, error: (content, error.message)
    )
    assert isinstance(first, np.ndarray) and isinstance(last, np.ndarray)
    assert error[0] == b"text" and "received text" in error[1]


def test_a_transform_is_given_the_image_and_its_item() -> None:
    items = [(photo(200), 1), (photo(200), 2)]
    plain = decode_image(photo(200), SPEC)
    images = pipeline.decoded(
        items, lambda item: item[0], SPEC, transform=lambda image, item: image + np.uint8(item[1])
    )
    assert [np.array_equal(image, plain + np.uint8(number)) for image, (_, number) in zip(images, items, strict=True)]


def test_a_single_thread_is_the_calling_thread() -> None:
    threads = list(pipeline.in_threads(lambda _: threading.get_ident(), range(5), threads=1))
    assert set(threads) == {threading.get_ident()}
    assert threading.get_ident() not in set(pipeline.in_threads(lambda _: threading.get_ident(), range(5), threads=2))


def test_a_batch_of_samples_names_the_file_that_cannot_be_decoded(tmp_path: Path) -> None:
    samples = []
    for number in range(5):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(photo(40 * number))
        samples.append(Sample(path, path.name, 0))
    assert [len(batch) for batch in pipeline.decoded_batches(samples, SPEC, 2)] == [2, 2, 1]
    samples[3].path.write_bytes(b"text")
    with pytest.raises(ImageError, match=re.escape(str(samples[3].path))):
        list(pipeline.decoded_batches(samples, SPEC, 2))


def test_results_come_in_order_and_few_are_computed_ahead() -> None:
    taken: list[int] = []

    def items() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = pipeline.in_threads(lambda number: number * 2, items())
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) < 200
    assert list(results) == [2 * number for number in range(3, 1000)]


def test_few_threads_decode_if_memory_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "available_processors", lambda: 8)
    monkeypatch.setattr(pipeline, "available_memory", lambda: 600_000_000)
    threads: set[int] = set()

    def work(item: int) -> int:
        threads.add(threading.get_ident())
        return item

    assert list(pipeline.in_threads(work, range(200))) == list(range(200))
    assert len(threads) <= 2


def test_a_batch_is_limited_by_number_and_by_size() -> None:
    images = [(str(size), bytes(size)) for size in (1, 2, 3, 50, 1, 100, 100, 5)]
    lengths = [[len(content) for _, content in batch] for batch in encoded_batches(images, max_images=3, max_bytes=50)]
    assert lengths == [[1, 2, 3], [50], [1, 100], [100], [5]]


def test_the_memory_of_decoding_at_a_time_is_limited() -> None:
    budget = MemoryBudget(total=1000)
    inside, most = [0], [0]
    lock = threading.Lock()

    def decode(memory: int) -> None:
        with budget.reserve(memory):
            with lock:
                inside[0] += min(memory, 1000)
                most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            with lock:
                inside[0] -= min(memory, 1000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(decode, [400, 900, 0, 10_000] * 10))
    assert 400 < most[0] <= 1000


@pytest.mark.slow  # three images of 36 million pixels take seconds each
def test_a_zip_of_large_images_takes_the_memory_of_one(tmp_path: Path) -> None:
    write_small_model(tmp_path / "models" / "small")
    large = tmp_path / "large.png"
    Image.new("RGBA", (6000, 6000), (255, 0, 0, 255)).save(large)
    small = photo(size=(100, 100))
    for name, members in (("small.zip", [small] * 2), ("large.zip", [large.read_bytes()] * 3)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for index, member in enumerate(members):
                archive.writestr(f"{index}.png", member)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(tmp_path / "small.zip"), str(tmp_path / "large.zip")],
        env={"TOPGRAFT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    # One such image is 144 MB decoded, and as much again while it loses its transparency.
    assert int(ran.stdout) < 600, f"{ran.stdout} MB"
