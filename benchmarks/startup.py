"""Start-up time of `topgraft --help` and of importing the plug-in, against Python and TensorFlow.

How: each in a new process, alternating; wall time of the whole process; medians and ranges.

Depends on: the disk cache (the first round, which fills it, is excluded) and other load.
"""

import subprocess
import sys
import time

from benchmarks.tables import markdown_table, median_and_range, verdict
from tests.support.processes import program

ROUNDS = 9
HELP_GOAL = 0.5
IMPORT_GOAL = 0.7


def main() -> None:
    """Print the table."""
    commands = {
        "`topgraft --help`": [program("topgraft"), "--help"],
        '`python -c "import api"`': [sys.executable, "-c", "import api"],
        '`python -c "import deepaas.api"`': [sys.executable, "-c", "import deepaas.api"],
        '`python -c "import tensorflow"`': [sys.executable, "-c", "import tensorflow"],
        '`python -c "pass"`': [sys.executable, "-c", "pass"],
    }
    goals = dict(zip(commands, (HELP_GOAL, IMPORT_GOAL), strict=False))
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            taken = _seconds(command)
            if number:
                seconds[name].append(taken)
    rows = []
    for name, measured in seconds.items():
        middle = sorted(measured)[ROUNDS // 2]
        goal = verdict(f"{goals[name]} s", middle < goals[name]) if name in goals else ""
        fraction = middle / sorted(seconds['`python -c "import tensorflow"`'])[ROUNDS // 2]
        rows.append([name, median_and_range(measured), f"{fraction:.2f}", goal])
    print(markdown_table(["process", "median (range)", "of TensorFlow's import", "goal"], rows))


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
