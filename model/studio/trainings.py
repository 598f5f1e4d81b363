"""Trainings of the studio: ordinary trainings, in processes of their own, that survive the browser and the studio.

Each is queued while others run, and has the option `auto_resume`: one that ends with the studio is resumed at its next
start.
"""

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from model.errors import ConfigError, TopgraftError
from model.presets import train_config
from model.reading import open_regular
from model.received import quoted
from model.runs import LOG, Run, remove_interrupted, resume_run, start_run
from model.runs.cancelling import find_training
from model.runs.process import train_in_child
from model.runs.queue import ALWAYS
from model.storage.allowed_folders import restrict_paths
from model.studio.overview import dataset_folders
from model.studio.refusals import forget_refusal, record_refusal
from model.workspace import Workspace

# Other requests do this, or no view shows its result.
REFUSED_OPTIONS = ("resume", "import_from", "features")
MAX_LOG_BYTES = 200_000
"""The last bytes of a log that are shown."""

log = logging.getLogger(__name__)


def start_training(workspace: Workspace, options: Mapping[str, Any]) -> str:
    """Start or queue a training, and return its name.

    Args:
        options: options of `TrainConfig` that the user has set.

    Raises:
        ConfigError: an option cannot be used.
    """
    if refused := [name for name in REFUSED_OPTIONS if options.get(name)]:
        raise ConfigError(
            f"{refused[0]}: expected no such option in the studio, received {quoted(options[refused[0]])}."
        )
    config = train_config({"auto_resume": True}, options, {"queue": True})
    # A dataset in data/ may be a link that the operator made; requests make none.
    if config.images_directory or config.dataset not in [folder.name for folder in dataset_folders(workspace)]:
        config = restrict_paths(config, workspace)
    run = start_run(config, workspace, ALWAYS)
    forget_refusal(workspace, run.name)
    _carry_out(run, workspace)
    return run.name


def resume_training(workspace: Workspace, name: str) -> None:
    """Resume or queue an interrupted training.

    Raises:
        ConfigError: there is none of that name.
    """
    run, _ = resume_run(name, workspace, ALWAYS)
    _carry_out(run, workspace)


def remove_training(workspace: Workspace, name: str) -> None:
    """Remove an interrupted or refused training.

    Raises:
        ConfigError: there is none of that name.
    """
    is_removed = remove_interrupted(workspace, name)
    if not forget_refusal(workspace, name) and not is_removed:
        raise ConfigError(f"remove: expected the name of an interrupted training, received {quoted(name)}.")


def log_of(workspace: Workspace, name: str) -> str:
    """The end of the log of an unfinished training; empty for one that another command runs in its terminal.

    Raises:
        ConfigError: there is no unfinished training of that name.
    """
    if find_training(workspace, name) is None:
        raise ConfigError(f"log: expected the name of an unfinished training, received {quoted(name)}.")
    try:
        with open_regular(workspace.running / name / LOG) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
            return stream.read(MAX_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _carry_out(run: Run, workspace: Workspace) -> None:
    threading.Thread(target=_wait_for, args=(run, workspace), daemon=True, name=f"training {run.name}").start()


def _wait_for(run: Run, workspace: Workspace) -> None:
    try:
        train_in_child(run, worker=None)
        log.info("the training %s has finished", run.name)
    except TopgraftError as error:
        log.warning("the training %s ended: %s", run.name, error)
        if not run.directory.exists():
            record_refusal(workspace, run.name, error.message, type(error).__name__)
    except Exception:
        log.exception("the training %s failed", run.name)
