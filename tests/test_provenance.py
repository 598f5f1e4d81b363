"""The provenance of a model is that of its training, not that of its publisher."""

import importlib.metadata
import json
from pathlib import Path

import pytest

from model.bundle import Bundle, open_bundle, write_manifest
from model.provenance import MLFLOW_RUN, PROVENANCE, installed_versions, provenance_of, write_job, write_run
from model.publishing.archive import write_archive
from model.publishing.child_module import write_child_module
from model.publishing.child_options import ChildOptions
from tests.support.small_model import write_model

RUN = {
    "experiment": "topgraft",
    "run_id": "0123abcd",
    "url": "https://mlflow.example.org/#/experiments/1/runs/0123abcd",
}


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_RUN", "TOPGRAFT_NOMAD_JOB", "NOMAD_JOB_ID", "NOMAD_ALLOC_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("tensorflow", "tensorflow-cpu"),
        ("tensorflow", "tensorflow-rocm"),
        ("tensorflow", "tf-nightly"),
        ("onnxruntime", "onnxruntime-gpu"),
        ("onnxruntime", "onnxruntime-openvino"),
        ("onnx", "onnx-weekly"),
    ],
)
def test_versions_are_recorded_for_packages_with_other_names(
    name: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version(asked: str) -> str:
        if asked == name:
            raise importlib.metadata.PackageNotFoundError(asked)
        return "1.2.3" if asked == other else real(asked)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert installed_versions()[name] == ("unknown" if name == "onnx" else "1.2.3")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A model trained in a job of the platform, and published from another."""
    bundle = write_model(tmp_path / "models" / "colours")
    with monkeypatch.context() as in_the_job:
        in_the_job.setenv("NOMAD_JOB_ID", "training-job")
        in_the_job.setenv("NOMAD_ALLOC_ID", "training-allocation")
        write_job(bundle.directory)
        write_manifest(bundle.directory, bundle.manifest)
    monkeypatch.setenv("NOMAD_JOB_ID", "job-that-publishes")
    monkeypatch.setenv("NOMAD_ALLOC_ID", "allocation-that-publishes")
    return open_bundle(bundle.directory)


def test_the_job_of_the_training_is_named_and_not_that_of_the_publisher(trained: Bundle, tmp_path: Path) -> None:
    assert PROVENANCE in trained.manifest.files
    assert provenance_of(trained.directory) == {"nomad_job": "training-job", "nomad_allocation": "training-allocation"}
    other = write_model(tmp_path / "models" / "trained-elsewhere")
    assert provenance_of(other.directory) == {}
    child = write_child_module(other, "https://example.org/x", "ab" * 32, tmp_path / "child", ChildOptions()).directory
    assert "provenance" not in (child / "ai4-metadata.yml").read_text()


def test_a_training_outside_of_any_job_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOMAD_JOB_ID", " ")
    write_job(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_values_of_the_publisher_take_precedence(trained: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(trained.directory, RUN)
    assert provenance_of(trained.directory)["mlflow_run"] == "0123abcd"
    monkeypatch.setenv("MLFLOW_RUN", "of-the-publisher")
    monkeypatch.setenv("TOPGRAFT_NOMAD_JOB", "another-job")
    assert provenance_of(trained.directory) == {"mlflow_run": "of-the-publisher", "nomad_job": "another-job"}


def test_a_model_logged_later_is_intact_and_packed_to_the_same_bytes(trained: Bundle, tmp_path: Path) -> None:
    before = write_archive(trained, tmp_path / "before.tar.xz")
    write_run(trained.directory, RUN)
    bundle = open_bundle(trained.directory)
    bundle.verify()
    assert write_archive(bundle, tmp_path / "after.tar.xz").sha256 == before.sha256
    assert MLFLOW_RUN not in write_manifest(bundle.directory, bundle.manifest).files and MLFLOW_RUN not in before.files


@pytest.mark.parametrize("content", ["", "[]", '{"run_id": {"a": 1}}', "[" * 100_000, '{"run_id": "' + "x" * 200_000])
def test_a_file_without_useful_content_is_ignored(tmp_path: Path, content: str) -> None:
    for name in (MLFLOW_RUN, PROVENANCE):
        (tmp_path / name).write_text(content)
    assert provenance_of(tmp_path) == {}


def test_a_read_only_model_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_run(tmp_path / "gone", RUN)
    assert "cannot be stored" in caplog.text
    write_run(tmp_path, RUN)
    assert json.loads((tmp_path / MLFLOW_RUN).read_text()) == RUN
