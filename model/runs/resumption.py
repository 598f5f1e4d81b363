"""Rules of automatic resuming: which trainings, how often, and when a training is already finished.

A training with the option `auto_resume` is resumed when the service starts again, or when the command that
started it is run again, as schedulers do after a preemption. A training that makes no progress is resumed only
a few times.
"""

import dataclasses
from pathlib import Path

from model.bundle import Bundle
from model.bundle_files import TUNING
from model.config import TrainConfig
from model.errors import ConfigError, StorageError, TrainingError
from model.reading import UnreadableError, read_json, unreadable
from model.registry import find_bundle
from model.results import TrainingStatus
from model.runs.listing import interrupted_trainings
from model.runs.run import WORK, Run, read_config
from model.training_result import TrainingResult, Tuning, summarize
from model.workspace import Workspace

MAX_STARTS = 3
# Checkpoints and trials of a search, and inputs of fine-tuning.
_LASTING = ("*.ckpt", "*.npy")


def runs_to_resume(workspace: Workspace) -> list[str]:
    """Names of the trainings that a starting service resumes: those with `auto_resume` that were interrupted.

    Trainings that failed because of a full disk or an unavailable mount are included.
    """
    names = []
    for status in interrupted_trainings(workspace):
        is_resumable = status.state == "interrupted" or _failed_by_storage(status)
        if is_resumable and status.automatic_starts <= MAX_STARTS:
            try:
                config = read_config(workspace.running / status.name)
            except ConfigError:
                continue
            if config.auto_resume:
                names.append(status.name)
    return names


def can_resume(config: TrainConfig, workspace: Workspace) -> bool:
    """Whether the same command, run again, resumes its training.

    A cancelled training is resumed, because schedulers cancel jobs by SIGTERM before they run them again. A failed one
    is not, unless it failed because of a full disk or an unavailable mount.
    """
    if not config.auto_resume or not config.name:
        return False
    ended = next((status for status in interrupted_trainings(workspace) if status.name == config.name), None)
    return ended is not None and (ended.state != "failed" or _failed_by_storage(ended))


def finished(config: TrainConfig, workspace: Workspace) -> TrainingResult | None:
    """Result of a training that is finished already, when its command is run again; otherwise None.

    Raises:
        ModelDamagedError: the model exists, but its files are missing or have changed.
    """
    if not config.auto_resume or not config.name or not (workspace.models / config.name).exists():
        return None
    bundle: Bundle = find_bundle(workspace, config.name)
    bundle.verify()
    remark = f"{config.name} is already trained ({bundle.manifest.created}): nothing to do."
    return TrainingResult(
        bundle.name, bundle.directory, summarize(bundle.manifest.metrics), (remark,), 0.0, _tuning_of(bundle)
    )


def _tuning_of(bundle: Bundle) -> Tuning | None:
    try:
        with unreadable():
            return Tuning.from_json(read_json(bundle.directory / TUNING))
    except (OSError, ConfigError, UnreadableError):
        # It is of another version: the model was verified, and is the same without it.
        return None


def count_start(status: TrainingStatus, before: TrainingStatus, run: Run) -> TrainingStatus:
    """Status of a training that is resumed automatically, with the start counted.

    Args:
        status: new status.
        before: status at its end.

    Raises:
        TrainingError: it was resumed `MAX_STARTS` times in a row without progress; also recorded in status.json.
    """
    newest = _newest_work(run.directory / WORK)
    starts = 1 if newest != before.checkpoint else before.automatic_starts + 1
    if starts > MAX_STARTS:
        message = (
            f"It was resumed automatically {MAX_STARTS} times without progress and will not be retried. Check the "
            f"service log for the cause, then: topgraft resume {run.name}"
        )
        run.write_status(dataclasses.replace(before, message=message, automatic_starts=starts))
        raise TrainingError(f"training {run.name}: {message}")
    return dataclasses.replace(status, automatic_starts=starts, checkpoint=newest)


def _failed_by_storage(status: TrainingStatus) -> bool:
    return status.state == "failed" and status.error == StorageError.__name__


def _newest_work(work: Path) -> str:
    """Newest file that the next start can reuse, with its time; `none` without one."""
    # Imports NumPy, which would slow down `--help`.
    from model.training.checkpoints import CACHED_FEATURES

    files = (path for pattern in (*_LASTING, CACHED_FEATURES) for path in work.rglob(pattern))
    found = [(path.stat().st_mtime_ns, str(path.relative_to(work))) for path in files]
    return "{} {}".format(*max(found)) if found else "none"
