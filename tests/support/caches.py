"""Caches of tests: features are extracted in each run, while backbones are converted once on a machine."""

from pathlib import Path

from model.workspace import cache_directory

# Read before a test sets TOPGRAFT_CACHE: a conversion takes five seconds.
_CONVERTED_BACKBONES = cache_directory() / "backbones"


def new_cache(folder: Path) -> Path:
    """Make a folder for TOPGRAFT_CACHE that holds the backbones converted so far, and nothing else."""
    _CONVERTED_BACKBONES.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "backbones").exists():
        (folder / "backbones").symlink_to(_CONVERTED_BACKBONES, target_is_directory=True)
    return folder
