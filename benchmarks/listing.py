"""Time and memory of the driver for the listing of ten million photos, of which none exists.

How: names are drawn in a random order, as a file system returns them, in 2,000 class folders. In a process of its own,
they are sorted, described by class and split, digested and cut into chunks, and the files of the listing are written.

Depends on: the disk, on which the names are sorted. `BENCHMARK_NAMES=N` changes their number.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import markdown_table, verdict
from model.scale.chunks import MAX_CHUNK_BYTES, ListingDigest, cut, listing_files
from model.scale.files import File
from model.scale.folders import LocalFolder
from model.scale.source import Source, SplitOptions, listed_photos
from tests.support.processes import MEGABYTE, Cost, in_fresh_process, peak_megabytes

NAMES = int(os.environ.get("BENCHMARK_NAMES", "10000000"))
CLASSES, CHUNK = 2000, 1000
BYTES = 1_000_000_000
# Coprime to any number of names: its multiples are all numbers in another order.
_STRIDE = 2_147_483_647


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        cost = in_fresh_process(list_names, Path(directory))
    memory = cost.memory * MEGABYTE
    rows = [
        ["wall time", f"{cost.seconds / 60:.1f} min"],
        ["processor time", f"{cost.processor / 60:.1f} min"],
        ["peak memory", f"{memory / 1e6:.0f} MB"],
    ]
    print(markdown_table([f"listing of {NAMES:,} names", ""], rows))
    print()
    print(f"- {verdict('peak memory below 1 GB', memory < BYTES)}")


def list_names(folder: Path) -> Cost:
    """List the drawn names into a folder, as `model.scale.chunk_run` does."""
    started, processor = time.perf_counter(), time.process_time()
    out = LocalFolder(str(folder))
    with listed_photos(Source("/nowhere", _Drawn()), SplitOptions(0.15, 0.15, 42)) as photos:
        digest = ListingDigest()
        chunks = sum(1 for _ in cut(map(digest.added, photos), CHUNK, MAX_CHUNK_BYTES))
        for name, content in listing_files(cut(photos, CHUNK, MAX_CHUNK_BYTES)):
            out.write(name, content)
    assert digest.photos == NAMES and chunks >= NAMES // CHUNK
    return Cost(time.perf_counter() - started, time.process_time() - processor, peak_megabytes())


class _Drawn(LocalFolder):
    """A folder of photos that do not exist."""

    def __init__(self) -> None:
        super().__init__("/nowhere")

    def photos(self) -> Iterator[File]:
        """The drawn names."""
        for place in range(NAMES):
            number = place * _STRIDE % NAMES
            yield File(f"class{number % CLASSES:04}/photo{number:08}.jpg".encode(), 100_000, "1700000000000000000")


if __name__ == "__main__":
    main()
