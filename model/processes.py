"""Other processes of this machine, told apart however their numbers are given away again."""

import dataclasses
import time
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclasses.dataclass(frozen=True)
class Process:
    """A process, told from a later one with the same number.

    Attributes:
        pid: its number.
        start: when it started, in ticks since the boot.
    """

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now; if there is none, one that is not alive."""
        return cls(pid, _start_of(pid) or 0)

    def is_alive(self) -> bool:
        """Whether it still runs; one that only waits for its parent to notice its end does not."""
        return _start_of(self.pid) == self.start

    def outlives(self, seconds: float) -> bool:
        """Wait at most so long for its end; whether it is alive then."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return True
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return False


def _start_of(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; the name before may hold anything but ends with the last parenthesis."""
    try:
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(fields[18])
