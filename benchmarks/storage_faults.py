"""Faults of transfers to and from remote storage; no file may be lost or partial.

How: a real WebDAV server (rclone's) keeps an archive; a newer one is pushed in its place, or files are pulled, while a
fault happens: by a proxy in between, by a resource limit of the system, or by `kill -9` at a random moment of the
transfer; a transfer that had ended before is not counted, and another is tried. After each, the remote archive must be
the old one or the new one, byte for byte, and every local file must be complete. Then, without the fault, the same call
must succeed.

Depends on: nothing but the seed of the random moments. `python -m benchmarks.storage_faults --kills 20` takes one to
two minutes on two processors.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.tables import markdown_table, verdict
from tests.support.kills import Outcome
from tests.support.storage_faults import ROWS, fill_disk, kill_pulls, kill_pushes, play, push_twice_at_once, scene_in

KILLS = 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often kill -9 is tried (default: {KILLS})")
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as directory, scene_in(Path(directory)) as scene:
        outcomes = {row.name: play(scene, row) for row in ROWS}
        outcomes["pull: the local disk is full"] = fill_disk(scene)
        outcomes["two pushes to one name at once"] = push_twice_at_once(scene)
        outcomes["push: `kill -9`"] = kill_pushes(scene, kills)
        outcomes["pull: `kill -9`"] = kill_pulls(scene, kills)
    print(outcomes_table(outcomes))


def outcomes_table(outcomes: dict[str, Outcome]) -> str:
    """Table with a row for each fault, and the verdict on damage."""
    header = ["fault", "trials", "answer", "lost, partial, or not repeatable"]
    rows = [[name, str(one.trials), one.answer, str(one.harmed)] for name, one in outcomes.items()]
    harmed = sum(one.harmed for one in outcomes.values())
    return (
        f"{markdown_table(header, rows)}\n\n{verdict('Nothing lost, no partial file under a final name', harmed == 0)}"
    )


if __name__ == "__main__":
    main()
