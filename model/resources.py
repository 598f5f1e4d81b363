"""Processors and memory available to this process, within the limits of its container."""

import ctypes
import math
import os
import resource
from pathlib import Path

from model.environment import BLAS_THREADS, NOMAD_CPU_CORES, NOMAD_MEMORY, WORKER_THREADS

_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
# Memory counts as unlimited if the system does not report it.
_UNKNOWN = 2**63 - 1
# In error messages of TensorFlow, JAX and ONNX Runtime.
_OUT_OF_MEMORY = (
    "MemoryError",
    "ResourceExhaustedError",
    "RESOURCE_EXHAUSTED",
    "Failed to allocate memory",
    "out of memory",
    "bad_alloc",
)


def available_processors(cgroup: Path = _CGROUP) -> int:
    """Number of processors available to this process, at least 1.

    The minimum of: the CPU affinity; the quota of its cgroup (version 2 or 1), rounded up; and
    NOMAD_CPU_CORES, a number or a list such as `0-3,7`.
    """
    limits = [len(os.sched_getaffinity(0)), _quota(cgroup), NOMAD_CPU_CORES.read()]
    return max(1, min(limit for limit in limits if limit is not None))


def blas_threads() -> dict[str, str]:
    """Environment variables that limit the threads of NumPy's linear algebra; read when NumPy is imported.

    One thread, unless a variable is set: a training makes many small products, and handing out a part of each takes
    longer than computing it, on a busy machine ten times as long.
    """
    return {variable.name: variable.read() or "1" for variable in BLAS_THREADS}


def worker_threads(workers: int) -> int:
    """Number of threads for decoding and inference in each worker of the service: see TOPGRAFT_THREADS.

    Args:
        workers: number of workers of this service.
    """
    available, requested = available_processors(), WORKER_THREADS.read()
    if requested == "share":
        return math.ceil(available / workers)
    # All processors give the lowest latency for a single request; concurrent workers share them.
    return available if requested == "all" else min(requested, available)


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


def available_memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int:
    """Memory of this container in bytes.

    The minimum of: the memory of the machine; the limit of its cgroup (version 2 or 1); and NOMAD_MEMORY_LIMIT, in MiB.
    """
    limits = [_meminfo(proc, "MemTotal"), _cgroup_limit(cgroup), NOMAD_MEMORY.read()]
    return min((limit for limit in limits if limit is not None), default=_UNKNOWN)


def spare_memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int:
    """Memory in bytes that this process can still allocate before the system kills a process; 0 if there is none.

    The minimum of: the available memory of the machine; the unused memory of the cgroup, with its file cache counted
    as free; and NOMAD_MEMORY_LIMIT minus the memory of this process.
    """
    spare = [_meminfo(proc, "MemAvailable")]
    limit, used = _cgroup_limit(cgroup), _cgroup_use(cgroup)
    if limit is not None and used is not None:
        spare.append(limit - used)
    nomad = NOMAD_MEMORY.read()
    if nomad is not None:
        spare.append(nomad - _own_memory(proc))
    return max(0, min((free for free in spare if free is not None), default=_UNKNOWN))


def _cgroup_limit(cgroup: Path) -> int | None:
    """Memory limit in bytes; None for `max`. Without a limit, version 1 has a number larger than any machine."""
    return _number(cgroup / "memory.max") or _number(cgroup / "memory" / "memory.limit_in_bytes")


def _cgroup_use(cgroup: Path) -> int | None:
    """Memory used by the cgroup in bytes, without inactive pages of files, as the Kubernetes working set."""
    for used, statistics, cached in (
        (cgroup / "memory.current", cgroup / "memory.stat", "inactive_file"),
        (cgroup / "memory" / "memory.usage_in_bytes", cgroup / "memory" / "memory.stat", "total_inactive_file"),
    ):
        total = _number(used)
        if total is not None:
            return total - (_field(statistics, cached) or 0)
    return None


def _meminfo(proc: Path, name: str) -> int | None:
    kibibytes = _field(proc / "meminfo", f"{name}:")
    return None if kibibytes is None else kibibytes * 1024


def _own_memory(proc: Path) -> int:
    try:
        pages = int((proc / "self" / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _field(path: Path, name: str) -> int | None:
    """Number after `name` in a file with lines of the form `name number ...`."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
        return next((int(row[1]) for row in rows if row[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def release_free_memory() -> None:
    """Return freed memory that the C library keeps to the system: twice an ONNX graph, or a large decoded image."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error reports that the machine, or its GPU, is out of memory."""
    message = f"{type(error).__name__}: {error}"
    return any(pattern in message for pattern in _OUT_OF_MEMORY)
