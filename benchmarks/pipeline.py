"""The pipeline of traffic signs on real photos: the time of each step, the accuracy of both models, and a second run.

How: `topgraft pipeline run traffic-signs` in a new workspace and with an empty cache, as a process of its own, from the
labels and photos of lego-signs and its cut-outs to the comparison of the base model with the new one; then the same
command again. Accuracies are those of comparison.json, on the test photos, which are real.

Depends on: the datasets folder beside the checkout; without it, nothing is measured.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import LEGO
from benchmarks.tables import markdown_table, verdict
from model.measurements import with_interval
from tests.support.command import COMMAND
from tests.support.processes import Cost, run_measured

_GOAL, _GOAL_AGAIN = 480, 10


def main() -> None:
    """Print a row for each step, for both runs and for the accuracies."""
    if not LEGO.is_dir():
        print(f"Skipped: there is no {LEGO}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "models").mkdir()
        first, cost = _run(root)
        _, again = _run(root)
        compared = json.loads((root / "runs" / "traffic-signs" / "comparison" / "comparison.json").read_text())
    rows = [[f"step {step['name']}", f"{step['seconds']:.0f} s", "", ""] for step in first["steps"]]
    rows.append(["whole pipeline", f"{cost.seconds:.0f} s", f"{cost.processor:.0f} s", _verdict(cost.seconds, _GOAL)])
    rows.append(["again", f"{again.seconds:.1f} s", f"{again.processor:.1f} s", _verdict(again.seconds, _GOAL_AGAIN)])
    print(markdown_table(["lego-signs", "time", "processor time", "goal"], rows))
    print()
    print(markdown_table(["model", "accuracy", "test photos"], _accuracies(compared)))
    print()
    print(*compared["sentences"], sep="\n")


def _run(root: Path) -> tuple[dict[str, Any], Cost]:
    """Run the pipeline; the content of run.json, and the cost."""
    given = {
        "labels": LEGO / "annotations.json",
        "images": LEGO / "images",
        "cutouts": LEGO / "cutouts",
    }
    parameters = [text for name, path in given.items() for text in ("-p", f"{name}={path}")]
    command = [*COMMAND, "pipeline", "run", "traffic-signs", "--json", "--workspace", str(root), *parameters]
    with tempfile.TemporaryFile() as answer:
        cost = run_measured(command, env={**os.environ, "TOPGRAFT_CACHE": str(root / "cache")}, stdout=answer)
        answer.seek(0)
        return json.load(answer), cost


def _verdict(seconds: float, goal: int) -> str:
    """Whether a goal is met; a longer time decides nothing while other programs wait for the processors, too."""
    is_busy = os.getloadavg()[1] > 2 * len(os.sched_getaffinity(0))
    return verdict(f"{goal} s", True if seconds <= goal else None if is_busy else False)


def _accuracies(compared: dict[str, Any]) -> list[list[str]]:
    [comparison] = compared["comparisons"]
    row = comparison["rows"]["shared"]
    difference = with_interval(comparison["difference"], comparison["interval"])
    return [
        ["base: real photos", f"{row['base']:.3f}", str(row["images"])],
        ["new: real and synthetic photos", f"{row['new']:.3f}", str(row["images"])],
        ["difference (95 % interval)", difference, ""],
    ]


if __name__ == "__main__":
    main()
