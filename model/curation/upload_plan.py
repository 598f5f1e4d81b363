"""The plan of an upload: the path and size of each file that a client is going to send."""

import dataclasses

from model.errors import ConfigError
from model.reading import UnreadableError, parse_json
from model.received import quoted

MAX_FILES = 200_000
MAX_PATH_CHARACTERS = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a client is going to send.

    Attributes:
        files: path, relative to what was chosen, and size in bytes of each file, in the order of sending.
        class_name: class of all files; None: the folders of each file name its class.
    """

    files: tuple[tuple[str, int], ...]
    class_name: str | None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)


def parse_plan(body: bytes) -> Plan:
    """A plan from the body of a request.

    Raises:
        ConfigError: it is none.
    """
    try:
        return plan_from_json(parse_json(body))
    except UnreadableError as error:
        raise ConfigError(f"expected a plan as JSON, received something else: {error}") from error


def plan_from_json(content: object) -> Plan:
    """A plan from JSON: `files`, pairs of path and size, and `class_name`.

    Raises:
        ConfigError: it is something else, or has too many files.
    """
    files = content.get("files") if isinstance(content, dict) else None
    class_name = content.get("class_name") if isinstance(content, dict) else None
    if not isinstance(files, list) or not files or not isinstance(class_name, str | None):
        raise ConfigError("expected a plan with files, one or more, and class_name")
    if len(files) > MAX_FILES:
        raise ConfigError(f"expected at most {MAX_FILES:,} files at a time, received {len(files):,}. Send some later")
    for file in files:
        if not _is_file(file):
            raise ConfigError(f"expected files as pairs of a path and a size in bytes, received {quoted(file)}")
    return Plan(tuple((path, size) for path, size in files), class_name)


def _is_file(file: object) -> bool:
    match file:
        case [str(path), int(size)]:
            return 0 < len(path) <= MAX_PATH_CHARACTERS and size >= 0 and not isinstance(size, bool)
    return False
