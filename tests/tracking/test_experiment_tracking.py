"""A training is logged to MLflow; whatever goes wrong there is a warning, in time, and the model stays whole."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import open_bundle
from model.config import TrainConfig
from model.dataset.images import read_image
from model.errors import TrackingError
from model.provenance import provenance_of
from model.registry import find_bundle
from model.results import InputSpec
from model.runs.trainer import resume, train
from model.serving.predictor import load_predictor
from model.tracking.experiment_tracking import (
    TrackingServer,
    add_tracking,
    log_model,
)
from model.training_result import TrackedRun, TrainingResult
from model.workspace import Workspace
from tests.support.mlflow_server import MlflowServer, running_mlflow_server, spoiling_proxy
from tests.support.shapes import CLASSES


def result_of(directory: Path) -> TrainingResult:
    """The result of a training that wrote the model in `directory`, with a warning."""
    return TrainingResult(directory.name, directory, {}, ("an earlier one",), 1.0)


def logged_run(directory: Path) -> TrackedRun:
    """The run of the model in `directory`, logged now."""
    run = add_tracking(result_of(directory)).mlflow
    assert run is not None
    return run


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A real server; slow, for its installation takes about a minute."""
    with running_mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def experiment(mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment names the real server, and an experiment of this test."""
    name = f"tests/{tmp_path.name}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    return name


def values(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["key"]: item["value"] for item in items}


def refused_at(server: MlflowServer, refused: Callable[[str, str], int | None], directory: Path) -> str:
    """Log through a proxy that spoils some answers; the message of the error."""
    with spoiling_proxy(server, refused) as address, pytest.raises(TrackingError) as raised:
        log_model(directory, TrackingServer(address, experiment=os.environ["MLFLOW_EXPERIMENT_NAME"]))
    return raised.value.message


@pytest.mark.slow
def test_a_training_is_a_run_with_its_parameters_metrics_report_and_model(
    mlflow_server: MlflowServer,
    experiment: str,
    workspace: Workspace,
    shapes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOMAD_JOB_ID", "a-job")
    monkeypatch.setenv("NOMAD_ALLOC_ID", "")
    config = TrainConfig(
        dataset=str(shapes), name="shapes", epochs=5, image_size=96, fine_tune="top", fine_tune_epochs=2
    )
    result = train(config, workspace)
    assert not any("MLflow" in warning for warning in result.warnings)
    bundle = find_bundle(workspace, "shapes")
    bundle.verify()
    [run] = mlflow_server.runs(experiment)
    run_id = run["info"]["run_id"]
    assert result.to_json()["mlflow"] == {
        "experiment": experiment,
        "run_id": run_id,
        "url": f"{mlflow_server.address}/#/experiments/{run['info']['experiment_id']}/runs/{run_id}",
        "registered_model": experiment.replace("/", "-"),
        "version": "1",
    }
    assert run["info"]["run_name"] == "shapes" and run["info"]["status"] == "FINISHED"
    assert provenance_of(bundle.directory) == {"mlflow_run": run_id, "nomad_job": "a-job"}

    parameters = values(run["data"]["params"])
    for name, value in bundle.manifest.train_config.items():
        assert parameters[name] == ("" if value is None else str(value))
    assert parameters["dataset_fingerprint"] == bundle.manifest.dataset["fingerprint"]
    assert int(parameters["train_images"]) == sum(bundle.manifest.dataset["counts"]["train"].values())

    with open(bundle.directory / "results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["phase"] for row in rows} == {"head", "fine_tune"}
    for phase in ("head", "fine_tune"):
        for metric in ("loss", "val_loss", "val_accuracy", "learning_rate", "val_macro_f1"):
            expected = [(int(row["epoch"]), float(row[metric])) for row in rows if row["phase"] == phase]
            assert mlflow_server.history(run_id, f"{phase}/{metric}") == expected
    final = values(run["data"]["metrics"])
    measured = bundle.manifest.metrics["test"]
    assert final["test/accuracy"] == measured["accuracy"] and final["test/macro_f1"] == measured["macro_f1"]
    assert [final["test/accuracy_low"], final["test/accuracy_high"]] == measured["accuracy_interval"]

    tags = values(run["data"]["tags"])
    assert tags["topgraft.version"] == bundle.manifest.versions["topgraft"]
    assert tags["topgraft.dataset"] == str(shapes)
    top = {"report.html", "results.csv", "manifest.json", "predictions", "model"}
    assert mlflow_server.artifacts(run_id) == top
    assert "predictions/test.csv" in mlflow_server.artifacts(run_id, "predictions")


@pytest.mark.slow
def test_the_registered_version_is_the_complete_model_and_predicts_as_the_service(
    mlflow_server: MlflowServer, experiment: str, workspace: Workspace, shapes: Path, tmp_path: Path
) -> None:
    run = train(TrainConfig(dataset=str(shapes), name="shapes", epochs=5, image_size=96), workspace).mlflow
    assert run is not None
    version = f"models:/{run.registered_model}/{run.version}"
    downloaded = tmp_path / "elsewhere" / "models" / "shapes"
    downloaded.mkdir(parents=True)
    mlflow_server.execute(
        "import sys, mlflow; mlflow.artifacts.download_artifacts(sys.argv[1], dst_path=sys.argv[2])",
        version,
        downloaded,
    )
    bundle = open_bundle(downloaded)
    bundle.verify()

    pixels = np.stack([read_image(shapes / name / "000.jpg", InputSpec.square(96)) for name in CLASSES])
    np.save(tmp_path / "images.npy", pixels)
    code = """
import json, sys, numpy, mlflow.onnx, mlflow.pyfunc
mlflow.onnx.load_model(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(numpy.load(sys.argv[2]))["probabilities"]
inputs = model.metadata.signature.inputs.to_dict()
outputs = [output["name"] for output in model.metadata.signature.outputs.to_dict()]
stated = model.metadata.metadata
print(json.dumps({"answers": answers.tolist(), "inputs": inputs, "outputs": outputs, "stated": stated}))
"""
    said = json.loads(mlflow_server.execute(code, version, tmp_path / "images.npy").splitlines()[-1])
    np.testing.assert_allclose(said["answers"], load_predictor(bundle).probabilities(pixels), atol=1e-5)
    assert said["inputs"][0]["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 96, 96, 3]}
    assert "probabilities" in said["outputs"]
    assert said["stated"] == {"image_size": 96, "resize": "squash", "intensity": "full"}


@pytest.mark.slow
def test_an_interrupted_and_resumed_training_is_one_run(
    mlflow_server: MlflowServer, experiment: str, workspace: Workspace, shapes: Path
) -> None:
    def interrupt(phase: str, *_done: int, **_metrics: float) -> None:
        if phase == "export":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TrainConfig(dataset=str(shapes), name="shapes", epochs=3, image_size=96), workspace, interrupt)
    result = resume("shapes", workspace)
    [run] = mlflow_server.runs(experiment)
    assert result.mlflow is not None
    assert result.mlflow.run_id == run["info"]["run_id"] and result.mlflow.version == "1"


@pytest.mark.slow
def test_a_model_logged_twice_has_one_run_without_duplicates(
    mlflow_server: MlflowServer, experiment: str, finished: Path
) -> None:
    first, second = (add_tracking(result_of(finished)).mlflow for _ in range(2))
    assert first == second and first is not None and first.version == "1"
    [run] = mlflow_server.runs(experiment)
    assert mlflow_server.history(run["info"]["run_id"], "head/loss") == [(1, 0.9), (2, 0.5)]
    # What is not finite is left out.
    assert mlflow_server.history(run["info"]["run_id"], "head/val_loss") == [(1, 1.0)]
    assert len(values(run["data"]["params"])["group_pattern"]) == 500


@pytest.mark.slow
def test_a_refused_upload_keeps_the_metrics_and_is_completed_later(
    mlflow_server: MlflowServer, experiment: str, finished: Path
) -> None:
    message = refused_at(mlflow_server, lambda method, path: 403 if "mlflow-artifacts" in path else None, finished)
    assert "expected to upload the report, received: 403" in message
    [run] = mlflow_server.runs(experiment)
    assert f"/runs/{run['info']['run_id']}" in message
    assert run["info"]["status"] == "FAILED" and "403" in values(run["data"]["tags"])["topgraft.incomplete"]
    assert values(run["data"]["metrics"])["test/accuracy"] == 0.75

    assert logged_run(finished).run_id == run["info"]["run_id"]
    [run] = mlflow_server.runs(experiment)
    assert run["info"]["status"] == "FINISHED" and "topgraft.incomplete" not in values(run["data"]["tags"])


@pytest.mark.slow
def test_a_refusal_of_the_registry_is_reported_and_the_run_kept(
    mlflow_server: MlflowServer, experiment: str, finished: Path
) -> None:
    message = refused_at(mlflow_server, lambda method, path: 403 if "registered-models" in path else None, finished)
    assert f"expected to register the model as {experiment.replace('/', '-')}" in message
    assert "MLFLOW_EXPERIMENT_NAME" in message
    [run] = mlflow_server.runs(experiment)
    assert "model/MLmodel" in mlflow_server.artifacts(run["info"]["run_id"], "model")


@pytest.mark.slow
def test_a_run_is_resumed_after_its_server_died(mlflow_server: MlflowServer, experiment: str, finished: Path) -> None:
    died: list[str] = []

    def die_at_the_model(method: str, path: str) -> int | None:
        if died or path.endswith("model.onnx"):
            died.append(path)
            return 0
        return None

    assert "expected to upload the model" in refused_at(mlflow_server, die_at_the_model, finished)
    [begun] = mlflow_server.runs(experiment)
    assert begun["info"]["status"] == "RUNNING"
    assert logged_run(finished).run_id == begun["info"]["run_id"]
    [run] = mlflow_server.runs(experiment)
    assert run["info"]["status"] == "FINISHED"


@pytest.mark.slow
def test_the_command_logs_a_model(mlflow_server: MlflowServer, experiment: str, finished: Path) -> None:
    command = [sys.executable, "-c", "import sys; from model.cli import main; sys.exit(main())"]
    ran = subprocess.run(
        [*command, "models", "track", "small", "--json", "--workspace", str(finished.parent.parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    [run] = mlflow_server.runs(experiment)
    assert json.loads(ran.stdout)["run_id"] == run["info"]["run_id"]
