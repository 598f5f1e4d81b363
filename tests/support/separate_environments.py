"""Virtual environments of their own for large tools, whose packages do not fit beside those of Topgraft.

An environment is made once, by `uv`, in `.venv-tools/` of the checkout, or in the folder that
TOPGRAFT_TEST_ENVIRONMENTS names. A file that is written last marks it as complete.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from uv import find_uv_bin

from model.locks import exclusive
from tests.support.command import ROOT

FOLDER = "TOPGRAFT_TEST_ENVIRONMENTS"
SECONDS_TO_INSTALL = 900
# What uv reports when the package registry does not answer; all other errors make a test fail.
_UNREACHABLE = ("error sending request", "HTTP status server error", "network was disabled", "operation timed out")


def separate_environment(name: str, packages: Sequence[str]) -> Path:
    """The folder of programs (`bin`) of a virtual environment with these packages, which is made if it is missing.

    Other processes that need the same environment wait until it is complete. An environment with other packages, or
    of another Python, is replaced.

    Args:
        name: the name of its folder.
        packages: requirements, such as `label-studio==1.23.2`.

    Raises:
        AssertionError: the packages cannot be installed. Where the registry cannot be reached, the test is skipped.
    """
    folder = Path(os.environ.get(FOLDER) or ROOT / ".venv-tools")
    folder.mkdir(parents=True, exist_ok=True)
    environment = folder / name
    marker, content = environment / "complete.txt", "\n".join([sys.version, *packages, ""])
    with exclusive(folder / f"{name}.lock", "Two tests may install the same environment at once."):
        if not (marker.is_file() and marker.read_text() == content):
            marker.unlink(missing_ok=True)
            _install(environment, packages)
            marker.write_text(content)
    return environment / "bin"


def _install(environment: Path, packages: Sequence[str]) -> None:
    if environment.exists():
        shutil.rmtree(environment)
    python = environment / "bin" / "python"
    for arguments in (
        ("venv", "--python", sys.executable, environment),
        ("pip", "install", "--python", python, *packages),
    ):
        ran = subprocess.run(
            [find_uv_bin(), "--quiet", *map(str, arguments)],
            env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_INSTALL,
            check=False,
        )
        if ran.returncode and any(sign in ran.stderr for sign in _UNREACHABLE):
            pytest.skip(f"the package registry cannot be reached for {environment.name}: {ran.stderr.strip()[-300:]}")
        assert ran.returncode == 0, f"uv {arguments[0]} of {environment.name} failed: {ran.stderr.strip()[-2000:]}"
