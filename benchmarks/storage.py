"""Transfer of many small files to and from remote storage: one by one by rclone, and packed by Topgraft.

How: files of random bytes are sent to a WebDAV server on loopback (rclone's) and fetched back, first by `rclone copy`
with eight parallel transfers (more gain little); then by `topgraft pack`, which sends one archive and reads it back to
verify it, and by `topgraft pull`, which unpacks it and verifies the sha256 of every file. Each command is timed as a
whole process; the packed method five times, of which the median counts. A server with users, a database and a network
in between takes longer for each file, and so gives a larger ratio.

Depends on: nothing. `python -m benchmarks.storage` takes two to three minutes on two processors; `--files 200` less.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import markdown_table, median_and_range, times, verdict
from tests.support.processes import program
from tests.support.storage_servers import webdav_server

FILES, FILE_BYTES = 2_000, 10_000
FOLDERS = 20
REPEATS = 5
GOAL = 20.0
PLAIN, PACKED = "`rclone copy`, eight at once", "`topgraft pack` and `pull`"

Rows = dict[str, tuple[list[float], list[float]]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help=f"how many (default: {FILES})")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("there", "models", "data"):
            (root / name).mkdir()
        _write_files(root / "data" / "photos", files)
        with webdav_server(root / "there") as server:
            environment = {**os.environ, **server.environment(), "TOPGRAFT_CACHE": str(root / "cache")}
            rows = _measure(root, environment)
    print(_table(rows, files))


def _measure(root: Path, environment: dict[str, str]) -> Rows:
    """Upload and download times in seconds of each method, for every repetition."""
    rclone, topgraft = program("rclone"), program("topgraft")
    photos = str(root / "data" / "photos")

    def seconds(*command: str) -> float:
        return _seconds(command, environment, root)

    eight = ("--transfers", "8", "--checkers", "8")
    up = seconds(rclone, "copy", *eight, photos, "rshare:photos")
    down = seconds(rclone, "copy", *eight, "rshare:photos", str(root / "copied"))
    rows: Rows = {PLAIN: ([up], [down])}
    _require_same(root / "data" / "photos", root / "copied")
    ups, downs = [], []
    for index in range(REPEATS):
        ups.append(seconds(topgraft, "pack", "photos", f"rshare:{index}.tar"))
        downs.append(seconds(topgraft, "pull", f"rshare:{index}.tar", str(root / f"pulled {index}")))
        _require_same(root / "data" / "photos", root / f"pulled {index}")
    rows[PACKED] = (ups, downs)
    again = [seconds(topgraft, "pull", "rshare:0.tar", str(root / "pulled 0")) for _ in range(REPEATS)]
    rows["pull again, unchanged"] = ([], again)
    return rows


def _seconds(command: Sequence[str], environment: dict[str, str], directory: Path) -> float:
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if ran.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ran.stderr}")
    return taken


def _write_files(folder: Path, files: int) -> None:
    rng = random.Random(0)
    for index in range(files):
        path = folder / f"class {index % FOLDERS}" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(FILE_BYTES))


def _require_same(source: Path, copy: Path) -> None:
    for path in source.rglob("*.jpg"):
        if (copy / path.relative_to(source)).read_bytes() != path.read_bytes():
            sys.exit(f"{copy / path.relative_to(source)}: expected the content of {path}")


def _table(rows: Rows, files: int) -> str:
    ratios = [
        statistics.median(before) / statistics.median(now)
        for before, now in zip(rows[PLAIN], rows[PACKED], strict=True)
    ]
    header = [f"{files:,} files of {FILE_BYTES // 1000} kB", "up", "down", "ratio up", "ratio down"]
    body = [
        [name, *map(_shown, measured), *(times(ratio) if name == PACKED else "" for ratio in ratios)]
        for name, measured in rows.items()
    ]
    goal = verdict(f"Goal: packed, {GOAL:.0f} times faster than file by file, up and down", min(ratios) >= GOAL)
    return f"{markdown_table(header, body)}\n\n{goal}"


def _shown(seconds: list[float]) -> str:
    """Median and range, or a single time."""
    return median_and_range(seconds) if len(seconds) > 1 else "".join(f"{once:.2f} s" for once in seconds)


if __name__ == "__main__":
    main()
