"""`topgraft pipeline export` writes or checks files of Elyra and Argo Workflows; `topgraft pipeline list`."""

import json
from pathlib import Path

import pytest

from tests.pipelines.small_pipeline import write_pipeline
from tests.support.command import Run

FILES = {"elyra": "small.pipeline", "argo": "small.argo.yaml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pipeline(tmp_path / "small", [{"name": "one", "outputs": ["a.tar"]}, {"name": "two", "inputs": ["a.tar"]}])
    return tmp_path / "small"


@pytest.mark.parametrize("form", FILES)
def test_a_check_fails_until_the_file_is_written_and_after_a_change(run: Run, folder: Path, form: str) -> None:
    command, path = ("pipeline", "export", folder, "--to", form), folder / FILES[form]
    missing = run(*command, "--check")
    assert (missing.returncode, path.exists()) == (6, False)
    assert (
        f"{path} is missing for {folder / 'pipeline.yaml'}. Write it with: topgraft pipeline export" in missing.stderr
    )
    assert run(*command).stdout == f"{path}: written\n"
    assert run(*command, "--check").returncode == 0
    assert run(*command).stdout == f"{path}: unchanged\n"
    source = folder / "pipeline.yaml"
    source.write_text(source.read_text().replace("image:1", "image:2"))
    differs = run(*command, "--check", "--json")
    assert (differs.returncode, json.loads(differs.stdout)["changed"]) == (6, True)
    assert f"{path} differs from {source}" in differs.stderr
    assert "image:1" in path.read_text()


def test_pipelines_are_listed_with_their_folders_steps_and_parameters(run: Run) -> None:
    lines = run("pipeline", "list").stdout.splitlines()
    assert lines[0].startswith("traffic-signs: Labelled photos")
    folder = Path(lines[1].removeprefix("  folder: "))
    assert (folder / "pipeline.yaml").is_file() and (folder / "comparison.ipynb").is_file()
    assert "    synthetic-data: synthetic-data.ipynb writes training.tar" in lines
    assert "    epochs=10: Maximum epochs for the head." in lines


def test_another_file_is_written(run: Run, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "my other.pipeline"
    missing = run("pipeline", "export", folder, "--to", "elyra", "--output", other, "--check")
    assert f"Write it with: topgraft pipeline export {folder} --to elyra --output '{other}'" in missing.stderr
    written = run("pipeline", "export", folder, "--to", "elyra", "--output", other, "--json")
    assert json.loads(written.stdout) == {"pipeline": "small", "to": "elyra", "file": str(other), "changed": True}
    assert json.loads(other.read_text())["doc_type"] == "pipeline"
    assert not (folder / "small.pipeline").exists()


@pytest.mark.parametrize("form", FILES)
def test_a_file_of_the_user_is_not_replaced(run: Run, folder: Path, form: str) -> None:
    source = folder / "pipeline.yaml"
    before = source.read_bytes()
    refused = run("pipeline", "export", folder, "--to", form, "--output", source)
    assert (refused.returncode, source.read_bytes()) == (2, before)
    assert f"one written by topgraft pipeline export --to {form}, found another one. Name another" in refused.stderr


def test_what_elyra_cannot_run_is_refused_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    write_pipeline(tmp_path / "small", [{"name": "one", "outputs": ["one.html"]}])
    refused = run("pipeline", "export", tmp_path / "small", "--to", "elyra")
    assert (refused.returncode, "Elyra writes the executed notebook to 'one.html'" in refused.stderr) == (2, True)
    assert not (tmp_path / "small" / "small.pipeline").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("traffic-sign", "--to", "elyra"), "Did you mean: traffic-signs?"),
        (("traffic-signs", "--to", "kubeflow"), "'kubeflow' is not one of 'elyra', 'argo'"),
        (("traffic-signs",), "Missing option '--to'"),
    ],
)
def test_wrong_arguments_are_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    refused = run("pipeline", "export", *arguments)
    assert (refused.returncode, message in refused.stderr) == (2, True)
