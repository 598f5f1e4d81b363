"""Which processes are trainings that a worker waits for."""

import subprocess
import sys

import psutil

from api.ended_trainings import trainings_of

# A worker whose first child has ended and was not waited for, and whose second looks like a training.
_WORKER = """
import subprocess, sys
ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
ended.stdout.read()
training = subprocess.Popen([sys.executable, "-c", "input()", "model.runs.process"], stdin=subprocess.PIPE)
print(ended.pid, training.pid, flush=True)
sys.stdin.read()
"""


def test_a_training_is_found_beside_a_child_that_has_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        ended, training = (int(number) for number in worker.stdout.readline().split())
        assert psutil.Process(ended).status() == psutil.STATUS_ZOMBIE
        assert [process.pid for process in trainings_of(worker.pid)] == [training]
