"""The real Elyra validates, runs and exports our files; what it lets pass is checked by our own tests."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from model.pipelines.elyra import elyra_text
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from tests.pipelines.elyra_problems import elyra_problems, node_named
from tests.pipelines.small_pipeline import write_pipeline
from tests.support.elyra_commands import Command, Result, run_elyra, runtime_folder
from tests.support.storage_servers import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.system]

BOOTSTRAPPER = "https://intranet.example.org/bootstrapper.py"
REQUIREMENTS = "https://intranet.example.org/requirements.txt"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
FIRST = """\
import os, sys
count = os.environ.get("count", "default")
open("first.txt", "w").write(f"{count} {os.environ['VARIABLE']} {sys.executable}")
"""
SECOND = 'open("second.txt", "w").write(open("first.txt").read().upper())'


def write_notebook(path: Path, code: str) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=KERNEL), path)


def write_small(folder: Path, second: str = SECOND) -> None:
    """A pipeline of two notebooks that run at once."""
    pipeline = write_pipeline(
        folder,
        [
            {"name": "first", "outputs": ["first.txt"], "parameters": ["count"], "environment": {"VARIABLE": "set"}},
            {"name": "second", "inputs": ["first.txt"], "outputs": ["second.txt"]},
        ],
        parameters={"count": {"type": "Integer", "default": 10}},
    )
    write_notebook(folder / "first.ipynb", FIRST)
    write_notebook(folder / "second.ipynb", second)
    (folder / "small.pipeline").write_text(elyra_text(pipeline))


def write_damaged(folder: Path) -> None:
    """The file of traffic-signs with one fault each."""
    text = (folder / "traffic-signs.pipeline").read_text()

    def write(name: str, change: Any) -> None:
        document = json.loads(text)
        change(document)
        (folder / f"{name}.pipeline").write_text(json.dumps(document))

    def properties(document: dict[str, Any], name: str) -> dict[str, Any]:
        return node_named(document, name)["app_data"]["component_parameters"]

    write("no-link", lambda one: node_named(one, "comparison")["inputs"][0].update(links=[]))
    write("no-output", lambda one: properties(one, "labeling-extraction").update(outputs=[]))
    write("half-cpu", lambda one: properties(one, "comparison").update(cpu=0.5))
    write(
        "toleration",
        lambda one: properties(one, "transfer-learning")["kubernetes_tolerations"][0].update(operator="Exist"),
    )
    write("no-runtime-type", lambda one: one["pipelines"][0]["app_data"].pop("runtime_type"))


def runtime_settings(endpoint: str) -> dict[str, str]:
    """Settings of a runtime configuration, without its name and its kind of credentials."""
    return {
        "api_endpoint": "http://127.0.0.1:9/pipeline",
        "auth_type": "NO_AUTHENTICATION",
        "engine": "Argo",
        "cos_endpoint": endpoint,
        "cos_bucket": BUCKET,
        "cos_username": ACCESS_KEY,
        "cos_password": SECRET_KEY,
    }


def write_clear_runtime(home: Path, endpoint: str) -> None:
    """A runtime configuration with credentials in clear; elyra-metadata creates one only in each process."""
    folder = home / "data" / "metadata" / "runtimes"
    folder.mkdir(parents=True)
    settings = {"runtime_type": "KUBEFLOW_PIPELINES", "cos_auth_type": "USER_CREDENTIALS", **runtime_settings(endpoint)}
    content = {"schema_name": "kfp", "display_name": "clear", "metadata": settings}
    (folder / "clear.json").write_text(json.dumps(content))


def commands(home: Path, endpoint: str) -> dict[str, Command]:
    credentials = {"cos_auth_type": "KUBERNETES_SECRET", "cos_secret": "s3-connection"}
    settings = {"name": "kubeflow", "display_name": "kubeflow", **runtime_settings(endpoint), **credentials}
    created = ["create", "runtimes", "--schema_name=kfp", *(f"--{name}={value}" for name, value in settings.items())]

    def validate(name: str, *options: str) -> Command:
        return Command(["validate", f"{name}.pipeline", *options])

    kubeflow = ("--runtime-config", "kubeflow")
    exported = ("export", "traffic-signs.pipeline", "--runtime-config")
    closed = {"ELYRA_BOOTSTRAP_SCRIPT_URL": BOOTSTRAPPER, "ELYRA_REQUIREMENTS_URL": REQUIREMENTS}
    return {
        "runtime": Command(created, program="elyra-metadata"),
        "no runtime folder": validate("traffic-signs", *kubeflow),
        "kubeflow": Command(["validate", "traffic-signs.pipeline", *kubeflow], folder=str(runtime_folder(home))),
        "local": validate("traffic-signs"),
        "no link": validate("no-link", *kubeflow),
        "no output": validate("no-output", *kubeflow),
        "half a cpu": validate("half-cpu", *kubeflow),
        "toleration": validate("toleration", *kubeflow),
        "toleration, local": validate("toleration"),
        "no runtime type": validate("no-runtime-type"),
        "export": Command([*exported, "kubeflow", "--output", "export.yaml"]),
        "clear export": Command([*exported, "clear", "--output", "clear.yaml"]),
        "closed cluster": Command([*exported, "kubeflow", "--output", "closed.yaml"], variables=closed),
        "run": Command(["run", "small/small.pipeline"]),
        "run with variable": Command(["run", "variable/small.pipeline"], variables={"count": "3"}),
        "run of a failing step": Command(["run", "failing/small.pipeline"]),
        "run without output": Command(["run", "silent/small.pipeline"]),
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with traffic-signs, damaged copies of its file, and small pipelines."""
    folder = tmp_path_factory.mktemp("elyra") / "work"
    shutil.copytree(find_pipeline("traffic-signs").parent, folder)
    write_damaged(folder)
    write_small(folder / "small")
    write_small(folder / "variable")
    write_small(folder / "failing", second='raise ValueError("no such class")')
    write_small(folder / "silent", second="pass")
    return folder


@pytest.fixture(scope="module")
def results(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    home = tmp_path_factory.mktemp("jupyter")
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        write_clear_runtime(home, server.url)
        yield run_elyra(home, work, commands(home, server.url))


def test_the_pipeline_is_valid_with_and_without_a_runtime_configuration(results: dict[str, Result]) -> None:
    for name in ("runtime", "kubeflow", "local"):
        assert results[name].exit_status == 0, results[name].output
    for name in ("kubeflow", "local"):
        assert "SUCCEEDED" in results[name].output
        assert "Warning" not in results[name].output


def test_a_runtime_configuration_needs_the_runtime_folder(results: dict[str, Result]) -> None:
    assert results["no runtime folder"].exit_status != 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half a cpu", "[comparison][cpu] - Property must be greater than zero"),
        ("toleration", "'Exist' is not a valid operator"),
    ],
)
def test_elyra_refuses(results: dict[str, Result], name: str, message: str) -> None:
    assert results[name].exit_status == 1
    assert message in results[name].output


@pytest.mark.parametrize(
    ("name", "file"),
    [("no link", "no-link"), ("no output", "no-output"), ("toleration, local", "toleration")],
)
def test_our_check_finds_what_elyra_lets_pass(results: dict[str, Result], work: Path, name: str, file: str) -> None:
    assert results[name].exit_status == 0
    document = json.loads((work / f"{file}.pipeline").read_text())
    assert elyra_problems(document, read_pipeline(work / "pipeline.yaml")) != []


def test_parameters_without_a_runtime_type_fail_without_a_reason(results: dict[str, Result], work: Path) -> None:
    assert results["no runtime type"].exit_status == 1
    assert "epochs" not in results["no runtime type"].output
    document = json.loads((work / "no-runtime-type.pipeline").read_text())
    assert elyra_problems(document, read_pipeline(work / "pipeline.yaml")) == ["runtime_type None"]


def exported(work: Path, name: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The text of an exported file, and its two documents."""
    text = (work / name).read_text()
    pipeline, platforms = yaml.safe_load_all(text)
    return text, pipeline, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_an_export_has_no_secret_in_clear(results: dict[str, Result], work: Path) -> None:
    assert results["export"].exit_status == 0, results["export"].output
    text, _, executors = exported(work, "export.yaml")
    assert (SECRET_KEY in text, ACCESS_KEY in text) == (False, False)
    secrets = [
        (secret["secretName"], key["envVar"], key["secretKey"])
        for secret in executors["exec-run-a-file-3"]["secretAsEnv"]
        for key in secret["keyToEnv"]
    ]
    assert ("s3-connection", "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY") in secrets
    # The search finds a secret where there is one.
    assert results["clear export"].exit_status == 0, results["clear export"].output
    assert (work / "clear.yaml").read_text().count(SECRET_KEY) >= 4


def test_an_export_has_the_gpu_the_toleration_and_the_parameters(results: dict[str, Result], work: Path) -> None:
    _, pipeline, executors = exported(work, "export.yaml")
    tasks = pipeline["root"]["dag"]["tasks"]
    assert {name: task.get("dependentTasks") for name, task in tasks.items()} == {
        "run-a-file": None,
        "run-a-file-2": ["run-a-file"],
        "run-a-file-3": ["run-a-file-2"],
        "run-a-file-4": ["run-a-file-3"],
    }
    training = pipeline["deploymentSpec"]["executors"]["exec-run-a-file-3"]["container"]
    assert training["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert training["resources"]["resourceMemoryRequest"] == "8G"
    assert executors["exec-run-a-file-3"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert all("tolerations" not in one for name, one in executors.items() if name != "exec-run-a-file-3")
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    assert parameters["epochs"] == {"defaultValue": 10.0, "isOptional": True, "parameterType": "NUMBER_INTEGER"}
    # Kubeflow fails on a parameter without a value.
    assert [name for name, one in parameters.items() if "defaultValue" not in one] == []


def test_pods_of_a_closed_cluster_need_no_internet(results: dict[str, Result], work: Path) -> None:
    assert "raw.githubusercontent.com" in (work / "export.yaml").read_text()
    text = (work / "closed.yaml").read_text()
    assert (BOOTSTRAPPER in text, REQUIREMENTS in text, "githubusercontent" in text) == (True, True, False)


def test_a_local_run_uses_the_kernel_and_passes_variables_but_no_parameters(
    results: dict[str, Result], work: Path
) -> None:
    assert results["run"].exit_status == 0, results["run"].output
    assert (work / "small" / "second.txt").read_text() == f"default set {sys.executable}".upper()
    assert results["run with variable"].exit_status == 0, results["run with variable"].output
    assert (work / "variable" / "first.txt").read_text().startswith("3 set ")


def test_a_failing_step_fails_the_run_and_a_missing_output_does_not(results: dict[str, Result], work: Path) -> None:
    assert results["run of a failing step"].exit_status == 1
    assert "no such class" in results["run of a failing step"].output
    assert results["run without output"].exit_status == 0
    assert not (work / "silent" / "second.txt").exists()
