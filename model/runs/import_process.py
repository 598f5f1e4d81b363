"""Import requested by the option `import_from` of a training: in this process, or in a child process of the service.

The child keeps the libraries of an import out of the worker of the service, and ends with it.
"""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from model.addresses import is_url
from model.config import TrainConfig
from model.errors import ConfigError, ModelError, TrainingError
from model.processes import answer_parent, run_child
from model.received import quoted
from model.results import Progress, no_progress
from model.storage import is_remote, parse_place
from model.storage.settings import require_remote
from model.training_result import ImportResult, TrainingResult
from model.workspace import Workspace


def import_in_this_process(config: TrainConfig, workspace: Workspace, progress: Progress = no_progress) -> ImportResult:
    """Import the model in `config.import_from`, in this process.

    Raises:
        ConfigError: the source is a URL, which the service does not download on behalf of clients.
        ModelError, StorageSettingsError: the path or remote does not exist.
        TopgraftError: as `import_model`.
    """
    _check_source(config.import_from)
    from model.runs.import_run import import_model

    result = import_model(config.import_from, workspace, config.name, progress=progress)
    return dataclasses.replace(result, imported_from=config.import_from)


def import_in_child(config: TrainConfig, workspace: Workspace) -> TrainingResult:
    """Import in a child process that ends with this one; see `import_in_this_process`.

    Raises:
        TrainingError: the child ended without a result.
    """
    _check_source(config.import_from)
    task = f"import of {config.import_from}"
    result: dict[str, Any] = run_child(
        __name__, workspace.root, config.import_from, config.name, task=task, failure=TrainingError
    )
    return TrainingResult.from_json(result)


def main(root: str, source: str, name: str) -> int:
    """Main function of the child process: import a model and send the result to the parent."""
    config = TrainConfig(import_from=source, name=name)
    return answer_parent(lambda: import_in_this_process(config, Workspace(Path(root))).to_json(), f"import of {source}")


def _check_source(source: str) -> None:
    """Check the source before the libraries of an import are loaded."""
    if is_url(source):
        raise ConfigError(
            f"import_from: expected a path or remote:path, received {quoted(source)}. To import from a URL, use: "
            "topgraft import URL"
        )
    if is_remote(source):
        require_remote(parse_place(source).remote)
    elif not os.path.exists(source):
        raise ModelError(f"{quoted(source)}: expected the folder or archive of a trained model, found nothing.")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
