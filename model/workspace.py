"""Where datasets, trained models and caches are, and which models are there.

<root>/data/             datasets
<root>/models/<name>/    one trained model each: whole, or not there
<root>/models/.running/  trainings under way, and the traces of interrupted ones
<root>/models/.monitor/  what the service was asked and answered, where it counts that
"""

import dataclasses
import os
from pathlib import Path

from model.environment import CACHE, HOME
from model.errors import ConfigError

RUNNING = ".running"
MONITOR = ".monitor"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folder that holds `data/` and `models/`."""

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
        """Trainings under way."""
        return self.models / RUNNING

    @property
    def monitor(self) -> Path:
        """What the service counts."""
        return self.models / MONITOR

    def find_dataset(self, dataset: str) -> Path:
        """The path meant by the option `dataset`: empty is `data/`, a name inside `data/` comes first.

        A lone name that is nowhere is meant to be inside `data/`: that is where an error should look.
        """
        path = Path(dataset).expanduser()
        inside = self.data / dataset
        is_lone_name = len(path.parts) <= 1 and not path.exists() and self.data.is_dir()
        return inside if not path.is_absolute() and (inside.exists() or is_lone_name) else path


def find_workspace(explicit: str | os.PathLike[str] | None = None) -> Workspace:
    """The workspace: `explicit`, else TOPGRAFT_HOME, else the current directory if it has data/ or
    models/, else the checkout that an editable installation came from.

    Raises:
        ConfigError: the folder named does not exist, or there is none to be found.
    """
    for origin, value in (("--workspace", explicit), (HOME.name, HOME.read())):
        if value:
            root = Path(value).expanduser().absolute()
            if not root.is_dir():
                raise ConfigError(f"{origin}: expected an existing folder, received {str(root)!r}. Create it first.")
            return Workspace(root)
    for root in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if (root / "models").is_dir() or (root / "data").is_dir():
            return Workspace(root)
    raise ConfigError(
        f"expected a folder data/ or models/ in {Path.cwd()}, found neither. "
        "Create one, or name the workspace with --workspace or TOPGRAFT_HOME."
    )


def cache_directory() -> Path:
    """Where converted backbones and features are kept: TOPGRAFT_CACHE, else ~/.cache/topgraft."""
    return CACHE.read().expanduser()
