"""Names of things in a storage: `remote:path`, told apart from local paths."""

import dataclasses
import posixpath
import re

from model.errors import ConfigError

# As rclone allows them, but for blanks at the end. No comma: rclone takes what follows one for options, such as the
# address of another server, which would be sent the password.
_REMOTE = re.compile(r"(?P<remote>[\w.+@][\w.+@ -]*):(?!//)(?P<path>.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOOKS_REMOTE = re.compile(r"[^/]*:(?!//)")


@dataclasses.dataclass(frozen=True)
class Place:
    """Something in a storage: the name of the remote in rclone's settings, and the path in it, without `/` around."""

    remote: str
    path: str

    def __str__(self) -> str:
        """`remote:path`, as it is typed."""
        return f"{self.remote}:{self.path}"

    def __truediv__(self, name: str) -> "Place":
        """What is under `name` in it; an empty name is the place itself.

        Raises:
            ConfigError: the name has control characters.
        """
        _refuse_control_characters(name)
        return Place(self.remote, posixpath.join(self.path, name) if name else self.path)

    @property
    def name(self) -> str:
        """The last part of the path; of a remote as a whole, the remote's name."""
        return posixpath.basename(self.path) or self.remote

    @property
    def parent(self) -> "Place":
        """The folder it is in."""
        return Place(self.remote, posixpath.dirname(self.path))


def is_remote(where: str) -> bool:
    """Whether `where` is `remote:path`, or tries to be, rather than a local path or a URL.

    A local path whose first part has a colon is written `./a:b`.
    """
    return _LOOKS_REMOTE.match(where) is not None


def parse_place(where: str) -> Place:
    """Read `remote:path`.

    Raises:
        ConfigError: it is something else; rclone's `:backend,option=...:` is refused too, for it can send the
            password of a remote elsewhere.
    """
    _refuse_control_characters(where)
    match = _REMOTE.fullmatch(where)
    parts = [part for part in (match["path"] if match else "").split("/") if part not in ("", ".")]
    if match is None or ".." in parts:
        raise ConfigError(
            f"expected remote:path, such as rshare:photos/plankton, received {where!r}. A remote's name has letters, "
            "digits and _ . + @ - only, the path no '..'. For a local file with a colon in its name, write ./NAME"
        )
    return Place(match["remote"].rstrip(), "/".join(parts))


def _refuse_control_characters(name: str) -> None:
    """rclone shows a line end in a name as another character, and finds what has it under neither."""
    if _CONTROL.search(name):
        raise ConfigError(f"expected a name without line ends and other control characters, received {name!r}.")
