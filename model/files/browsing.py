"""Contents of folders, and names of files in messages."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.scratch import scratch_folder
from model.shown import printable

# Files and folders that systems add on their own, besides those whose names begin with a dot. Thumbnails and deleted
# photos in them are images by their content.
_MADE_BY_SYSTEMS = frozenset(
    {
        # macOS, also on file servers
        *("__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder"),
        # Windows
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "system volume information"),
        # Synology and QNAP
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "@transcode", "@__thumb"),
        # other file servers and file systems
        *("~snapshot", "lost+found", "_gsdata_"),
    }
)
_HIDDEN_AND_MADE_BY_SYSTEMS = re.compile(
    r"\.(DS_Store|_.*|directory|fuse_hidden.*|ipynb_checkpoints|nfs.*|snapshot|Trash.*)", re.DOTALL
)
# Upper case only: `recycler` may be a class.
_RECYCLE_BIN_OF_OLD_WINDOWS = "RECYCLER"


def folders_in(root: Path) -> list[Path]:
    """Folders in a folder, sorted by name, without hidden ones."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))


def files_in(root: Path) -> list[Path]:
    """Files of a folder, sorted by name."""
    return sorted(path for path in root.iterdir() if not path.is_dir())


def files_below(folder: Path, parents: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Files of a folder and all its subfolders, hidden files included.

    Links are followed, except those that lead back to one of `parents`.

    Args:
        parents: real paths of the folders above `folder`.
    """
    real = os.path.realpath(folder)
    if real in parents:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from files_below(path, parents | {real})
        else:
            yield path


@contextlib.contextmanager
def without_link_loops(folder: Path) -> Iterator[Path]:
    """The folder itself or, if links in it lead back to a folder above them, a temporary folder of links to its files.

    Its files are those of `files_below` in both cases. Programs that follow links, such as `rclone copy --copy-links`,
    would follow a loop until the system stops them. rclone's `--files-from-raw` is no way out: it skips names that end
    in a carriage return or hold rclone's own mark of quoted characters, without an error.
    """
    if not _has_link_loop(folder):
        yield folder
        return
    with scratch_folder("send") as directory:
        for path in files_below(folder):
            link = directory / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        yield directory


def _has_link_loop(folder: Path, parents: frozenset[str] = frozenset()) -> bool:
    real = os.path.realpath(folder)
    return real in parents or any(_has_link_loop(path, parents | {real}) for path in folder.iterdir() if path.is_dir())


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is one that systems add on their own, such as `Thumbs.db` or `@eaDir`.

    Folders of notebooks, version control and snapshots (`.ipynb_checkpoints`, `.git`, `.snapshot`) are hidden.
    """
    return name.startswith(".") or _is_made_by_system(name)


def is_made_by_system(name: str) -> bool:
    """Whether systems or notebooks add a file or folder of this name on their own, and it is no loss."""
    return _is_made_by_system(name) or _HIDDEN_AND_MADE_BY_SYSTEMS.fullmatch(name) is not None


def _is_made_by_system(name: str) -> bool:
    return name == _RECYCLE_BIN_OF_OLD_WINDOWS or name.lower() in _MADE_BY_SYSTEMS


def names_of_hidden_files() -> dict[str, list[str]]:
    """Names of hidden files, besides those that begin with a dot, for programs that apply the rule of `is_hidden`.

    Returns:
        `any_case`: in lower case; `exact`: with their case.
    """
    return {"any_case": sorted(_MADE_BY_SYSTEMS), "exact": [_RECYCLE_BIN_OF_OLD_WINDOWS]}


def has_hidden_part(path: str) -> bool:
    """Whether a relative path with `/` is, or is inside, a hidden file or folder."""
    return any(is_hidden(part) for part in path.split("/"))


def describe_content(root: Path) -> str:
    """Summary of the content of a folder, for a message."""
    names = [f"{path.name}/" for path in folders_in(root)] + [path.name for path in files_in(root)]
    return name_some(names) if names else "an empty folder"


def name_some(names: Sequence[str], limit: int = 8) -> str:
    """The first names, and the number of the others, for a message."""
    listed = ", ".join(printable(name) for name in names[:limit])
    return f"{listed} and {len(names) - limit:,} more" if len(names) > limit else listed
