"""Processes killed at random moments, and the outcome."""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil

from tests.support.waiting import wait_until

# For each kill: more often it hardly ends before.
TRIES_FOR_A_KILL = 10
SECONDS_TO_END = 5.0


@dataclasses.dataclass
class Outcome:
    """Results of the trials of one fault.

    Attributes:
        trials: how many; of kills, those that came before the end.
        answer: the class of error that a trial ended with; `done` where it got over the fault.
        harmed: how many left something lost or half, or could not be repeated afterwards.
    """

    trials: int = 0
    answer: str = "done"
    harmed: int = 0


def kill_at_random(
    start: Callable[[], "subprocess.Popen[bytes]"], reset: Callable[[], None], survives: Callable[[], bool], times: int
) -> Outcome:
    """kill -9 of a process, at moments drawn between its beginning and its usual end, until so many were killed.

    Args:
        start: returns the process when its work has just begun.
        reset: called before each start.
        survives: called after each kill: whether nothing was lost, and the same can be done again.
    """
    moments = random.Random(1)
    reset()
    usual = _seconds_of(start())
    outcome = Outcome(0, "killed")
    tries = 0
    while outcome.trials < times:
        tries += 1
        if tries > TRIES_FOR_A_KILL * times:
            sys.exit(f"expected {times} kills before the end, came to {outcome.trials} in {tries} tries")
        reset()
        with start() as child:
            time.sleep(moments.uniform(0, usual))
            child.send_signal(signal.SIGKILL)
        wait_for_rclone_to_end()
        outcome.trials += child.returncode == -signal.SIGKILL
        outcome.harmed += not survives()
    return outcome


def _seconds_of(child: "subprocess.Popen[bytes]") -> float:
    began = time.monotonic()
    if child.wait() != 0:
        sys.exit(f"it failed without any fault: {child.args!r}")
    return time.monotonic() - began


def wait_for_beginning(child: "subprocess.Popen[bytes]") -> None:
    """Return when a process has written its first line: its work begins."""
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()


def wait_for_rclone_to_end() -> None:
    """The system ends it with its parent, a moment later."""
    wait_until(lambda: not any(_is_transfer(process) for process in psutil.process_iter(["cmdline"])), SECONDS_TO_END)


def _is_transfer(process: psutil.Process) -> bool:
    command = process.info["cmdline"] or []
    return any("rshare:" in part for part in command) and any(part.endswith("rclone") for part in command[:1])
