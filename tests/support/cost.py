"""What a call costs in a process of its own: processor time, and memory beyond that of the process at its start."""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_SECONDS = 60


class Cost(NamedTuple):
    """What the call returned, or the message of its error; processor seconds; peak bytes of memory."""

    answer: str
    seconds: float
    size: int


def cost_of(call: Callable[[], object], *errors: type[Exception]) -> Cost:
    """Run a call in a child process.

    Args:
        errors: whose message is the answer; the traceback of any other error is.

    Raises:
        AssertionError: the call takes more than a minute.
    """
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            signal.alarm(_SECONDS)
            Path("/proc/self/clear_refs").write_text("5")
            before, start = _bytes_of("VmRSS"), time.process_time()
            try:
                answer = str(call())
            except errors as error:
                answer = str(error)
            except BaseException:
                answer = traceback.format_exc()
            used = time.process_time() - start, _bytes_of("VmHWM") - before
            os.write(writing, json.dumps([answer[:2000], *used]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        result = stream.read()
    os.waitpid(child, 0)
    assert result, f"the call took more than {_SECONDS} s"
    cost = Cost(*json.loads(result))
    print(f"{cost.seconds:.2f} s, {cost.size / 1e6:.0f} MB: {cost.answer[:100]}")
    return cost


def _bytes_of(name: str) -> int:
    """Bytes of a row of /proc/self/status."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(f"{name}:"))
