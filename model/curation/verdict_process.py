"""Main program of the child process that checks a dataset for `model.curation.verdict.start_check`."""

import sys
from pathlib import Path

from model.curation.verdict import check_dataset
from model.processes import answer_parent


def main(dataset: str) -> int:
    """Check a dataset and write the verdict to standard output."""
    return answer_parent(lambda: check_dataset(Path(dataset)).to_json(), f"check of {Path(dataset).name}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
