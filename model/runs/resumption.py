"""Going on with interrupted trainings without being asked: which, how often, and when there is nothing left to do.

A training with the option `auto_resume` is gone on with when the service starts again, or when the
command that started it is run again, as a scheduler does after it took the machine away. One that
dies each time before it gets anywhere is not started for ever.
"""

import dataclasses
import json
from pathlib import Path

from model.bundle import Bundle
from model.bundle_files import TUNING
from model.config import TrainConfig
from model.errors import ConfigError, StorageError, TrainingError
from model.registry import find_bundle
from model.results import TrainingStatus
from model.runs.folder import WORK, Reservation, read_config
from model.runs.listing import interrupted_trainings
from model.training_result import TrainingResult, Tuning, summarize
from model.workspace import Workspace

MOST_STARTS = 3
# Checkpoints and trials of a search, and inputs of fine-tuning.
_LASTING = ("*.ckpt", "*.npy")


def interrupted_to_go_on_with(workspace: Workspace) -> list[str]:
    """The trainings that a starting service goes on with: those with `auto_resume` that nobody ended.

    Nothing ended them, or a disk that was full or a mount that was away, which may be over by now.
    """
    names = []
    for status in interrupted_trainings(workspace):
        may_go_on = status.state == "interrupted" or _failed_by_storage(status)
        if may_go_on and status.automatic_starts <= MOST_STARTS:
            try:
                config = read_config(workspace.running / status.name)
            except ConfigError:
                continue
            if config.auto_resume:
                names.append(status.name)
    return names


def can_go_on_with(config: TrainConfig, workspace: Workspace) -> bool:
    """Whether the same command, run again, finds its training to go on with.

    One that was cancelled counts: schedulers end a job by SIGTERM, as people do, and here somebody runs it again.
    One that failed would fail again, but for a disk that was full or a mount that was away.
    """
    if not config.auto_resume or not config.name:
        return False
    ended = next((status for status in interrupted_trainings(workspace) if status.name == config.name), None)
    return ended is not None and (ended.state != "failed" or _failed_by_storage(ended))


def finished(config: TrainConfig, workspace: Workspace) -> TrainingResult | None:
    """The result of a command run again whose model is there already; None where there is something to do.

    Raises:
        ModelDamagedError: the model is there, but not whole.
    """
    if not config.auto_resume or not config.name or not (workspace.models / config.name).exists():
        return None
    bundle: Bundle = find_bundle(workspace, config.name)
    bundle.verify()
    remark = f"{config.name} was trained already ({bundle.manifest.created}): there was nothing to do."
    return TrainingResult(
        bundle.name, bundle.directory, summarize(bundle.manifest.metrics), (remark,), 0.0, _tuning_of(bundle)
    )


def _tuning_of(bundle: Bundle) -> Tuning | None:
    path = bundle.directory / TUNING
    return Tuning.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def count_start(status: TrainingStatus, before: TrainingStatus, reservation: Reservation) -> TrainingStatus:
    """The status of a training that is gone on with automatically, with the start counted.

    Args:
        status: what it is going to be.
        before: as it ended.

    Raises:
        TrainingError: it was started so `MOST_STARTS` times in a row without getting further; also said in
            status.json.
    """
    newest = _newest_work(reservation.directory / WORK)
    starts = 1 if newest != before.checkpoint else before.automatic_starts + 1
    if starts > MOST_STARTS:
        message = (
            f"It was gone on with automatically {MOST_STARTS} times without getting any further, and is not "
            f"again. See to what stops it (the log of the service tells), then: topgraft resume {reservation.name}"
        )
        reservation.write_status(dataclasses.replace(before, message=message, automatic_starts=starts))
        raise TrainingError(f"training {reservation.name}: {message}")
    return dataclasses.replace(status, automatic_starts=starts, checkpoint=newest)


def _failed_by_storage(status: TrainingStatus) -> bool:
    return status.state == "failed" and status.error == StorageError.__name__


def _newest_work(work: Path) -> str:
    """What changes with all that the next start need not do again; `none` before the first of it."""
    # Imports NumPy, which would slow down `--help`.
    from model.training.checkpoints import CACHED_FEATURES

    files = (path for pattern in (*_LASTING, CACHED_FEATURES) for path in work.rglob(pattern))
    found = [(path.stat().st_mtime_ns, str(path.relative_to(work))) for path in files]
    return "{} {}".format(*max(found)) if found else "none"
