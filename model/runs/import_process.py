"""An import asked for as a training, by `TrainConfig.import_from`: in this process, or in a child for the service.

The child keeps TensorFlow out of the service's worker, and ends with it.
"""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from model.config import TrainConfig
from model.errors import ConfigError, ModelError, TrainingError
from model.processes import answer_parent, run_child
from model.results import Progress, no_progress
from model.storage import is_remote, parse_place
from model.storage.download import is_url
from model.storage.settings import require_remote
from model.training_result import ImportResult, TrainingResult
from model.workspace import Workspace


def take_over(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> ImportResult:
    """Import the model that `config` names, in this process.

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
    return dataclasses.replace(result, imported_from=config.import_from)


def take_over_in_child(config: TrainConfig, workspace: Workspace) -> TrainingResult:
    """As `take_over`, in a child process that ends when this one does.

    Raises:
        TrainingError: the child ended without an answer.
    """
    _check_source(config.import_from)
    task = f"import of {config.import_from}"
    result: dict[str, Any] = run_child(
        __name__, workspace.root, config.import_from, config.name, task=task, failure=TrainingError
    )
    return TrainingResult.from_json(result)


def main(root: str, source: str, name: str) -> int:
    """In the child: import, and answer the parent."""
    config = TrainConfig(import_from=source, name=name)
    return answer_parent(lambda: take_over(config, Workspace(Path(root))).to_json(), f"import of {source}")


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
