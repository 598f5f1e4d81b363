"""A look at the drift of a model, written down beside its counts: `python -m model.usage.look MODEL_FOLDER`.

A process of its own, because the library with the test takes more memory than all else in a worker but its models.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model import durable
from model.bundle import open_bundle
from model.provenance import utc_now
from model.serving.held_out_features import read_held_out
from model.usage.drift import FEWEST_PHOTOS, judge_drift
from model.usage.record import Record
from model.usage.store import DRIFT, UsageStore, days_before, today, watched
from model.usage.window import DAYS, within
from model.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

_NICENESS = 10


def look(held_out: "np.ndarray | None", days: Mapping[str, Record]) -> dict[str, Any]:
    """The drift of the last days together as JSON (`model.usage.drift.Drift`), and of the latest that can be judged.

    Among many photos of the days before, those of one day would not be noticed.

    Args:
        held_out: as of `model.serving.held_out_features.read_held_out`.
        days: day -> its record, oldest first.
    """
    since = days_before(today(), DAYS - 1)
    enough = [day for day, record in days.items() if day >= since and record.sample.distinct >= FEWEST_PHOTOS]
    latest = {"day": enough[-1], **judge_drift(held_out, days[enough[-1]].sample.rows).to_json()} if enough else None
    return {**judge_drift(held_out, within(days).sample.rows).to_json(), "days": DAYS, "latest_day": latest}


def main(model: str) -> int:
    """Look at the last days, and write down what was seen."""
    os.nice(_NICENESS)
    bundle = open_bundle(Path(model))
    store, of = UsageStore(Workspace(bundle.directory.parent.parent)), watched(bundle.name, bundle.manifest)
    seen = look(read_held_out(bundle), store.days(of))
    durable.write_json(store.folder(of) / DRIFT, seen | {"looked": utc_now()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
