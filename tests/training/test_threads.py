"""Threads of training, limited to the processors of the container."""

import os
import subprocess
import sys

import pytest

from model.resources import blas_threads

TENSORFLOW = """
from model.networks.tensorflow_import import import_tensorflow
import_tensorflow()
import tensorflow as tf
tf.zeros(1)
print(tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads())
"""
THREADS_OF_THE_COMMAND = """
import os
from model.cli import main
main(["--version"])
import numpy
print(len(os.listdir("/proc/self/task")))
"""
NUMBERS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def last_line(code: str, **variables: str) -> str:
    """Last line printed by the code in its own process with these variables."""
    environment = {name: value for name, value in os.environ.items() if name not in NUMBERS} | variables
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return ran.stdout.splitlines()[-1]


@pytest.mark.slow  # TensorFlow in a process of its own
def test_tensorflow_takes_a_thread_for_each_processor():
    assert last_line(TENSORFLOW, NOMAD_CPU_CORES="1") == "1 1"


def test_numpy_in_the_command_takes_one_thread():
    assert last_line(THREADS_OF_THE_COMMAND) == "1"


def test_thread_variables_of_the_environment_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert blas_threads() == {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}
