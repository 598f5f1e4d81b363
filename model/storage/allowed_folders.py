"""Folders in which a request to the service may name datasets and models: `data/`, the platform's mounted storage, and
those of TOPGRAFT_DATA_ROOTS.

The disk outside these folders is not touched, so that neither messages nor response times give information about it.
The command line has no such limit.
"""

import dataclasses
import os
import re
from pathlib import Path

from model.addresses import is_url
from model.config import TrainConfig
from model.environment import DATA_ROOTS
from model.errors import ConfigError
from model.received import quoted
from model.storage.places import is_remote
from model.workspace import Workspace

# As it is read, not `://` after a folder.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PLATFORM_STORAGE = Path("/storage")


def restrict_paths(config: TrainConfig, workspace: Workspace) -> TrainConfig:
    """Check the paths in the options of a training; relative ones that do not exist are taken as inside `data/`.

    `remote:path` is always allowed: the operator configures the remotes.

    Raises:
        ConfigError: a path is outside the allowed folders, also by a symbolic link.
    """
    dataset = config.dataset if is_remote(config.dataset) else _allowed_path("dataset", config.dataset, workspace)
    features = _allowed_path("features", config.features, workspace) if config.features else ""
    # The import refuses the URL of a file itself, and names the command that reads it.
    import_from = config.import_from
    if not is_url(import_from):
        import_from = _allowed_place("import_from", import_from, workspace)
    upload_to = _allowed_place("upload_to", config.upload_to, workspace)
    _check_images_directory(config.images_directory, dataset, workspace)
    _check_table(config.table, workspace)
    return dataclasses.replace(config, dataset=dataset, features=features, import_from=import_from, upload_to=upload_to)


def _allowed_place(option: str, value: str, workspace: Workspace) -> str:
    """A remote or no place, unchanged; a path that is allowed, absolute: otherwise the folder in which the service runs
    would decide what a relative one means."""
    if not value or is_remote(value):
        return value
    return str(workspace.data.absolute() / _allowed_path(option, value, workspace))


def _allowed_path(option: str, value: str, workspace: Workspace) -> str:
    """The path if it is allowed: unchanged if it exists in `data/`, else absolute."""
    if _ADDRESS.match(value):
        remote = "" if option == "features" else " or remote:path of a configured remote"
        raise ConfigError(
            f"{option}: expected a path in data/, in {PLATFORM_STORAGE} or in a folder of {DATA_ROOTS.name}{remote}, "
            f"received the address {quoted(value)}: the service does not read it. Copy the files to data/, or use "
            "topgraft train --features, which reads addresses of features."
        )
    inside = workspace.data / value
    is_name = not Path(value).is_absolute() and not value.startswith("~")
    if is_name and is_allowed(inside, workspace) and inside.exists():
        return value
    path = Path(value).absolute()
    if is_allowed(path, workspace):
        return str(path)
    if is_name and is_allowed(inside, workspace):
        return str(inside)  # reported as missing, there
    remote = "" if option == "features" else "remote:path, or "
    raise ConfigError(
        f"{option}: expected {remote}a path in data/, in {PLATFORM_STORAGE} or in a folder of "
        f"{DATA_ROOTS.name}, received {quoted(value)}. The operator of this service can allow further folders with "
        f"{DATA_ROOTS.name}"
    )


def _check_images_directory(value: str, dataset: str, workspace: Workspace) -> None:
    """Check that the folder of the images is in the dataset; links in it are checked if it is on this machine."""
    is_inside = not value.startswith(("/", "~")) and ".." not in Path(value).parts
    if is_inside and value and not is_remote(dataset):
        is_inside = is_allowed(workspace.find_dataset(dataset).absolute() / value, workspace)
    if not is_inside:
        raise ConfigError(f"images_directory: expected a folder in the dataset, received {quoted(value)}.")


def _check_table(value: str, workspace: Workspace) -> None:
    """Check that the table of labels can be in a dataset; whether it is in this one, its reader checks."""
    path = Path(value)
    if value.startswith("~") or ".." in path.parts or (path.is_absolute() and not is_allowed(path, workspace)):
        raise ConfigError(f"table: expected a file in the dataset, received {quoted(value)}.")


def is_allowed(path: Path, workspace: Workspace) -> bool:
    """Whether a path is in an allowed folder: first as it is written, then with its links resolved."""
    folders = (workspace.data.absolute(), PLATFORM_STORAGE, *DATA_ROOTS.read())
    written = Path(os.path.normpath(path))
    if "\0" in str(path) or not any(written.is_relative_to(os.path.normpath(folder)) for folder in folders):
        return False
    try:
        resolved = path.resolve()
        path.exists()  # raises OSError for a name that no file can have
        return any(resolved.is_relative_to(folder.resolve()) for folder in folders if folder.is_dir())
    except (OSError, RuntimeError):  # a name that is too long, a loop of links
        return False
