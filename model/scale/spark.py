"""The Spark engine: Spark distributes the numbers of the chunks, and runs each task again where it fails.

No photo passes through Spark: a task reads its photos and writes its part, with the code of the local engine.
"""

import contextlib
import functools
import logging
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from model import errors
from model.environment import AWS_ENDPOINT, AWS_REGION
from model.errors import ConfigError, StorageError
from model.process_environment import default_variables, named_variables
from model.received import quoted
from model.scale import probe
from model.scale.chunk_run import Engine
from model.scale.division import MAX_ENDS
from model.scale.folders import disk_error
from model.scale.java import require_spark
from model.scale.parts import Done
from model.scale.work import Task
from model.shown import counted

# Of a task: more than a chunk may end its process, and for executors that are lost.
_MAX_FAILURES = 8
_SECONDS_TO_REACH = 30.0
# Without any executor. A cluster may have to start machines.
_SECONDS_TO_START = 300.0
_SECONDS_BETWEEN_CHECKS = 0.2
# Set by spark-submit, which also knows the master.
_SUBMITTED = "PYSPARK_GATEWAY_PORT"
_LOCAL = re.compile(r"local(?:\[(?P<cores>\d+|\*)(?:, *(?P<failures>\d+))?\])?")
_MASTER = re.compile(rf"{_LOCAL.pattern}|local-cluster\[.+\]|yarn|(?:spark|k8s|mesos)://.+")
_OURS = re.compile(r"model\.errors\.(\w+): (.+)")
_HOST = re.compile(r"\((\S+) executor")
_PYTHONS = re.compile(r"PYTHON_VERSION_MISMATCH|different version")

_ADVICE = {
    "yarn": "Set HADOOP_CONF_DIR to the folder with the configuration of the cluster, or use spark-submit",
    "k8s": "Check the address of the Kubernetes API server, and set spark.kubernetes.container.image",
    "local": "Expected local[CORES] with one core or more, such as local[4]",
}
"""Kind of a master -> what to do if Spark does not start."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def spark_engine(master: str = "") -> Iterator[Engine]:
    """Start Spark, check its executors, and yield the engine; a session of the caller is used and kept.

    Args:
        master: address of the cluster, such as `spark://host:7077`, `yarn` or `local[4]`; empty for that of
            spark-submit, or all processors of this machine.

    Raises:
        ConfigError: pyspark or Java is missing, Spark does not start with the master, or an executor has other
            versions.
    """
    require_spark()
    from pyspark.sql import SparkSession

    existing = SparkSession.getActiveSession()
    with contextlib.ExitStack() as held:
        if existing is None:
            chosen = master or ("" if named_variables([_SUBMITTED]) else "local[*]")
            _require_master(chosen)
            session = held.enter_context(_session(chosen))
        else:
            session = existing
            _warn_of_few_failures(session.sparkContext)
        context = session.sparkContext
        _check_executors(context)
        yield lambda task, numbers: _run(context, task, numbers)


@contextlib.contextmanager
def _session(master: str) -> Iterator[Any]:
    """A new session, which is stopped at the end of the block."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("topgraft")
    local = _LOCAL.fullmatch(master)
    if local:
        # Spark does not repeat a failed task of `local` otherwise.
        builder = builder.master(f"local[{local['cores'] or 1},{_MAX_FAILURES}]").config("spark.ui.enabled", "false")
    elif master:
        builder = builder.master(master)
    builder = builder.config("spark.task.maxFailures", str(_MAX_FAILURES))
    builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
    # Addresses only: executors have credentials of their own.
    for variable in (AWS_ENDPOINT, AWS_REGION):
        if variable.is_set:
            builder = builder.config(f"spark.executorEnv.{variable.name}", variable.raw)
    own = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable} if local else {}
    with default_variables(own):
        session = _started(builder, master)
        try:
            yield session
        finally:
            session.stop()


def _started(builder: Any, master: str) -> Any:
    """The session of a builder.

    Raises:
        ConfigError: Spark does not start.
    """
    try:
        return builder.getOrCreate()
    except Exception as error:
        advice = _ADVICE.get(re.split(r"[^a-z0-9]", master)[0], "Check the configuration of Spark")
        raise ConfigError(
            f"--master: expected Spark to start with {quoted(master) if master else 'the master of spark-submit'}, "
            f"received: {_cause(error)}. {advice}."
        ) from error


def _warn_of_few_failures(context: Any) -> None:
    """Warn where a session of the caller ends the job before a chunk that ends its process is divided."""
    local = _LOCAL.fullmatch(context.master)
    if local:
        allowed, setting = int(local["failures"] or 1), f"the master local[{local['cores'] or 1},{_MAX_FAILURES}]"
    else:
        allowed = int(context.getConf().get("spark.task.maxFailures", "4"))
        setting = f"spark.task.maxFailures={_MAX_FAILURES}"
    if allowed <= MAX_ENDS:
        log.warning(
            "the session of Spark ends the job after %s of a task: a photo that ends the process which decodes it then "
            "fails the run, instead of being a row with an error. Start the session with %s.",
            counted(allowed, "failure"),
            setting,
        )


def _require_master(master: str) -> None:
    """Check the form of a master, and that a standalone one responds: Spark itself would report an internal error.

    Raises:
        ConfigError: it has another form, or none of its addresses responds.
    """
    if master and not _MASTER.fullmatch(master):
        raise ConfigError(
            "--master: expected spark://HOST:7077, yarn, k8s://https://HOST:PORT or local[CORES] such as local[4] or "
            f"local[*], received {quoted(master)}."
        )
    if not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), _SECONDS_TO_REACH):
                return
        except (OSError, ValueError) as error:
            reasons.append(f"{quoted(address)}: {getattr(error, 'strerror', None) or error}")
    raise ConfigError(
        f"--master: expected a Spark master that responds within {_SECONDS_TO_REACH:g} s, received "
        f"{'; '.join(reasons)}. Check the address and the port, which is 7077 by default."
    )


def _check_executors(context: Any) -> None:
    """Compare the versions of the executors with those of this process.

    Raises:
        ConfigError: an executor has other versions, or there is no executor.
    """
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(probe)
    try:
        slots = max(1, context.defaultParallelism)
        group = "topgraft probe"
        job = _start(
            context, group, lambda: context.range(slots, numSlices=slots).map(probe.describe_executor).collect()
        )
        found = job.result(_SECONDS_TO_START)
    except FutureTimeoutError:
        context.cancelJobGroup(group)
        raise ConfigError(
            f"expected an executor of Spark within {_SECONDS_TO_START:g} s, found none: no worker is free, or has "
            "enough memory. Check the page of the Spark master."
        ) from None
    except Exception as error:
        raise _python_differs(error) or _failure(error) from error
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    driver = probe.describe_process()
    hosts = {executor["host"]: probe.differences(driver, executor) for executor in found}
    wrong = [f"{host}: {', '.join(different)}" for host, different in sorted(hosts.items()) if different]
    if wrong:
        raise ConfigError(
            "expected executors with the same packages as this process, found\n  "
            + "\n  ".join(wrong)
            + "\nInstall them there, or send them along: see pipelines/spark/pack.sh."
        )
    log.info("Spark %s: %d slots, executors on %s", context.version, slots, ", ".join(sorted(hosts)))


def _python_differs(error: Exception) -> ConfigError | None:
    text = str(error)
    if not _PYTHONS.search(text):
        return None
    host = _HOST.search(text)
    version = ".".join(map(str, sys.version_info[:2]))
    return ConfigError(
        f"expected Python {version} in the executors, as in this process, found another one on "
        f"{host[1] if host else 'an executor'}. Set PYSPARK_PYTHON to a Python {version} that is on all machines."
    )


def _run(context: Any, task: Task, numbers: Sequence[int]) -> Iterator[Done]:
    """Do the work of some numbers: one task of Spark for each."""
    from pyspark.accumulators import AccumulatorParam

    class Completed(AccumulatorParam):
        """Parts of completed tasks: those of all tasks together."""

        def zero(self, value: list[Any]) -> list[Any]:
            return []

        def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:
            value1.extend(value2)
            return value1

    sent = context.broadcast((task, probe.describe_process()))
    completed = context.accumulator([], Completed())
    group = f"topgraft {task.folder.address}"

    def work(number: int) -> None:
        task, driver = sent.value
        completed.add([tuple(write_part(task, driver, number))])

    running = _start(context, group, lambda: context.parallelize(numbers, len(numbers)).foreach(work))
    seen: set[int] = set()
    try:
        while True:
            is_done = running.done()
            for row in list(completed.value):
                # A task that ran twice, by speculation or after a loss, has written the same bytes twice.
                if row[0] not in seen:
                    seen.add(row[0])
                    yield Done(*row)
            if is_done:
                break
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        running.result()
    except (KeyboardInterrupt, GeneratorExit):
        context.cancelJobGroup(group)
        raise
    except Exception as error:
        raise _failure(error) from error
    finally:
        sent.unpersist()


def write_part(task: Task, driver: Mapping[str, Any], number: int) -> Done:
    """Do the work of a number in a task of Spark; after `MAX_ENDS` failures it is divided.

    Args:
        driver: `probe.describe_process` of the driver: an executor may have joined after the check.

    Raises:
        ConfigError: this executor has other versions.
        StorageError: as `Task.write`; Spark runs the task again, on another executor if there is one.
    """
    different = probe.differences(driver, _this_process())
    if different:
        raise ConfigError(
            f"{socket.gethostname()}: expected the same packages as in the driver, found {', '.join(different)}. "
            "Install them there, or send them along: see pipelines/spark/pack.sh."
        )
    from pyspark import TaskContext

    context = TaskContext.get()
    attempt = context.attemptNumber() if context is not None else 0
    try:
        return task.write(number, divided=attempt >= MAX_ENDS)
    except StorageError as error:
        raise _on_this_host(error) from error
    except OSError as error:
        raise _on_this_host(disk_error(error)) from error


_this_process = functools.cache(probe.describe_process)


def _on_this_host(error: StorageError) -> StorageError:
    """An error of storage with the host in front: the disk of one executor may be full."""
    return type(error)(f"{socket.gethostname()}: {error.message}")


def _start(context: Any, group: str, action: Any) -> "Future[Any]":
    """Run an action of Spark in a thread, as a group of jobs that can be cancelled."""

    def run() -> Any:
        context.setJobGroup(group, group, interruptOnCancel=True)
        return action()

    pool = ThreadPoolExecutor(1, thread_name_prefix="topgraft-spark")
    try:
        return pool.submit(run)
    finally:
        pool.shutdown(wait=False)


def _failure(error: Exception) -> errors.TopgraftError:
    """An error of Spark as ours: that of the task, if there is one."""
    text = str(error)
    ours = _OURS.findall(text)
    if ours:
        name, message = ours[-1]
        return getattr(errors, name, StorageError)(message)
    return StorageError(f"expected the Spark job to succeed, received: {_cause(error)}.")


def _cause(error: Exception) -> str:
    """The line of an error of Spark that names its cause."""
    text = str(error)
    found = (line.strip() for line in text.splitlines() if "Caused by" in line or "Exception" in line)
    return quoted(next(found, text).strip(":. "))[1:-1]
