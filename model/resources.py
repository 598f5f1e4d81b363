"""How much of the machine is really ours: a container sees all processors, whatever it was given."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_processors(cgroup: Path = _CGROUP) -> int:
    """How many processors this process may keep busy, at least 1.

    The fewest of: those it may run on; the quota of its cgroup (version 2 or 1), rounded up; and
    NOMAD_CPU_CORES, a number or a list such as `0-3,7`.
    """
    limits = [len(os.sched_getaffinity(0)), _quota(cgroup), _nomad_cores(os.environ.get("NOMAD_CPU_CORES") or "")]
    return max(1, min(limit for limit in limits if limit is not None))


def _quota(cgroup: Path) -> int | None:
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None


def _nomad_cores(text: str) -> int | None:
    """A lone number is taken as how many: as the number of one core it would be in the affinity already."""
    try:
        if text.strip().isdecimal():
            return int(text)
        spans = [part.split("-") for part in text.split(",")]
        return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)
    except ValueError:
        return None
