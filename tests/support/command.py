"""The command `topgraft` in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.caches import new_cache

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "import sys; from model.cli import main; sys.exit(main())")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def topgraft(*arguments: object, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `topgraft ARGUMENTS` in `cwd`, without a terminal and without input."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**environment_of_tests(cwd), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def heed_interrupts() -> None:
    """Restore the default handling of SIGINT, which shells disable for background commands."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment_of_tests(workspace: Path) -> dict[str, str]:
    """The environment, without what a developer may have set for Topgraft."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOPGRAFT_")}
    return kept | {"PYTHONPATH": str(ROOT), "TOPGRAFT_CACHE": str(new_cache(workspace / "cache"))}
