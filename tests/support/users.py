"""Programs that run as another user: an ID without a name, as OpenShift and strict clusters choose it."""

import os
import shutil
from pathlib import Path

from tests.support.command import COMMAND, ROOT

ANY_USER = 1000650000


def missing_requirements() -> str:
    """Requirements that are missing to run a program as another user; empty if there are none."""
    if os.geteuid() != 0:
        return "needs root, to run a program as another user"
    return "" if shutil.which("setpriv") else "needs setpriv, of util-linux"


def as_user(user: int, *command: str, group: int = 0, umask: str = "022") -> list[str]:
    """A command line that runs a command as a user ID.

    The user can read every file, because Python and the checkout may be below a folder of root, but write only to its
    own files and those of its group.
    """
    reading = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    identity = (f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs")
    return ["setpriv", *identity, *reading, "--", "sh", "-c", f'umask {umask}; exec "$@"', "sh", *command]


def command_of(user: int, *arguments: object) -> list[str]:
    """A command line of `topgraft ARGUMENTS` as a user ID."""
    return as_user(user, *COMMAND, *map(str, arguments))


def bare_environment(workspace: Path, **variables: str) -> dict[str, str]:
    """Environment of a container: no home folder, and no cache."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | {
        "TOPGRAFT_HOME": str(workspace),
        **variables,
    }


def make_reachable(folder: Path) -> None:
    """Let every user pass the private folders of pytest above a folder."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)


def give(folder: Path, user: int, group: int = 0, mode: int = 0o755) -> None:
    """Give a folder with its content to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group)
    folder.chmod(mode)
