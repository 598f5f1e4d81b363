"""status.json of a running training: progress, speed and time left."""

from pathlib import Path

import pytest

from model.config import TrainConfig
from model.results import TrainingStatus, no_progress
from model.runs import Run, resume_run, start_run, status_file
from model.runs.status_file import StatusFile
from model.training.deadline import Deadline
from model.workspace import Workspace


class Clock:
    """The time, as a test sets it."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status_file, "time", clock)
    return clock


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run(TrainConfig(name="a"), Workspace(tmp_path))


def speed(status: TrainingStatus) -> tuple[float | None, str, float | None]:
    return status.per_second, status.unit, status.eta_seconds


def test_images_are_counted_from_the_first_report_of_the_phase(run: Run, clock: Clock):
    progress = StatusFile(run, no_progress)
    progress("features", 8, 108)
    assert speed(run.status) == (None, "images", None)
    clock.seconds += 4
    progress("features", 48, 108)
    assert speed(run.status) == (10.0, "images", 6.0)


def test_the_speed_and_the_time_left_are_reported(run: Run, clock: Clock):
    reported: list[dict[str, float]] = []
    progress = StatusFile(run, lambda _phase, _done, _total, /, **metrics: reported.append(metrics))
    progress("head", 0, 100)
    clock.seconds += 4
    progress("head", 8, 100, loss=0.5)
    assert reported == [{}, {"loss": 0.5, "epochs/s": 2.0, "eta_seconds": 46.0}]
    assert run.status.metrics == {"loss": 0.5}


def test_steps_before_an_interruption_do_not_count_for_the_speed(run: Run, clock: Clock):
    progress = StatusFile(run, no_progress)
    progress("fine_tune", 90, 100)
    clock.seconds += 10
    progress("fine_tune", 91, 100)
    assert speed(run.status) == (0.1, "epochs", 90.0)


def test_the_time_before_an_interruption_counts_for_the_time_limit(run: Run, clock: Clock):
    workspace = Workspace(run.destination.parent.parent)
    for start in (1, 2):
        progress = StatusFile(run, no_progress)
        clock.seconds += 1000  # waiting in the queue
        progress.begin()
        clock.seconds += 40
        progress("features", 48, 108)
        assert run.status.seconds_used == 40 * start
        run.lock.close()
        run, _ = resume_run("a", workspace)
    assert run.status.seconds_used == 80
    left = Deadline.after_minutes(2, run.status.seconds_used).seconds_left()
    assert left == pytest.approx(40, abs=5)
    assert Deadline.after_minutes(1, run.status.seconds_used).is_over()


def test_steps_within_a_long_epoch_count_for_the_speed(run: Run, clock: Clock):
    progress = StatusFile(run, no_progress)
    progress("fine_tune", 0, 2, step=10, steps=100, images_per_second=32.0)
    clock.seconds += 40
    progress("fine_tune", 0, 2, step=50, steps=100, images_per_second=32.0)
    assert run.status.eta_seconds == pytest.approx(150)
    assert run.status.metrics["images_per_second"] == 32.0


def test_the_status_is_written_at_most_twice_a_second_and_at_the_end_of_a_phase(run: Run, clock: Clock):
    progress = StatusFile(run, no_progress)
    progress("features", 1, 9)
    clock.seconds += 0.1
    progress("features", 2, 9)
    assert run.status.epoch == 1
    progress("features", 9, 9)
    assert run.status.epoch == 9
