"""Automatic resumption of interrupted trainings, and when it ends."""

import contextlib
import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.errors import ConfigError, TrainingError
from model.features.cache import FeatureCache
from model.files.checksums import file_sha256
from model.results import InputSpec, Sample
from model.runs import (
    Run,
    finished,
    interrupted_trainings,
    resume_run,
    runs_to_resume,
    start_or_resume,
    start_run,
)
from model.runs.queue import ALWAYS
from model.training.checkpoints import CachedCounts
from model.workspace import Workspace, cache_directory

BATCH = TrainConfig(name="batch", auto_resume=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path)


def leave(run: Run, state: str = "interrupted", error: str = "") -> None:
    """End a training as it would be found later."""
    if state != "interrupted":
        run.end(state, "the reason", error)
    run.lock.close()


def write_checkpoint(run: Run, number: int) -> None:
    folder = run.work / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:08}.ckpt").write_bytes(b"state")


def test_a_starting_service_resumes_interrupted_trainings_only(workspace: Workspace, monkeypatch):
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "9")
    for state in ("interrupted", "failed", "cancelled", "killed"):
        leave(start_run(TrainConfig(name=state, auto_resume=True), workspace), state)
    leave(start_run(TrainConfig(name="disk-full", auto_resume=True), workspace), "failed", "StorageError")
    leave(start_run(TrainConfig(name="not-asked-for"), workspace))
    running = start_run(TrainConfig(name="running", auto_resume=True), workspace)
    assert runs_to_resume(workspace) == ["disk-full", "interrupted"]
    running.lock.close()


def test_each_training_is_resumed_by_one_worker(workspace: Workspace):
    leave(start_run(BATCH, workspace))
    taken: list[Run] = []
    barrier = threading.Barrier(8)

    def take() -> None:
        barrier.wait()
        with contextlib.suppress(ConfigError):
            taken.append(resume_run("batch", workspace, ALWAYS, automatic=True)[0])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_the_same_command_starts_then_resumes_then_has_nothing_to_do(workspace: Workspace):
    first, _ = start_or_resume(BATCH, workspace)
    leave(first)
    second, config = start_or_resume(TrainConfig(name="batch", auto_resume=True, epochs=7), workspace)
    assert second.started == first.started and config == BATCH
    assert finished(BATCH, workspace) is None
    leave(second)


@pytest.mark.parametrize(
    ("state", "error", "resumes"),
    [
        ("killed", "", True),
        ("cancelled", "", True),
        ("failed", "StorageError", True),
        ("failed", "DatasetError", False),
        ("failed", "ConfigError", False),
        ("failed", "KeyError", False),
        ("failed", "", False),
    ],
)
def test_the_same_command_resumes_unless_the_training_failed_by_its_own_fault(
    workspace: Workspace, state: str, error: str, resumes: bool
):
    """Schedulers end a job by SIGTERM, which cancels."""
    leave(start_or_resume(BATCH, workspace)[0], state, error)
    if resumes:
        status = start_or_resume(BATCH, workspace)[0].status
        assert (status.state, status.error) == ("running", "")
        return
    with pytest.raises(ConfigError, match="'batch'"):
        start_or_resume(BATCH, workspace)


def test_a_training_on_a_full_disk_is_resumed_three_times(workspace: Workspace):
    leave(start_or_resume(BATCH, workspace)[0], "failed", "StorageError")
    for _ in range(3):
        leave(start_or_resume(BATCH, workspace)[0], "failed", "StorageError")
    with pytest.raises(TrainingError, match="3 times without"):
        start_or_resume(BATCH, workspace)
    assert runs_to_resume(workspace) == []


def test_without_the_option_a_name_in_use_is_refused(workspace: Workspace):
    leave(start_or_resume(BATCH, workspace)[0])
    with pytest.raises(ConfigError, match=r"'batch'.* topgraft resume batch.* topgraft models remove batch"):
        start_or_resume(TrainConfig(name="batch"), workspace)


def test_the_name_of_a_model_is_refused_without_advice_to_resume_it(workspace: Workspace):
    (workspace.models / "batch").mkdir()
    with pytest.raises(ConfigError, match="topgraft models remove batch") as caught:
        start_or_resume(TrainConfig(name="batch"), workspace)
    assert "resume" not in caught.value.message


def test_resumption_ends_after_three_starts_without_progress(workspace: Workspace):
    leave(start_or_resume(BATCH, workspace)[0])
    for start in (1, 2, 3):
        run, _ = start_or_resume(BATCH, workspace)
        assert run.status.automatic_starts == start
        leave(run)
    with pytest.raises(TrainingError, match="3 times without"):
        start_or_resume(BATCH, workspace)
    [status] = interrupted_trainings(workspace)
    assert status.state == "interrupted" and "topgraft resume batch" in status.message
    assert runs_to_resume(workspace) == []
    asked_for, _ = resume_run("batch", workspace)
    assert asked_for.status.automatic_starts == 0
    leave(asked_for)
    assert runs_to_resume(workspace) == ["batch"]


def test_a_training_with_progress_is_resumed_without_limit(workspace: Workspace):
    leave(start_or_resume(BATCH, workspace)[0])
    for number in range(10):
        run, _ = start_or_resume(BATCH, workspace)
        assert run.status.automatic_starts == 1
        write_checkpoint(run, number)
        leave(run)


def extract(run: Run, images: int, killed_after: int) -> None:
    """Make features as a training does whose head alone is trained, up to a kill."""

    def kill(_phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if done > killed_after:
            raise KeyboardInterrupt

    samples = [Sample(run.directory.parent / f"{number}.png", str(number), 0) for number in range(images)]
    for number, sample in enumerate(samples):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(sample.path)
    run.work.mkdir(exist_ok=True)
    cache = FeatureCache(BACKBONES["EfficientNetLite0"], InputSpec.square(8), CachedCounts(run.work))
    hashes = {sample.name: file_sha256(sample.path) for sample in samples}
    with contextlib.suppress(KeyboardInterrupt):
        cache.extract(lambda batch: batch.mean(axis=(1, 2)), samples, hashes, kill)


@pytest.fixture
def small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("model.features.cache._MAX_UNSAVED_IMAGES", 8)


def test_extracted_features_count_as_progress(workspace: Workspace, small_steps: None):
    leave(start_or_resume(BATCH, workspace)[0])
    for _ in range(5):
        run, _ = start_or_resume(BATCH, workspace)
        assert run.status.automatic_starts == 1
        extract(run, images=48, killed_after=8)
        leave(run)


def test_features_lost_with_the_machine_do_not_count_as_progress(workspace: Workspace, small_steps: None):
    leave(start_or_resume(BATCH, workspace)[0])
    with pytest.raises(TrainingError, match="3 times without"):
        for _ in range(5):
            run, _ = start_or_resume(BATCH, workspace)
            extract(run, images=24, killed_after=8)
            leave(run)
            shutil.rmtree(cache_directory())
    assert runs_to_resume(workspace) == []


@pytest.mark.parametrize("file", ["fine_tune_train.npy", "tune/00000001.ckpt"])
def test_inputs_of_fine_tuning_and_trials_of_a_search_count_as_progress(workspace: Workspace, file: str):
    leave(start_or_resume(BATCH, workspace)[0])
    starts = []
    for number in range(3):
        run, _ = start_or_resume(BATCH, workspace)
        starts.append(run.status.automatic_starts)
        if number == 1:
            path = run.work / file
            path.parent.mkdir(parents=True)
            path.write_bytes(b"content")
        leave(run)
    assert starts == [1, 2, 1]
