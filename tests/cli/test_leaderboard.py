"""`topgraft models --leaderboard`: the models of each dataset by accuracy."""

import dataclasses
import json
from pathlib import Path

from click.testing import CliRunner

from model.bundle import open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.cli.models import models
from tests.support.small_model import measured, write_model, write_small_model


def _run(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(models, [*arguments, "--workspace", str(home)])
    assert result.exit_code == 0, result.output
    return result.output


def test_models_of_a_dataset_are_ranked(workspace: Path) -> None:
    write_model(workspace / "models" / "weak", metrics={"test": measured() | {"accuracy": 0.6}})
    write_model(workspace / "models" / "strong")
    write_small_model(workspace / "models" / "other")
    damaged = workspace / "models" / "damaged"
    write_small_model(damaged)
    (damaged / "manifest.json").write_text("{")
    network = write_model(workspace / "models" / "hurt").directory / ONNX_MODEL
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    lines = _run(workspace, "--leaderboard").splitlines()
    assert lines[0] == "/data/my photos (000000000000)"
    assert lines[1].startswith("  strong: accuracy 87.5 % of 40 test photos (95 % interval 73.9 to 94.5)")
    assert lines[2].startswith("  weak: accuracy 60.0 %") and "ms per photo" in lines[2] and "MB" in lines[2]
    assert lines[3] == "unknown dataset" and lines[4].startswith("  other: accuracy 90.0 %")
    assert lines[5].startswith("damaged: damaged: ") and "manifest.json" in lines[5]
    assert lines[6].startswith("damaged: hurt: ") and "sha256" in lines[6]
    assert len(lines) == 7
    rows = json.loads(_run(workspace, "list", "--leaderboard", "--json"))
    assert [row["name"] for row in rows] == ["strong", "weak", "other", "damaged", "hurt"]
    assert [row["problem"] is None for row in rows] == [True, True, True, False, False]
    assert lines[6] == f"damaged: hurt: {rows[-1]['problem']}" and rows[-1]["accuracy"] is None


def test_a_dataset_is_recognized_wherever_it_was(workspace: Path) -> None:
    for name, path, accuracy in (("weak", "/data/photos", 0.6), ("strong", "/mnt/moved", 0.9), ("mid", "", 0.7)):
        bundle = write_model(workspace / "models" / name, metrics={"test": measured() | {"accuracy": accuracy}})
        dataset = bundle.manifest.dataset | {"path": path}
        write_manifest(bundle.directory, dataclasses.replace(bundle.manifest, dataset=dataset))
    lines = _run(workspace, "--leaderboard").splitlines()
    assert lines[0] == "/mnt/moved, /data/photos (000000000000)"
    assert [line.split(":")[0] for line in lines[1:]] == ["  strong", "  mid", "  weak"]


def test_the_leaderboard_as_json(workspace: Path) -> None:
    folder = write_model(workspace / "models" / "strong").directory
    (folder / "results.csv").write_text("phase,epoch,seconds\nhead,1,0.0\nhead,2,0.0\n")
    (folder / "training_cost.json").write_text('{"seconds": 61.5, "energy_joules": 90000, "peak_memory_bytes": -1}')
    write_manifest(folder, open_bundle(folder).manifest)
    (row,) = json.loads(_run(workspace, "list", "--leaderboard", "--json"))
    assert (row["name"], row["seconds"], row["images"], row["measured_by"]) == ("strong", 61.5, 40, "test")
    assert row["energy_joules"] == 90000
    assert row["ms_per_photo"] > 0 and row["megabytes"] > 0


def test_time_and_energy_of_the_whole_training_are_listed_as_far_as_known(workspace: Path) -> None:
    contents = {"counted": '{"seconds": 61.5, "energy_joules": 90000}', "timed": '{"seconds": 5}', "strange": "[" * 3}
    for name, content in contents.items():
        folder = write_model(workspace / "models" / name).directory
        (folder / "training_cost.json").write_text(content)
        write_manifest(folder, open_bundle(folder).manifest)
    lines = {line.split(":")[0].strip(): line for line in _run(workspace, "--leaderboard").splitlines()[1:]}
    assert "trained in 61.5 s (energy: 0.025 kWh)" in lines["counted"]
    assert "trained in 5.0 s (energy: not measured)" in lines["timed"]
    assert "trained in" not in lines["strange"]


def test_an_empty_workspace_says_what_to_do(workspace: Path) -> None:
    assert "topgraft train --dataset FOLDER" in _run(workspace, "--leaderboard")
