"""A training in a child process, for the service.

The service's worker keeps no GPU memory and never loads TensorFlow; a child killed for its memory
becomes an error that says so; and the child dies with its parent, so that deleting a training in
DEEPaaS, which kills the worker, stops it.
"""

import ctypes
import importlib
import json
import logging
import os
import signal
import subprocess  # nosec B404: starts this very module
import sys
from pathlib import Path
from typing import Any

from model import errors
from model.config import TrainConfig
from model.errors import TopgraftError, TrainingError, TrainingStoppedError
from model.trainings import Reservation, adopt, reserve, reserve_again
from model.workspace import Workspace

_PR_SET_PDEATHSIG = 1
_NICENESS = 5

log = logging.getLogger(__name__)


def run_training(config: TrainConfig, workspace: Workspace) -> dict[str, Any]:
    """Train in a child process and wait for it.

    Returns:
        As `model.training.trainer.train`.

    Raises:
        TopgraftError: as `model.training.trainer.train`; also TrainingError when the child was
            killed, and says what to do about it.
    """
    reservation = reserve_again(config.resume, workspace)[0] if config.resume else reserve(config, workspace)
    with reservation.lock as lock:
        command = [sys.executable, "-m", __name__, str(reservation.directory), str(lock.fileno()), str(os.getpid())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        child = subprocess.Popen(  # nosec B603: no shell, our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=[lock.fileno()],
            env=environment,
        )
    answer, _ = child.communicate()
    if child.returncode < 0:
        raise _killed(reservation.name, -child.returncode)
    return _result(reservation, answer)


def main(directory: str, lock_descriptor: str, parent: str) -> int:
    """In the child: train, and write one line of JSON, the result or the error, to the standard output."""
    die_with_parent(int(parent))
    _leave_room_for_the_service()
    answer = _standard_output_for_the_answer_only()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    reservation, config = adopt(Path(directory), int(lock_descriptor))
    trainer = importlib.import_module("model.training.trainer")
    try:
        outcome = {"result": trainer.run(reservation, config, Workspace(reservation.destination.parent.parent))}
    except TopgraftError as error:
        outcome = {"error": type(error).__name__, "message": error.message}
    except Exception as error:
        log.exception("training %s failed", reservation.name)
        outcome = {"error": TrainingError.__name__, "message": f"training {reservation.name} failed: {error!r}"}
    with answer:
        answer.write(json.dumps(outcome))
    return 0


def _result(reservation: Reservation, answer: bytes) -> dict[str, Any]:
    try:
        outcome = json.loads(answer)
    except ValueError:
        raise TrainingError(
            f"training {reservation.name}: its process ended without a result. "
            f"Its log is that of the service; what is left of it is in {reservation.directory}."
        ) from None
    if "result" in outcome:
        result: dict[str, Any] = outcome["result"]
        return result
    raise getattr(errors, outcome["error"])(outcome["message"])


def _killed(name: str, number: int) -> TopgraftError:
    if number == signal.SIGKILL:
        return TrainingError(
            f"training {name}: its process was killed (SIGKILL), as the system does when memory runs out. "
            "Give the deployment more memory, or lower batch_size, image_size or the backbone's size."
        )
    return TrainingStoppedError(f"training {name}: its process was ended by {signal.Signals(number).name}.")


def die_with_parent(parent: int) -> None:
    """Ask Linux for SIGKILL when the parent dies, and end now if that has happened already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _leave_room_for_the_service() -> None:
    """Lower this process's priority; where there are more than two processors, keep off one of them."""
    os.nice(_NICENESS)
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 2:
        os.sched_setaffinity(0, processors[1:])


def _standard_output_for_the_answer_only() -> Any:
    """What libraries print goes to the standard error from here on."""
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answer


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
