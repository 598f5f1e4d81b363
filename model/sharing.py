"""Workspaces that the users of a group share: what one user writes, the others can continue, replace and remove."""

import logging
import os
import stat
from pathlib import Path

from model.workspace import Workspace

log = logging.getLogger(__name__)
_GROUP_WRITES = stat.S_IWGRP


def share_with_group(workspace: Workspace) -> None:
    """Let this process write for the group if `models/` is writable for its group, whatever the umask of the user.

    State files and folders of trainings, locks and histories would otherwise exclude the other users of the group. The
    umask is inherited by child processes.
    """
    try:
        status = workspace.models.stat()
    except OSError:
        return
    if not status.st_mode & _GROUP_WRITES:
        return
    umask = os.umask(0)
    os.umask(umask & ~stat.S_IRWXG)
    is_set_group = bool(status.st_mode & stat.S_ISGID)
    if not is_set_group and status.st_gid != os.getegid():
        log.warning(
            "%s: new files belong to your group, not to the group of the folder. Run: chmod g+s %s",
            workspace.models,
            workspace.models,
        )


def ownership_hint(path: str | os.PathLike[str]) -> str:
    """What to do about a path that cannot be written to because it belongs to another user; empty if it does not."""
    for existing in (Path(path), *Path(path).absolute().parents):
        try:
            status = existing.stat()
        except OSError:
            continue
        if status.st_uid == os.geteuid() or os.access(existing, os.W_OK):
            return ""
        return (
            f" {existing} belongs to user {status.st_uid}. To share it, that user can run: chmod -R g+rwX {existing}; "
            "to keep new files shared: chmod g+ws on the folder models/"
        )
    return ""
