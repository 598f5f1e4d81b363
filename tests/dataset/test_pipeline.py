"""The memory of a batch is bounded, whatever is in it."""

import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from model.dataset.pipeline import PixelBudget, encoded_batches
from tests.support.photos import photo
from tests.support.small_model import write_small_model

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


def test_a_batch_ends_by_number_or_by_size() -> None:
    images = [(str(size), bytes(size)) for size in (1, 2, 3, 50, 1, 100, 100, 5)]
    lengths = [[len(content) for _, content in batch] for batch in encoded_batches(images, max_images=3, max_bytes=50)]
    assert lengths == [[1, 2, 3], [50], [1, 100], [100], [5]]


def test_no_more_pixels_are_decoded_at_a_time_than_there_is_room_for() -> None:
    budget = PixelBudget(pixels=1000)
    inside, most = [0], [0]
    lock = threading.Lock()

    def decode(content: bytes, pixels: int) -> None:
        with budget.reserve(content):
            with lock:
                inside[0] += pixels
                most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            with lock:
                inside[0] -= pixels

    small, large, larger = photo(size=(20, 20)), photo(size=(30, 30)), photo(size=(100, 100))
    images = [(small, 400), (large, 900), (b"no picture", 0), (larger, 1000)] * 10
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda image: decode(*image), images))
    assert 400 < most[0] <= 1000


@pytest.mark.slow  # three pictures of 80 million pixels take seconds each
def test_a_zip_of_large_pictures_takes_the_memory_of_one(tmp_path: Path) -> None:
    write_small_model(tmp_path / "models" / "small")
    large = tmp_path / "large.png"
    Image.new("RGBA", (8900, 9000), (255, 0, 0, 255)).save(large)
    small = photo(size=(100, 100))
    for name, pictures in (("small.zip", [small] * 2), ("large.zip", [large.read_bytes()] * 3)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for index, picture in enumerate(pictures):
                archive.writestr(f"{index}.png", picture)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(tmp_path / "small.zip"), str(tmp_path / "large.zip")],
        env={"TOPGRAFT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    # One such picture is 320 MB decoded, and there are four of them while it loses its transparency.
    assert int(ran.stdout) < 1600, f"{ran.stdout} MB"
