"""A look at the drift of a model, written down beside its counts: `python -m model.usage.look MODEL_FOLDER`.

A process of its own, because the library with the test takes more memory than all else in a worker but its models.
"""

import os
import sys
from pathlib import Path

from model import durable
from model.bundle import open_bundle
from model.trainings import now
from model.usage.drift import judge_drift
from model.usage.held_out import read_held_out
from model.usage.store import DRIFT, UsageStore, watched
from model.usage.window import DAYS, within
from model.workspace import Workspace

_NICENESS = 10


def main(model: str) -> int:
    """Look at the last days, and write down what was seen."""
    os.nice(_NICENESS)
    bundle = open_bundle(Path(model))
    store, of = UsageStore(Workspace(bundle.directory.parent.parent)), watched(bundle.name, bundle.manifest)
    drift = judge_drift(read_held_out(bundle), within(store.days(of)).sample.rows)
    durable.write_json(store.folder(of) / DRIFT, drift.to_json() | {"looked": now(), "days": DAYS})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
