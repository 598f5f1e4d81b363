"""`topgraft doctor` lists what is missing and hides secrets."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from model.cli.doctor import _package, _spark
from model.scale.java import Java
from tests.support.command import ROOT, Run


def findings(text: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(text)["findings"]}


def test_a_complete_installation_has_no_problems(run: Run) -> None:
    ran = run("doctor", "--json")
    assert ran.returncode == 0, ran.stdout
    found = findings(ran.stdout)
    assert found["tensorflow"]["status"] == "ok"
    assert found["EfficientNetLite0"]["status"] == "ok"


def test_secrets_are_never_shown(run: Run) -> None:
    ran = run(
        "doctor",
        RCLONE_CONFIG_RSHARE_PASS="hunter2",
        MLFLOW_TRACKING_PASSWORD="hunter2",
        MLFLOW_TRACKING_URI="https://me:hunter2@mlflow.example.org/?token=hunter2",
        RCLONE_CONFIG_RSHARE_URL="https://cloud.example.org/dav?key=hunter2",
    )
    assert ran.returncode == 0, ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr
    assert "https://...@mlflow.example.org/ " in ran.stdout
    assert "https://cloud.example.org/dav " in ran.stdout


def test_an_empty_variable_counts_as_not_set(run: Run) -> None:
    found = findings(run("doctor", "--json", MLFLOW_TRACKING_URI="").stdout)
    assert found["MLFLOW_TRACKING_URI"]["status"] == "note"


def test_an_unreachable_mlflow_server_is_a_note(run: Run) -> None:
    ran = run("doctor", "--json", MLFLOW_TRACKING_URI="http://me:hunter2@127.0.0.1:1")
    assert ran.returncode == 0 and "hunter2" not in ran.stdout
    found = findings(ran.stdout)["MLflow"]
    assert found["status"] == "note" and "http://127.0.0.1:1 cannot be reached" in found["detail"]


def test_a_missing_workspace_is_a_problem(run: Run) -> None:
    ran = run("doctor", "--json", TOPGRAFT_HOME="/nowhere")
    assert ran.returncode == 2
    assert findings(ran.stdout)["workspace"]["status"] == "problem"


def test_a_read_only_cache_is_a_problem(run: Run, workspace: Path) -> None:
    (workspace / "file").write_text("", encoding="utf-8")
    ran = run("doctor", "--json", TOPGRAFT_CACHE=str(workspace / "file" / "cache"))
    assert ran.returncode == 2
    assert findings(ran.stdout)["cache"]["status"] == "problem"


def test_another_module_with_our_import_name_is_a_problem(run: Run, workspace: Path) -> None:
    other = workspace / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (other / "entry_points.txt").write_text("[deepaas.v2.model]\nother = api\n", encoding="utf-8")
    ran = run("doctor", "--json", PYTHONPATH=f"{ROOT}:{workspace}")
    assert ran.returncode == 2
    assert findings(ran.stdout)["other"]["status"] == "problem"


@pytest.mark.parametrize(
    ("name", "other"), [("tensorflow", "tensorflow-cpu"), ("onnxruntime", "onnxruntime-gpu"), ("numpy", "numpy-gpu")]
)
def test_a_package_is_found_under_its_alternative_name(name: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(asked: str) -> str:
        if asked == name:
            raise importlib.metadata.PackageNotFoundError(asked)
        return "2.19.0" if asked == other else real(asked)

    monkeypatch.setattr(importlib.metadata, "version", version)
    finding = _package(name, ">=2.19,<3", lambda version: version == "2.19.0")
    assert finding.status == ("problem" if name == "numpy" else "ok")


@pytest.mark.parametrize(
    ("pyspark", "java", "status", "detail"),
    [
        (None, None, "note", "pyspark not installed, Java not found; required for featurize --engine spark only"),
        ("4.0.2", Java("java", 11), "note", "pyspark 4.0.2, Java 11; pyspark 4.0.2 needs Java 17 or later"),
        ("4.0.2", None, "note", "Java not found; pyspark 4.0.2 needs Java 17 or later: install it, or set JAVA_HOME"),
        ("3.5.6", Java("java", 17), "ok", "pyspark 3.5.6, Java 17"),
    ],
)
def test_spark_and_java_are_reported(
    monkeypatch: pytest.MonkeyPatch, pyspark: str | None, java: Java | None, status: str, detail: str
) -> None:
    monkeypatch.setattr("model.scale.java.spark_version", lambda: pyspark)
    monkeypatch.setattr("model.scale.java.find_java", lambda: java)
    finding = _spark()
    assert finding.status == status and detail in finding.detail
