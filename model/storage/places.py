"""Paths in remote storage, `remote:path`, and how they differ from local paths."""

import dataclasses
import posixpath
import re

from model.errors import ConfigError
from model.received import quoted

# As rclone allows them, but for blanks at the end. No comma: rclone takes what follows one for options, such as the
# address of another server, which would be sent the password.
_REMOTE = re.compile(r"(?P<remote>[\w.+@][\w.+@ -]*):(?!//)(?P<path>.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOOKS_REMOTE = re.compile(r"[^/]*:(?!//)")


@dataclasses.dataclass(frozen=True)
class Place:
    """A path in remote storage.

    Attributes:
        remote: name of the remote in rclone's settings.
        path: path in it, without `/` at its ends.
    """

    remote: str
    path: str

    def __str__(self) -> str:
        """The form `remote:path`."""
        return f"{self.remote}:{self.path}"

    def __truediv__(self, name: str) -> "Place":
        """Path of `name` below this one; an empty name is this path itself.

        Raises:
            ConfigError: the name has control characters.
        """
        _refuse_control_characters(name)
        return Place(self.remote, posixpath.join(self.path, name) if name else self.path)

    @property
    def name(self) -> str:
        """Last part of the path; the name of the remote if the path is empty."""
        return posixpath.basename(self.path) or self.remote

    @property
    def parent(self) -> "Place":
        """Path of the folder that contains it."""
        return Place(self.remote, posixpath.dirname(self.path))


def is_remote(where: str) -> bool:
    """Whether `where` has the form `remote:path`, valid or not, rather than that of a local path or a URL.

    A local path with a colon in its first part is written `./a:b`.
    """
    return _LOOKS_REMOTE.match(where) is not None


def parse_place(where: str) -> Place:
    """Parse `remote:path`.

    Raises:
        ConfigError: another form; rclone's `:backend,option=...:` is refused, too, because it can send the password of
            a remote to another server.
    """
    _refuse_control_characters(where)
    match = _REMOTE.fullmatch(where)
    parts = [part for part in (match["path"] if match else "").split("/") if part not in ("", ".")]
    if match is None or ".." in parts:
        raise ConfigError(
            f"expected remote:path, such as rshare:photos/plankton, received {quoted(where)}. A remote's name has "
            "letters, digits and _ . + @ - only, the path no '..'. For a local file with a colon in its name, "
            "write ./NAME"
        )
    return Place(match["remote"].rstrip(), "/".join(parts))


def _refuse_control_characters(name: str) -> None:
    """Refuse names that rclone lists with another character and then finds under neither name."""
    if _CONTROL.search(name):
        raise ConfigError(f"expected a name without line ends and other control characters, received {quoted(name)}.")
