"""Manifests of older format versions, migrated step by step to the current one when they are read.

The file on disk stays as it was written. To change the format: raise `FORMAT_VERSION`, add a step from the version
before to `STEPS`, and commit a small model of the version before to `tests/bundle_formats/`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model.config import RENAMED_OPTIONS
from model.errors import ModelDamagedError
from model.intensity import FULL
from model.manifest_schema import MAX_MANIFEST_BYTES, check_manifest
from model.reading import read_json, unreadable
from model.received import quoted

FORMAT_VERSION = 3


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a model from a file, and check every value in it; see `migrate` and `check_manifest`.

    Raises:
        OSError, UnreadableError: the file cannot be read, or is no manifest.
        ModelDamagedError: as `migrate`.
    """
    with unreadable():
        content = migrate(read_json(path, MAX_MANIFEST_BYTES), str(path))
        check_manifest(content)
    return content


def migrate(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Manifest in the current format.

    Args:
        content: manifest as read from JSON.
        where: the file, for the message.

    Raises:
        ModelDamagedError: the format version is newer than this Topgraft knows, or is no version.
        KeyError, TypeError, AttributeError: the content is no manifest.
    """
    migrated = dict(content)
    version = migrated["format_version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelDamagedError(
            f"{where}: expected format_version 1 to {FORMAT_VERSION}, received {quoted(version)}. Train or download "
            "the model again."
        )
    if version > FORMAT_VERSION:
        raise ModelDamagedError(
            f"{where}: expected format_version {FORMAT_VERSION} or older, received {quoted(version)}. The model was "
            f"written by Topgraft {_writer(migrated)}: install that version or a newer one, or train again."
        )
    for step in range(version, FORMAT_VERSION):
        migrated = STEPS[step](migrated)
    return migrated | {"format_version": FORMAT_VERSION}


def _rename_options(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: options in `train_config` have their current names."""
    options = {RENAMED_OPTIONS.get(name, name): value for name, value in content["train_config"].items()}
    return content | {"train_config": options}


def _add_intensity(content: dict[str, Any]) -> dict[str, Any]:
    """Version 2 to 3: the range of photos with more than 8 bits per channel; it was the full range of their type."""
    return content | {"intensity": FULL}


def _writer(content: Mapping[str, Any]) -> str:
    """Version of Topgraft that wrote a manifest, as far as it says so."""
    versions = content.get("versions")
    version = versions.get("topgraft") if isinstance(versions, dict) else None
    return quoted(version)[1:-1] if isinstance(version, str) else "of a later version"


STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _rename_options, 2: _add_intensity}
"""Format version -> the step from it to the next one."""
