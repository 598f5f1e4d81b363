"""The workspace: folders of datasets, trained models and caches.

<root>/data/             datasets
<root>/models/<name>/    one complete trained model each
<root>/models/.running/  running and interrupted trainings
<root>/models/.monitor/  usage statistics of the service, if enabled
<root>/models/.studio/   files of the studio, such as the key of its sessions
"""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from model.environment import CACHE, HOME
from model.errors import ConfigError
from model.home import expand_home, folder_in_home
from model.received import quoted

RUNNING = ".running"
MONITOR = ".monitor"
STUDIO = ".studio"

# File systems allow 255 bytes, of which a digest and a temporary name need some.
_MAX_NAME_BYTES = 180


@dataclasses.dataclass(frozen=True)
class Workspace:
    """Folder that contains `data/` and `models/`."""

    root: Path

    @property
    def data(self) -> Path:
        """Datasets."""
        return self.root / "data"

    @property
    def models(self) -> Path:
        """Trained models."""
        return self.root / "models"

    @property
    def running(self) -> Path:
        """Running and interrupted trainings."""
        return self.models / RUNNING

    @property
    def monitor(self) -> Path:
        """Usage statistics of the service."""
        return self.models / MONITOR

    @property
    def studio(self) -> Path:
        """Files of the studio."""
        return self.models / STUDIO

    def comparison_folder(self, base: str, new: Sequence[str]) -> Path:
        """Default folder of a comparison of models with these names, of which each is named once.

        A name that file systems refuse is shortened.
        """
        name = f"{'+'.join(dict.fromkeys(new))}-{base}"
        encoded = os.fsencode(name)
        if len(encoded) > _MAX_NAME_BYTES:
            digest = hashlib.sha256(encoded).hexdigest()[:16]
            name = f"{encoded[:_MAX_NAME_BYTES].decode(errors='ignore')}-{digest}"
        return self.root / "comparisons" / name

    def find_dataset(self, dataset: str) -> Path:
        """Path of the option `dataset`: empty is `data/`; a name inside `data/` takes precedence.

        A bare name that does not exist is taken as relative to `data/`, for the error message.
        """
        path = expand_home(dataset)
        inside = self.data / dataset
        is_lone_name = len(path.parts) <= 1 and not path.exists() and self.data.is_dir()
        return inside if not path.is_absolute() and (inside.exists() or is_lone_name) else path


def find_workspace(explicit: str | os.PathLike[str] | None = None) -> Workspace:
    """Find the workspace: `explicit`, TOPGRAFT_HOME, the current directory if it has data/ or models/,
    or the checkout of an editable installation, in this order.

    Raises:
        ConfigError: the given folder does not exist, or no workspace is found.
    """
    for origin, value in (("--workspace", explicit), (HOME.name, HOME.read())):
        if value:
            root = expand_home(value).absolute()
            if not root.is_dir():
                raise ConfigError(
                    f"{origin}: expected an existing folder, received {quoted(str(root))}. Create it first."
                )
            return Workspace(root)
    for root in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if (root / "models").is_dir() or (root / "data").is_dir():
            return Workspace(root)
    raise ConfigError(
        f"expected a folder data/ or models/ in {Path.cwd()}, found neither. "
        "Create one, or set the workspace with --workspace or TOPGRAFT_HOME."
    )


def cache_directory() -> Path:
    """Cache of converted backbones, features and remote datasets: TOPGRAFT_CACHE, else ~/.cache/topgraft.

    Without a home folder that can be written to, a private temporary folder.
    """
    return folder_in_home(CACHE)
