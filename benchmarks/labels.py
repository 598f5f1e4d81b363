"""Import of labels from a server: seconds for a hundred photos, processor time and peak memory of 1,000 tasks.

How: a server on loopback that answers as Label Studio does has 1,000 tasks with one box each; `topgraft import-labels`
reads them as a process of its own into an empty folder, then once more, when nothing has changed. The server runs in
the process of the benchmark, so its time is part of the time of the clock, but not of the processor time.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.tables import markdown_table
from tests.labels.label_studio_server import LEGACY_TOKEN, label_studio, served
from tests.labels.label_studio_tasks import boxed_tasks
from tests.support.command import COMMAND
from tests.support.processes import Cost, run_measured

TASKS = 1000


def main() -> None:
    """Print a row for the first import, and for one when nothing has changed."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with label_studio(served(boxed_tasks(root / "photos", TASKS), root / "photos")) as address:
            rows = [_row(name, _import(address, root)) for name in ("first", "again, nothing changed")]
    print(markdown_table(["1,000 tasks", "time", "for a hundred photos", "processor time", "peak memory"], rows))


def _import(address: str, root: Path) -> Cost:
    """Import the labels of the server into a folder of `root`."""
    arguments = ["import-labels", "--url", address, "--project", "1", str(root / "dataset"), "--workspace", str(root)]
    environment = {**os.environ, "LABEL_STUDIO_API_KEY": LEGACY_TOKEN, "TOPGRAFT_CACHE": str(root / "cache")}
    (root / "models").mkdir(exist_ok=True)
    return run_measured([*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL)


def _row(name: str, measured: Cost) -> list[str]:
    return [
        name,
        f"{measured.seconds:.1f} s",
        f"{100 * measured.seconds / TASKS:.2f} s",
        f"{measured.processor:.1f} s",
        f"{measured.memory:.0f} MB",
    ]


if __name__ == "__main__":
    main()
