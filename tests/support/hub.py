"""Operations of the hub on the repository of a module."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def validate(path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the hub's validator."""
    pytest.importorskip("ai4_metadata")
    command = [sys.executable, "-c", "from ai4_metadata.cli import app; app()", "validate", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def mounted(service: dict[str, Any], project: Path) -> Path:
    """The folder that a service of `.sqa/docker-compose.yml` works in; relative paths count from `project`."""
    [volume] = service["volumes"]
    assert volume["type"] == "bind" and volume["target"] == service["working_dir"]
    return (project / volume["source"]).resolve()
