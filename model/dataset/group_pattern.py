"""Groups of images by the option `group_pattern`, a regular expression with a time limit.

Some expressions, such as `(a+)+$`, take longer than the age of the universe for a short name, and cannot be interrupted
in a thread: they run in a child process.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.errors import DatasetError
from model.processes import answer_parent, run_child
from model.reading import read_json
from model.received import quoted
from model.scratch import scratch_folder

SECONDS = 20.0
"""Time limit for all images."""

# About 200 bytes for a name.
_MAX_REQUEST_BYTES = 1024**3


def group_keys(pattern: str, names: Sequence[str], seconds: float = SECONDS) -> list[tuple[str, str]]:
    """Key of the group of each image: what the first group of the pattern matches; without a match, its name.

    Raises:
        DatasetError: the pattern takes longer than `seconds`.
    """
    with scratch_folder("groups") as folder:
        request = folder / "request.json"
        request.write_text(json.dumps({"pattern": pattern, "names": list(names)}), encoding="ascii")
        try:
            found: list[str | None] = run_child(
                __name__, request, task="group_pattern", failure=DatasetError, seconds=seconds
            )
        except DatasetError as error:
            raise DatasetError(
                f"group_pattern: expected a regular expression that takes at most {seconds:g} s for {len(names):,} "
                f"paths, received {quoted(pattern)}, which was stopped. Avoid repetitions inside repetitions, such as "
                "(a+)+."
            ) from error
    return [("name", name) if key is None else ("group", key) for name, key in zip(names, found, strict=True)]


def main(request: str) -> int:
    """Main function of the child process: match the names in a file."""
    content: dict[str, Any] = read_json(Path(request), _MAX_REQUEST_BYTES, file_names=True)
    pattern = re.compile(content["pattern"])
    return answer_parent(lambda: [_key(pattern, name) for name in content["names"]], "group_pattern")


def _key(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.search(name)
    return None if match is None else match[1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
