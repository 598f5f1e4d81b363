"""Faults of `topgraft publish`: killed or run twice at once; no file may be lost or partial.

How: a small model is published to a Nextcloud on loopback; then a newer version is published in its place. That command
is killed (`kill -9`) at a random moment, or another one publishes at the same time, from the same workspace or from
another one. After each, the archive in remote storage must be the old one or the new one and must match its checksum,
if that exists; there must be one link; the model must be complete, and every file of the child module the old one or
the new one. Then publishing is repeated, and the result must equal that of an undisturbed one.

Depends on: nothing but the seed of the random moments. `python -m benchmarks.publishing_faults --kills 20` takes
two to four minutes on two processors; `--kills 1` less.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.publishing import train_model
from benchmarks.storage_faults import outcomes_table
from tests.support.publishing_faults import kill, publish_others_at_once, publish_twice_at_once, scene_in

KILLS, TIMES_AT_ONCE = 20, 3
SMALL = ("--backbone", "MobileNetV3Small", "--weights", "none", "--image-size", "32", "--epochs", "2", "--folds", "0")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often kill -9 is tried (default: {KILLS})")
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as directory:
        workspace = train_model(Path(directory) / "workspace", *SMALL)
        with scene_in(Path(directory), workspace) as scene:
            outcomes = {
                "two processes publish one model at once": publish_twice_at_once(scene, TIMES_AT_ONCE),
                "two workspaces publish models of one name at once": publish_others_at_once(scene, TIMES_AT_ONCE),
                "`kill -9` of publish": kill(scene, kills),
            }
    print(outcomes_table(outcomes))


if __name__ == "__main__":
    main()
