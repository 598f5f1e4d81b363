"""An interrupted and resumed training has the results of an uninterrupted one."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from model.config import TrainConfig
from model.dataset import reading as storage
from model.errors import ConfigError, DatasetError, StorageError
from model.registry import find_bundle
from model.runs import interrupted_trainings
from model.runs.trainer import resume, train
from model.training.checkpoints import Checkpoints
from model.workspace import Workspace, cache_directory
from tests.support.command import ROOT
from tests.support.tiny_network import COMMAND, REPLACED
from tests.support.trainings import FINE_TUNED, Interruption, rows
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("tiny_network")


def _config(shapes: Path) -> TrainConfig:
    return dataclasses.replace(FINE_TUNED, dataset=str(shapes))


def _config_of_head(shapes: Path, **options: object) -> TrainConfig:
    return TrainConfig(dataset=str(shapes), name="m", backbone=REPLACED, image_size=64, epochs=6, **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, shapes, tiny_network) -> list[list[str]]:
    """The rows of results.csv of a training that nothing stopped, without the times."""
    workspace = Workspace(tmp_path_factory.mktemp("uninterrupted"))
    workspace.models.mkdir()
    train(_config(shapes), workspace)
    return rows(workspace)


@pytest.mark.slow
def test_a_training_stopped_after_an_epoch_and_resumed_has_the_same_results(workspace, shapes, uninterrupted):
    epoch = 3
    with pytest.raises(Interruption):
        train(_config(shapes), workspace, _stop_at("fine_tune", epoch))
    assert [(status.name, status.state) for status in interrupted_trainings(workspace)] == [("m", "cancelled")]
    fine_tuned: list[int] = []
    resume(
        "m",
        workspace,
        lambda phase, done, *_total, **_metrics: fine_tuned.append(done) if phase == "fine_tune" else None,
    )
    assert min(fine_tuned) > epoch - 1
    assert rows(workspace) == uninterrupted
    find_bundle(workspace, "m").verify()


@pytest.mark.slow
def test_fine_tuning_of_a_whole_backbone_is_resumed_with_its_averaged_weights(workspace, shapes):
    config = dataclasses.replace(
        _config(shapes), backbone="EfficientNetLite0", weights="imagenet", fine_tune="all", epochs=1, fine_tune_epochs=3
    )
    train(config, workspace)
    expected = rows(workspace), _predictions(workspace)
    _clear(workspace)
    with pytest.raises(Interruption):
        train(config, workspace, _stop_at("fine_tune", 2))
    result = resume("m", workspace)
    assert "was kept" in result.remarks[0]
    assert (rows(workspace), _predictions(workspace)) == expected


@pytest.mark.slow
def test_head_training_stopped_in_any_phase_and_resumed_has_the_same_results(workspace, shapes):
    features = cache_directory() / "features"
    shutil.rmtree(features, ignore_errors=True)
    config = _config_of_head(shapes, augmentation="light")
    phases: dict[str, int] = {}
    train(config, workspace, lambda phase, done, *_total, **_metrics: phases.update({phase: done}))
    expected = rows(workspace), _predictions(workspace)
    for phase in ("features", "head", "cross_validation", "export"):
        _clear(workspace)
        shutil.rmtree(features)
        with pytest.raises(Interruption):
            train(config, workspace, _stop_at(phase, phases[phase]))
        assert not (workspace.models / "m").exists()
        resume("m", workspace)
        assert (rows(workspace), _predictions(workspace)) == expected, phase


@pytest.mark.slow
def test_progress_before_an_interruption_survives_the_time_limit(workspace, shapes):
    config = _config_of_head(shapes, time_limit_minutes=1000.0)
    train(config, workspace)
    expected = rows(workspace), _predictions(workspace)
    _clear(workspace)
    with pytest.raises(Interruption):
        train(config, workspace, _stop_at("export", 0))
    status = json.loads((workspace.running / "m" / "status.json").read_text())
    (workspace.running / "m" / "status.json").write_text(json.dumps(status | {"seconds_used": 60_001.0}))
    assert not [warning for warning in resume("m", workspace).warnings if "time limit" in warning]
    assert (rows(workspace), _predictions(workspace)) == expected


@pytest.mark.slow
def test_the_train_option_resume_resumes_a_training(workspace, shapes, uninterrupted):
    with pytest.raises(Interruption):
        train(_config(shapes), workspace, _stop_at("fine_tune", 1))
    train(TrainConfig(resume="m"), workspace)
    assert rows(workspace) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(workspace, shapes, uninterrupted, damage, caplog):
    with pytest.raises(Interruption):
        train(_config(shapes), workspace, _stop_at("fine_tune", 3))
    newest = max((workspace.running / "m" / "work" / "checkpoints").iterdir())
    content = newest.read_bytes()
    middle = len(content) // 2
    damaged = {"cut": content[:middle], "flip": content[:middle] + b"\xff\x00" + content[middle + 2 :]}
    newest.write_bytes(damaged[damage])
    resume("m", workspace)
    assert "is damaged" in caplog.text
    assert rows(workspace) == uninterrupted


@pytest.mark.slow
def test_a_training_whose_dataset_was_unavailable_can_be_resumed(workspace, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SECONDS_BETWEEN_TRIES", (0.01, 0.01))
    mount = tmp_path / "mount"
    shutil.copytree(shapes, mount)

    def unmount(phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if phase == "fine_tune_inputs" and mount.exists():
            mount.rename(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="Check its disk or mount"):
        train(dataclasses.replace(_config(mount), batch_size=4), workspace, unmount)
    with pytest.raises(StorageError):
        resume("m", workspace)
    assert [status.name for status in interrupted_trainings(workspace)] == ["m"]
    (tmp_path / "elsewhere").rename(mount)
    resume("m", workspace)
    find_bundle(workspace, "m").verify()


@pytest.mark.slow
def test_a_training_is_not_resumed_with_other_images(workspace, shapes, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(shapes, mine)
    with pytest.raises(Interruption):
        train(_config(mine), workspace, _stop_at("fine_tune", 1))
    (mine / "circle" / "000.jpg").unlink()
    with pytest.raises(DatasetError, match="expected the images that the training m started with"):
        resume("m", workspace)


def test_the_error_of_resuming_another_training_lists_the_interrupted_ones(workspace):
    with pytest.raises(ConfigError, match="Existing ones: none"):
        resume("nothing", workspace)


@pytest.mark.slow
def test_a_training_that_failed_on_a_full_disk_can_be_resumed(workspace, shapes, uninterrupted):
    code = (
        "import resource, signal, sys, json\n"
        "from pathlib import Path\n"
        "from model.config import TrainConfig\n"
        "from model.runs.trainer import train\n"
        "from model.workspace import Workspace\n"
        "from tests.support.tiny_network import use_tiny_network\n"
        "use_tiny_network()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "train(TrainConfig(**json.loads(sys.argv[2])), Workspace(Path(sys.argv[1])))\n"
    )
    arguments = [str(workspace.root), json.dumps(dataclasses.asdict(_config(shapes)))]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and StorageError.__name__ in done.stderr and "could not read or write" in done.stderr
    assert not (workspace.models / "m").exists()
    assert [(status.name, status.state) for status in interrupted_trainings(workspace)] == [("m", "failed")]
    resume("m", workspace)
    assert rows(workspace) == uninterrupted


@pytest.mark.slow
def test_a_time_limit_ends_a_training_with_a_complete_model(workspace, shapes):
    config = dataclasses.replace(_config(shapes), epochs=10_000, patience=10_000, time_limit_minutes=0.15)
    started = time.monotonic()
    train(config, workspace)
    assert time.monotonic() - started < 180
    assert 1 <= len(rows(workspace)) < 10_000
    find_bundle(workspace, "m").verify()


@pytest.mark.slow
def test_a_training_killed_at_any_moment_and_resumed_has_the_same_results(workspace, shapes, uninterrupted):
    moments = random.Random(7)
    kills = int(os.environ.get("TOPGRAFT_TEST_KILLS", "2"))
    killed = 0
    child, begun = _begin(workspace, shapes), time.monotonic()
    assert child.wait() == 0
    whole = time.monotonic() - begun
    _clear(workspace)
    for _ in range(kills):
        child = _begin(workspace, shapes)
        time.sleep(moments.uniform(0, whole))
        child.kill()
        child.wait()
        if (workspace.models / "m").exists():
            continue_with = None
        elif interrupted_trainings(workspace):
            killed += 1
            continue_with = ["resume", "m"]
        else:
            continue_with = ["train", *_arguments(shapes)]
        if continue_with:
            assert _start(workspace, continue_with).wait(300) == 0
        assert rows(workspace) == uninterrupted
        find_bundle(workspace, "m").verify()
        _clear(workspace)
    assert killed > 0


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() is None
    for number in range(5):
        checkpoints.save({"weights": np.full((2, 3), number, np.float32)}, {"number": number})
    arrays, state = checkpoints.latest()
    assert state == {"number": 4} and np.array_equal(arrays["weights"], np.full((2, 3), 4))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def _clear(workspace: Workspace) -> None:
    shutil.rmtree(workspace.models)
    workspace.models.mkdir()


def _arguments(shapes: Path) -> list[str]:
    config = _config(shapes)
    defaults = TrainConfig()
    changed = {key: value for key, value in vars(config).items() if value != getattr(defaults, key)}
    return [part for key, value in changed.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def _start(workspace: Workspace, arguments: list[str]) -> subprocess.Popen:
    command = [*COMMAND, "--workspace", str(workspace.root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)


def _begin(workspace: Workspace, shapes: Path) -> subprocess.Popen:
    """A process whose training has begun: most of its time goes into its start."""
    child = _start(workspace, ["train", *_arguments(shapes)])
    wait_until((workspace.running / "m" / "status.json").exists, 120, child)
    return child


def _stop_at(phase: str, step: int):
    def progress(now: str, done: int, _total: int, /, **_metrics: float) -> None:
        if now == phase and done == step:
            raise Interruption

    return progress


def _predictions(workspace: Workspace) -> dict[str, str]:
    folder = workspace.models / "m" / "predictions"
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}
