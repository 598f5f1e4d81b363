"""Trainings of the studio: ordinary trainings, in processes of their own, that survive the browser and the studio.

Each is queued while others run, and has the option `auto_resume`: one that ends with the studio is resumed at its next
start.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from model.errors import ConfigError, TopgraftError
from model.presets import train_config
from model.received import quoted
from model.runs import Run, remove_interrupted, resume_run, start_or_resume
from model.runs.process import train_in_child
from model.runs.queue import ALWAYS
from model.workspace import Workspace

# They name another training, or files outside the workspace.
REFUSED_OPTIONS = ("resume", "import_from")

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
    run, _ = start_or_resume(config, workspace)
    _carry_out(run)
    return run.name


def resume_training(workspace: Workspace, name: str) -> None:
    """Resume or queue an interrupted training.

    Raises:
        ConfigError: there is none of that name.
    """
    run, _ = resume_run(name, workspace, ALWAYS)
    _carry_out(run)


def remove_training(workspace: Workspace, name: str) -> None:
    """Remove an interrupted training.

    Raises:
        ConfigError: there is none of that name.
    """
    if not remove_interrupted(workspace, name):
        raise ConfigError(f"remove: expected the name of an interrupted training, received {quoted(name)}.")


def _carry_out(run: Run) -> None:
    threading.Thread(target=_wait_for, args=(run,), daemon=True, name=f"training {run.name}").start()


def _wait_for(run: Run) -> None:
    try:
        train_in_child(run, worker=None)
        log.info("the training %s has finished", run.name)
    except TopgraftError as error:
        log.warning("the training %s ended: %s", run.name, error)
    except Exception:
        log.exception("the training %s failed", run.name)
