"""A training is logged to MLflow; whatever goes wrong there is a warning, in time, and the model stays whole."""

import base64
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from model.bundle import Manifest, open_bundle, write_manifest
from model.config import TrainConfig
from model.dataset.images import read_image
from model.errors import ConfigError, TrackingError
from model.provenance import provenance_of
from model.registry import find_bundle
from model.results import InputSpec
from model.runs.trainer import resume, train
from model.serving.predictor import load_predictor
from model.tracking.experiment_tracking import (
    TrackingServer,
    add_tracking,
    check_server,
    log_model,
    tracking_server,
)
from model.training_result import TrackedRun, TrainingResult
from model.workspace import Workspace
from tests.support.http_server import http_server
from tests.support.mlflow_server import MlflowServer, answer, running_mlflow_server, spoiling_proxy
from tests.support.ports import free_port
from tests.support.shapes import CLASSES
from tests.support.waiting import wait_until

PASSWORD = "hunter2/@%"


def result_of(directory: Path) -> TrainingResult:
    """The result of a training that wrote the model in `directory`, with a warning."""
    return TrainingResult(directory.name, directory, {}, ("an earlier one",), 1.0)


def logged_run(directory: Path) -> TrackedRun:
    """The run of the model in `directory`, logged now."""
    run = add_tracking(result_of(directory)).mlflow
    assert run is not None
    return run


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a developer may have set, and set a short time limit for servers that do not answer."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A small model on disk, whole: enough to be logged."""
    import onnx
    from onnx import TensorProto, helper

    directory = tmp_path / "models" / "small"
    (directory / "predictions").mkdir(parents=True)
    (directory / "report.html").write_text("<html></html>")
    (directory / "predictions" / "test.csv").write_text("image\n")
    rows = ["phase,epoch,loss,val_loss,seconds", "head,1,0.9,1.0,0.5", "head,2,0.5,nan,0.5", "fine_tune,1,0.4,0.6,2"]
    (directory / "results.csv").write_text("\n".join(rows) + "\n")
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])
    shape = helper.make_tensor_value_info("probabilities", TensorProto.INT64, [4])
    graph = helper.make_graph([helper.make_node("Shape", ["image"], ["probabilities"])], "small", [image], [shape])
    onnx.save(helper.make_model(graph), str(directory / "model.onnx"))
    manifest = Manifest(
        name="small",
        created="2026-11-21T10:15:00.000000+00:00",
        versions={"topgraft": "1", "numpy": "2", "onnx": "1", "onnxruntime": "1", "keras": "3", "tensorflow": "2"},
        classes=CLASSES,
        backbone="EfficientNetLite0",
        image_size=8,
        resize="squash",
        scaling="lite",
        train_config={"dataset": "photos", "name": "small", "l2": None, "group_pattern": "x" * 9000},
        dataset={"path": "/data/photos", "fingerprint": "f00d", "counts": {"train": {"circle": 5, "square": 6}}},
        metrics={"test": {"images": 9, "accuracy": 0.75, "accuracy_interval": [0.5, 0.9], "macro_f1_interval": None}},
        temperature=1.0,
        thresholds={"confidence": 0.5},
        engine="onnx",
        parity={},
        files={},
    )
    write_manifest(directory, manifest)
    return directory


class Answering(BaseHTTPRequestHandler):
    """Answers each request with one status and body, after a while; records its clients."""

    status, body, seconds = 200, b"{}", 0.0
    users: list[str]

    def do_GET(self) -> None:
        self.users.append(self.headers.get("Authorization", ""))
        time.sleep(self.seconds)
        answer(self, self.status, self.body)

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


def answering(status: int = 200, body: bytes = b"{}", seconds: float = 0.0) -> type[Answering]:
    return type("Fixed", (Answering,), {"status": status, "body": body, "seconds": seconds, "users": []})


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def warning_of(directory: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Log the model to `address`; the warning that this ends with, the model and all else being as before."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("http://", "http://me:hunter2%2F%40%25@"))
    environment, children = dict(os.environ), psutil.Process().children(recursive=True)
    result = add_tracking(result_of(directory))
    open_bundle(directory).verify()
    assert dict(os.environ) == environment
    assert psutil.Process().children(recursive=True) == children
    assert result.mlflow is None and result.warnings[0] == "an earlier one"
    [warning] = result.warnings[1:]
    assert "hunter2" not in warning
    assert warning.endswith("The model is complete. To log it later: topgraft models track small")
    return warning


def test_without_an_address_nothing_is_logged(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of(finished)
    assert add_tracking(result) is result
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert add_tracking(result) is result


def test_a_server_that_is_down_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = warning_of(finished, f"http://127.0.0.1:{free_port()}", monkeypatch)
    assert "Connection refused" in warning and "MLFLOW_TRACKING_URI is its address" in warning


def test_a_server_that_never_answers_is_a_warning(
    finished: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "timed out" in warning_of(finished, hanging, monkeypatch)


def test_the_time_limit_applies_to_any_wait_of_the_client(
    finished: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "500")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", "4")
    start = time.monotonic()
    assert "more than 4 s (TOPGRAFT_MLFLOW_SECONDS)" in warning_of(finished, hanging, monkeypatch)
    assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"Who are you?", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}', "MLFLOW_EXPERIMENT_NAME"),
        (500, b"oops", "500"),
        (200, b"<html>a shop</html>", "JSON"),
    ],
)
def test_a_refusal_of_the_server_is_a_warning_with_the_remedy(
    finished: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, expected: str
) -> None:
    handler = answering(status, body)
    with http_server(handler) as address:
        assert expected in warning_of(finished, address, monkeypatch)
    name, _, encoded = handler.users[0].partition(" ")
    assert (name, base64.b64decode(encoded).decode()) == ("Basic", f"me:{PASSWORD}")
    assert len(handler.users) == 1


def test_a_missing_client_library_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert "topgraft[mlflow]" in warning_of(finished, "http://127.0.0.1:1", monkeypatch)


@pytest.mark.parametrize("address", ["htp://me:hunter2@example.org", "127.0.0.1:5000", "sqlite:///x.db", "http://"])
def test_an_unsupported_address_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(ConfigError, match="such as http://127") as raised:
        tracking_server()
    assert "hunter2" not in raised.value.message
    assert raised.value.message in add_tracking(result_of(finished)).warnings[1]


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_an_invalid_time_limit_falls_back_to_the_default(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", seconds)
    server = tracking_server()
    assert server is not None and server.seconds == 60.0


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_USERNAME", "TRACKING_PASSWORD", "EXPERIMENT_NAME"):
        monkeypatch.setenv(f"MLFLOW_{name}", "")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org/base/")
    assert tracking_server() == TrackingServer("https://mlflow.example.org/base", "", "", "topgraft", 60.0)


def test_the_check_distinguishes_a_server_from_other_addresses(hanging: str) -> None:
    unknown = b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'
    for status, body, expected in ((404, unknown, ""), (200, b"{}", ""), (404, b"no", "404"), (401, b"no", "USERNAME")):
        with http_server(answering(status, body)) as address:
            said = check_server(TrackingServer(address))
            assert expected in said and bool(expected) == bool(said)
    assert "cannot be reached" in check_server(TrackingServer(f"http://127.0.0.1:{free_port()}"))
    start = time.monotonic()
    assert "cannot be reached" in check_server(TrackingServer(hanging))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_logging_process_ends_with_its_parent(
    finished: Path, hanging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "500")
    code = "import sys; from pathlib import Path; from model.tracking.experiment_tracking import add_tracking\n"
    code += "from model.training_result import TrainingResult\n"
    code += "add_tracking(TrainingResult('small', Path(sys.argv[1]), {}, (), 1.0))"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(finished)], stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    wait_until(lambda: psutil.Process(parent.pid).children() != [], 30)
    [child] = psutil.Process(parent.pid).children()
    wait_until(lambda: child.net_connections() != [], 30)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=30)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 30)
    open_bundle(finished).verify()
    if number == signal.SIGINT:
        assert "small: logging to MLflow was stopped. To log it later: topgraft models track small" in said
        assert list(temporary.iterdir()) == []


def heed_interrupts() -> None:
    """Restore the default handling of SIGINT, which shells disable for background commands."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
