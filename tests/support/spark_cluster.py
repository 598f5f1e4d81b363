"""A standalone cluster of Spark on loopback, and the program that featurizes on it in an environment of its own."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from model.scale.probe import DECODERS
from tests.support.command import ROOT
from tests.support.ports import free_port, is_listening
from tests.support.separate_environments import separate_environment
from tests.support.waiting import wait_until

# With the versions of the libraries that compute features, for the same bytes as in this process.
_PACKAGES = ("numpy", "onnxruntime", *DECODERS)
_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Spark:
    """An environment with pyspark.

    Attributes:
        programs: its folder of programs.
        master: address of its cluster, or `local[2]`.
        packages: folders of packages that come before those of the environment.
    """

    programs: Path
    master: str
    packages: tuple[Path, ...] = (ROOT,)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the driver and the workers."""
        python = str(self.programs / "python")
        variables = {"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
        return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(map(str, self.packages))}

    def featurize(
        self, source: Path | str, out: Path | str, graph: Path, scorer: Path | str = "", **options: str
    ) -> "subprocess.Popen[str]":
        """Start `tests/support/spark_run.py`; `options` are settings of Spark with _ in place of the dots."""
        settings = [f"{name.replace('_', '.')}={value}" for name, value in options.items()]
        command = (self.programs / "python", "-m", "tests.support.spark_run")
        return subprocess.Popen(
            [*command, source, out, self.master, graph, scorer, *settings],
            env=self.variables,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def spark_environment(version: str) -> Spark:
    """An environment with a version of pyspark, in this process of two slots; a test without Java is skipped."""
    if shutil.which("java") is None:
        pytest.skip("Java was not found: apt install openjdk-17-jre-headless")
    from importlib.metadata import version as installed

    packages = [f"{name}=={installed(name)}" for name in _PACKAGES]
    programs = separate_environment(f"spark-{version}", [f"pyspark=={version}", "pandas>=2.2,<3", *packages])
    return Spark(programs, "local[2]")


@contextlib.contextmanager
def spark_cluster(spark: Spark, folder: Path, workers: int = 2, variables: Mapping[str, str] = {}) -> Iterator[Spark]:
    """A master and workers of one processor each.

    Args:
        variables: more environment variables of the workers.
    """
    installed = (*spark.programs.parent.glob("lib/python*/site-packages"), *spark.packages)
    [home] = (path / "pyspark" for path in installed if (path / "pyspark").is_dir())
    spark_class = str(home / "bin" / "spark-class")
    environment = {**spark.variables, "SPARK_HOME": str(home), "SPARK_WORKER_DIR": str(folder / "work"), **variables}
    port, page = free_port(), free_port()
    with contextlib.ExitStack() as held:

        def run(role: str, *arguments: object) -> Path:
            """Start a process, and return its log."""
            file = folder / f"{role}-{len(list(folder.iterdir()))}.log"
            with open(file, "w") as log:
                command = [spark_class, f"org.apache.spark.deploy.{role}.{role.capitalize()}", *map(str, arguments)]
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            held.callback(end_group, process)
            return file

        run("master", "-h", "127.0.0.1", "-p", port, "--webui-port", page)
        wait_until(lambda: is_listening(port), _SECONDS)
        for _ in range(workers):
            arguments = ("-h", "127.0.0.1", "-c", 1, "-m", "1g", "--webui-port", free_port())
            log = run("worker", *arguments, f"spark://127.0.0.1:{port}")
            wait_until(lambda log=log: "Successfully registered" in log.read_text(), _SECONDS)
        yield dataclasses.replace(spark, master=f"spark://127.0.0.1:{port}")


def executors(cluster_folder: Path) -> list[psutil.Process]:
    """The executors of a cluster: JVMs in its folder of work."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()) and process.cwd().startswith(
                str(cluster_folder)
            ):
                found.append(process)
    return found


def end_group(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Kill a process and all processes of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
