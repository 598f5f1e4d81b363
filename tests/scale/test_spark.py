"""The Spark engine: what it requires, and runs on a real cluster whose executors and driver are killed."""

import pickle
import random
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.bundle import Bundle
from model.config import PredictConfig
from model.errors import ConfigError, StorageError, StorageFullError
from model.scale import java, probe, spark
from model.scale.chunk_run import RunOptions
from model.scale.engines import started_engine
from model.scale.featurize import FeaturizeResult
from model.scale.java import Java, find_java, require_spark, required_java
from model.scale.network import Network, model_network
from model.scale.photo_scoring import PhotoScorer, score_photos
from model.serving.predictor import prediction_rules
from tests.scale.conftest import SPLITS, in_this_process
from tests.scale.test_featurize import bytes_of, rows_of
from tests.support.full_disks import small_disk
from tests.support.ports import free_port
from tests.support.spark_cluster import Spark, spark_cluster, spark_environment
from tests.support.spark_kills import CHUNKS, PHOTOS, kill_drivers, kill_executors, result_of, write_many_photos
from tests.support.storage_servers import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server

Run = Callable[..., FeaturizeResult]
VERSION, OLD_VERSION = "4.0.2", "3.5.6"
_SECONDS = 300.0


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("no Java", None),
    ],
)
def test_the_version_of_java_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, version: int | None
) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{printed}' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = find_java()
    assert (found and found.version) == version
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "missing"))
    assert find_java() is None


@pytest.mark.parametrize(
    ("pyspark", "found", "message"),
    [
        (None, Java("java", 17), "expected pyspark for --engine spark, found none"),
        ("4.0.2", None, "expected Java 17 or later for pyspark 4.0.2, found none"),
        ("4.0.2", Java("/opt/java", 11), "expected Java 17 or later for pyspark 4.0.2, found Java 11: /opt/java"),
        ("3.5.6", Java("/opt/java", 7), "expected Java 8 or later"),
    ],
)
def test_what_is_missing_is_reported(
    monkeypatch: pytest.MonkeyPatch, pyspark: str | None, found: Java | None, message: str
) -> None:
    monkeypatch.setattr(java, "spark_version", lambda: pyspark)
    monkeypatch.setattr(java, "find_java", lambda: found)
    with pytest.raises(ConfigError, match=message):
        require_spark()
    assert required_java("3.5.6") == 8


def test_an_unknown_engine_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match="engine: expected one of local, spark, received 'dask'"),
        started_engine("dask"),
    ):
        pass


def test_a_master_that_does_not_respond_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = f"spark://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match="Connection refused"):
        spark._require_master(closed)
    with pytest.raises(ConfigError, match="--master: expected a Spark master"):
        spark._require_master("spark://127.0.0.1")
    monkeypatch.setattr(spark, "_SECONDS_TO_REACH", 0.2)
    # A queue that is full answers no further connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with pytest.raises(ConfigError, match="timed out"):
            spark._require_master(f"spark://127.0.0.1:{port}")
        for one in waiting:
            one.close()


def test_executors_with_other_versions_differ() -> None:
    driver = {"python": "3.11.7", "versions": {"topgraft": "0.3.0", "numpy": "2.0.1", "pyarrow": ""}}
    same = {"python": "3.11.2", "versions": dict(driver["versions"])}
    assert probe.differences(driver, same) == []
    other = {"python": "3.9.1", "versions": {"topgraft": "", "numpy": "1.26.0", "pyarrow": ""}}
    assert probe.differences(driver, other) == [
        "Python 3.9.1 instead of 3.11.7",
        "no topgraft, expected 0.3.0",
        "numpy 1.26.0 instead of 2.0.1",
    ]


def test_the_error_of_a_task_is_reported() -> None:
    text = "Job aborted\nTraceback\nmodel.errors.StorageFullError: /out/part-00001: no space left.\n\tat java"
    found = spark._failure(Exception(text))
    assert isinstance(found, StorageFullError) and found.message == "/out/part-00001: no space left."
    assert isinstance(spark._failure(Exception("Caused by: java.io.IOException: lost")), StorageError)
    mismatch = "[PYTHON_VERSION_MISMATCH] ... (10.0.0.7 executor 1)"
    assert "10.0.0.7" in str(spark._python_differs(Exception(mismatch)))


@pytest.mark.parametrize(("attempt", "divided"), [(0, False), (2, False), (3, True)])
def test_a_task_that_has_failed_three_times_is_divided(
    monkeypatch: pytest.MonkeyPatch, attempt: int, divided: bool
) -> None:
    context = SimpleNamespace(get=lambda: SimpleNamespace(attemptNumber=lambda: attempt))
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(TaskContext=context))
    task = SimpleNamespace(write=lambda number, divided: (number, divided))
    assert spark.write_part(task, probe.describe_process(), 7) == (7, divided)


def test_an_executor_that_joined_later_is_compared_with_the_driver() -> None:
    task = SimpleNamespace(write=lambda number, divided: pytest.fail("the part is not written"))
    driver = probe.describe_process()
    other = driver | {"versions": driver["versions"] | {"numpy": "1.0"}}
    with pytest.raises(ConfigError, match=r"packages as in the driver, found numpy \S+ instead of 1.0"):
        spark.write_part(task, other, 7)


@pytest.mark.parametrize("master", ["foo", "local[x]", "local[]", "host:7077", "http://host", "yarn-cluster", "k8s://"])
def test_a_master_of_another_form_is_refused(master: str) -> None:
    with pytest.raises(ConfigError, match=r"--master: expected spark://HOST:7077, yarn, .* received '"):
        spark._require_master(master)


@pytest.mark.parametrize(
    "master",
    ["", "local", "local[2]", "local[*]", "local[2,8]", "local-cluster[2,1,1024]", "yarn", "k8s://https://h:1"],
)
def test_masters_that_are_no_standalone_cluster_are_not_contacted(master: str) -> None:
    spark._require_master(master)


@pytest.mark.parametrize(
    ("master", "advice"),
    [("yarn", "Set HADOOP_CONF_DIR"), ("k8s://https://h:1", "Kubernetes"), ("local[0]", "local[4]"), ("", "Check the")],
)
def test_a_session_that_does_not_start_is_an_error_of_the_configuration(master: str, advice: str) -> None:
    def fail() -> None:
        raise RuntimeError("at java\norg.apache.spark.SparkException: no cluster.\n\tat java")

    with pytest.raises(ConfigError) as refused:
        spark._started(SimpleNamespace(getOrCreate=fail), master)
    assert "received: org.apache.spark.SparkException: no cluster. " in refused.value.message
    assert advice in refused.value.message


@pytest.mark.parametrize(
    ("master", "setting", "warned"),
    [
        ("local[*]", "4", "the master local[*,8]"),
        ("local", "8", "the master local[1,8]"),
        ("local[2, 3]", "4", "the master local[2,8]"),
        ("local[2,8]", "1", ""),
        ("spark://h:1", "1", "spark.task.maxFailures=8"),
        ("yarn", "4", ""),
    ],
)
def test_a_session_that_ends_the_job_before_a_chunk_is_divided_is_a_warning(
    caplog: pytest.LogCaptureFixture, master: str, setting: str, warned: str
) -> None:
    configuration = SimpleNamespace(get=lambda name, default: setting)
    spark._warn_of_few_failures(SimpleNamespace(master=master, getConf=lambda: configuration))
    assert warned in caplog.text and bool(caplog.text) == bool(warned)


@pytest.fixture(scope="module")
def graph(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the network."""
    path = tmp_path_factory.mktemp("graph") / "colour.onnx"
    path.write_bytes(network.graph)
    return path


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos whose work takes longer than the time until an executor is killed."""
    return write_many_photos(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Spark, Path]]:
    """A cluster of two workers, and its folder."""
    folder = tmp_path_factory.mktemp("cluster")
    with spark_cluster(spark_environment(VERSION), folder) as running:
        yield running, folder


@pytest.mark.slow
@pytest.mark.system
def test_killed_executors_and_a_killed_driver_change_no_byte(
    run: Run, graph: Path, many_photos: Path, cluster: tuple[Spark, Path], tmp_path: Path
) -> None:
    running, folder = cluster
    run(source=many_photos, out=tmp_path / "expected", max_photos=3)
    out, moments = tmp_path / "out", random.Random(1)
    before = kill_drivers(running, many_photos, out, graph, 2, moments)
    assert 0 < before < CHUNKS and not (out / "_SUCCESS").exists()
    killed, result = kill_executors(running, folder, many_photos, out, graph, 2, moments)
    assert killed and result["photos"] == PHOTOS and result["errors"] == 1 and result["written"] <= CHUNKS - before
    assert bytes_of(out) == bytes_of(tmp_path / "expected")
    assert result["table"] == {"rows": 180, "errors": 1, "features": 179}


@pytest.mark.slow
@pytest.mark.system
def test_a_full_disk_of_an_executor_is_named_and_the_same_command_completes(
    run: Run, graph: Path, photos: Path, tmp_path: Path
) -> None:
    run(out=tmp_path / "expected", max_photos=3)
    spark, out = spark_environment(VERSION), tmp_path / "out"
    out.mkdir()
    with small_disk(out, 24 << 10) as change:
        child = spark.featurize(photos, out, graph)
        output, _ = child.communicate(timeout=_SECONDS)
        assert child.returncode, output
        error = output.strip().splitlines()[-1]
        assert error.startswith(f"model.errors.StorageFullError: {socket.gethostname()}: {out}/part-0000")
        assert error.endswith("Free some space on its disk. Complete parts are kept: run the same command to resume.")
        kept = list(out.glob("part-*"))
        assert 0 < len(kept) < 6 and not list(out.glob(".part-*"))
        change("size=1m")
        assert result_of(spark.featurize(photos, out, graph))["written"] == 6 - len(kept)
        assert bytes_of(out) == bytes_of(tmp_path / "expected")


@pytest.mark.slow
@pytest.mark.system
def test_an_older_version_of_spark_writes_the_same_bytes(
    run: Run, graph: Path, photos: Path, bundle: Bundle, tmp_path: Path
) -> None:
    run(out=tmp_path / "expected", max_photos=3)
    scorer = PhotoScorer(model_network(bundle), prediction_rules(bundle), PredictConfig(neighbours=2))
    options = RunOptions(SPLITS, max_photos=3, engine=in_this_process)
    score_photos(str(photos), str(tmp_path / "expected-scores"), scorer, options)
    (tmp_path / "scorer").write_bytes(pickle.dumps(scorer))
    old = spark_environment(OLD_VERSION)
    result = result_of(old.featurize(photos, tmp_path / "out", graph, tmp_path / "scorer"))
    assert result["written"] == 6 and result["table"] == {"rows": 16, "errors": 0, "features": 16}
    assert bytes_of(tmp_path / "out-scores") == bytes_of(tmp_path / "expected-scores")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "expected")


@pytest.mark.slow
@pytest.mark.system
def test_photos_and_parts_in_s3_on_spark(
    run: Run, graph: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(out=tmp_path / "expected", max_photos=3)
    shutil.copytree(photos, tmp_path / "s3" / BUCKET / "photos")
    with s3_server(tmp_path / "s3") as server:
        variables = {"AWS_ENDPOINT_URL_S3": server.url, "AWS_REGION": "us-east-1"}
        variables |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        child = spark_environment(VERSION).featurize(f"s3://{BUCKET}/photos", f"s3://{BUCKET}/out", graph)
        output, _ = child.communicate(timeout=_SECONDS)
        assert child.returncode == 0, output
    assert SECRET_KEY not in output
    assert rows_of(tmp_path / "s3" / BUCKET / "out") == rows_of(tmp_path / "expected")
