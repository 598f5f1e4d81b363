"""The service goes on with what the end of the one before it interrupted."""

import logging
import threading
import time

from model.errors import ConfigError, TopgraftError
from model.runs import interrupted_to_go_on_with, reserve_again
from model.runs.process import train_in_child
from model.runs.queue import ALWAYS
from model.workspace import Workspace

# A training of the service before may take a moment to notice that it is gone.
_LOOKS = 5
_SECONDS_BETWEEN_LOOKS = 2.0

log = logging.getLogger(__name__)


def go_on_with_interrupted(workspace: Workspace) -> None:
    """Go on with the interrupted trainings that have the option `auto_resume`, each in a child process of its own.

    Returns at once. Where several processes of a service call it, each training is taken by one of them. A training
    waits for its turn. It ends with the service, not with the process that took it, which may be
    killed to delete another.
    """
    threading.Thread(target=_look_for_them, args=(workspace,), daemon=True, name="auto_resume").start()


def _look_for_them(workspace: Workspace) -> None:
    for look in range(_LOOKS):
        if look:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        for name in interrupted_to_go_on_with(workspace):
            threading.Thread(target=_go_on, args=(name, workspace), daemon=True, name=f"auto_resume {name}").start()


def _go_on(name: str, workspace: Workspace) -> None:
    try:
        reservation, _ = reserve_again(name, workspace, ALWAYS, automatic=True)
    except ConfigError:
        # Another worker was quicker.
        return
    except TopgraftError as error:
        log.warning("auto_resume: %s", error)
        return
    log.info("auto_resume: going on with the training %s", name)
    try:
        train_in_child(reservation, worker=None)
        log.info("auto_resume: the training %s is done", name)
    except TopgraftError as error:
        log.warning("auto_resume: the training %s ended: %s", name, error)
    except Exception:
        log.exception("auto_resume: the training %s could not be gone on with", name)
