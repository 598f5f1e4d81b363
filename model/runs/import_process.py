"""An import asked for as a training, by `TrainConfig.import_from`: in this process, or in a child for the service.

The child keeps TensorFlow out of the service's worker, and ends with it.
"""

import json
import logging
import os
import subprocess  # nosec B404: starts this very module
import sys
import threading
from pathlib import Path
from typing import Any

from model import errors
from model.config import TrainConfig
from model.errors import ConfigError, ModelError, TopgraftError, TrainingError
from model.results import Progress, no_progress
from model.storage import is_remote, parse_place
from model.storage.download import is_url
from model.storage.settings import require_remote
from model.workspace import Workspace

log = logging.getLogger(__name__)


def take_over(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> dict[str, Any]:
    """Import the model that `config` names, in this process.

    Returns:
        As `model.runs.import_run.import_model`, and `imported_from`.

    Raises:
        ConfigError: it is a URL, which a service must not fetch for whoever asks it to.
        ModelError, StorageSettingsError: there is no such path or remote.
        TopgraftError: as `import_model`.
    """
    _check_source(config.import_from)
    from model.networks.tensorflow_import import import_tensorflow

    import_tensorflow()
    from model.runs.import_run import import_model

    result = import_model(config.import_from, workspace, config.name, progress=progress)
    return result | {"imported_from": config.import_from}


def take_over_in_child(config: TrainConfig, workspace: Workspace) -> dict[str, Any]:
    """As `take_over`, in a child process that ends when this one does.

    Raises:
        TrainingError: the child ended without an answer.
    """
    _check_source(config.import_from)
    child = subprocess.Popen(  # nosec B603: no shell, our own arguments
        [sys.executable, "-m", __name__, str(workspace.root), config.import_from, config.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    if child.stdin is None or child.stdout is None:
        raise AssertionError("Popen was asked for pipes")
    # Its standard input stays open as long as this process lives.
    with child, child.stdin:
        answer = child.stdout.read()
    try:
        outcome = json.loads(answer)
    except ValueError:
        raise TrainingError(
            f"import of {config.import_from}: its process ended without a result (status {child.returncode}), as when "
            "memory runs out. See the log of the service."
        ) from None
    if "result" in outcome:
        result: dict[str, Any] = outcome["result"]
        return result
    raise getattr(errors, outcome["error"])(outcome["message"])


def main(root: str, source: str, name: str) -> int:
    """In the child: import, and write one line of JSON, the result or the error, to the standard output."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # What libraries print goes to the standard error from here on.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        config = TrainConfig(import_from=source, name=name)
        outcome: dict[str, Any] = {"result": take_over(config, Workspace(Path(root)))}
    except TopgraftError as error:
        outcome = {"error": type(error).__name__, "message": error.message}
    except Exception as error:
        log.exception("the import of %s failed", source)
        outcome = {"error": TrainingError.__name__, "message": f"import of {source} failed: {error!r}"}
    with answer:
        json.dump(outcome, answer)
    return 0


def _end_with_parent() -> None:
    """The parent never writes: its end of the pipe closes when it goes."""
    os.read(0, 1)
    os._exit(1)


def _check_source(source: str) -> None:
    """Refuse at once what needs no TensorFlow to be refused."""
    if is_url(source):
        raise ConfigError(
            f"import_from: expected a path or remote:path, received {source!r}. By URL: topgraft import URL"
        )
    if is_remote(source):
        require_remote(parse_place(source).remote)
    elif not os.path.exists(source):
        raise ModelError(f"{source}: expected the folder or archive of a trained model, found nothing.")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
