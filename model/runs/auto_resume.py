"""Automatic resuming of interrupted trainings when the service starts."""

import logging
import threading
import time

from model.errors import ConfigError, TopgraftError
from model.runs import resume_run, runs_to_resume
from model.runs.process import train_in_child
from model.runs.queue import ALWAYS
from model.workspace import Workspace

# A training of the previous service may take a moment to notice its end.
_ROUNDS = 5
_SECONDS_BETWEEN_ROUNDS = 2.0

log = logging.getLogger(__name__)


def resume_interrupted(workspace: Workspace) -> None:
    """Resume the interrupted trainings with the option `auto_resume`, each in a child process.

    Returns at once. If several processes of a service call it, each training is resumed by one of them. Trainings wait
    in the queue. A training ends with the service, not with the process that resumed it, which may be killed to delete
    another training.
    """
    threading.Thread(target=_resume_all, args=(workspace,), daemon=True, name="auto_resume").start()


def _resume_all(workspace: Workspace) -> None:
    for number in range(_ROUNDS):
        if number:
            time.sleep(_SECONDS_BETWEEN_ROUNDS)
        for name in runs_to_resume(workspace):
            threading.Thread(target=_resume, args=(name, workspace), daemon=True, name=f"auto_resume {name}").start()


def _resume(name: str, workspace: Workspace) -> None:
    try:
        run, _ = resume_run(name, workspace, ALWAYS, automatic=True)
    except ConfigError:
        # Another worker resumed it first.
        return
    except TopgraftError as error:
        log.warning("auto_resume: %s", error)
        return
    log.info("auto_resume: resuming the training %s", name)
    try:
        train_in_child(run, worker=None)
        log.info("auto_resume: the training %s has finished", name)
    except TopgraftError as error:
        log.warning("auto_resume: the training %s ended: %s", name, error)
    except Exception:
        log.exception("auto_resume: could not resume the training %s", name)
