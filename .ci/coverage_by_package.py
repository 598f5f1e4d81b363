"""Print the test coverage of each package, lines and branches, from the report of `coverage json` on stdin.

Packages below the goal are marked; the exit status is 0 nevertheless.
"""

import collections
import json
import sys
from pathlib import PurePosixPath

GOAL = 85.0


def package(path: str) -> str:
    """The package of a file: `model/dataset` of `model/dataset/images.py`, `model` of `model/bundle.py`."""
    return PurePosixPath(*PurePosixPath(path).parent.parts[:2]).as_posix()


def main() -> None:
    """Print the table."""
    covered: collections.Counter[str] = collections.Counter()
    total: collections.Counter[str] = collections.Counter()
    for path, file in json.load(sys.stdin)["files"].items():
        summary = file["summary"]
        for name in (package(path), "total"):
            covered[name] += summary["covered_lines"] + summary["covered_branches"]
            total[name] += summary["num_statements"] + summary["num_branches"]
    print("coverage by package, lines and branches")
    for name in (*sorted(total.keys() - {"total"}), "total"):
        percent = 100 * covered[name] / max(total[name], 1)
        print(f"  {name:<20} {total[name]:>6} {percent:6.1f} %{'' if percent >= GOAL else f'  below {GOAL:.0f} %'}")


if __name__ == "__main__":
    main()
