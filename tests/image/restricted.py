"""Containers as strict platforms run them: any user ID, no capabilities, a read-only root file system, no network.

buildah has no option for a read-only root file system, so the file system of the container is mounted and entered here.
"""

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.image.buildah import Images
from tests.support.waiting import wait_until

ANY_USER = 1000650000
# $1: the root file system; $2: user ID; then SOURCE TARGET pairs, `--`, and the command.
_ENTER = """
set -e
root=$1 user=$2; shift 2
ip link set lo up
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
exec chroot "$root" setpriv --reuid "$user" --regid 0 --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all -- "$@"
"""


@dataclasses.dataclass(frozen=True)
class Restricted:
    """A restricted container at work.

    Attributes:
        process: `unshare`, whose child is the first process inside.
        log: its output.
    """

    process: "subprocess.Popen[bytes]"
    log: Path
    user: int
    environment: tuple[str, ...]

    def ask(self, *command: str, seconds: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run a command beside the first process, as the same user, in the same file system."""
        first = self._first_process()
        enter = ["nsenter", "--target", first, "--net", "--pid", "--mount", "--root", "--wd"]
        words = [*enter, f"--setuid={self.user}", "--setgid=0", "env", "-i", *self.environment, *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=seconds)

    def _first_process(self) -> str:
        """Process ID of the first process inside, once it has entered the file system of the container."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")

        def is_inside() -> bool:
            return any(os.stat(f"/proc/{child}").st_uid == self.user for child in children.read_text().split())

        wait_until(is_inside, 30, self.process)
        return children.read_text().split()[0]


@contextlib.contextmanager
def restricted(
    images: Images,
    container: str,
    image: str,
    log: Path,
    folders: dict[Path, str],
    command: Sequence[str] | None = None,
) -> Iterator[Restricted]:
    """Start a container with its entry point, as a user ID without a name; end all of it at the end.

    Args:
        folders: folders of this machine -> paths in the container; the only ones besides /tmp that can be written to.
    """
    settings = images.settings(image)
    words = [*settings["Entrypoint"], *(settings["Cmd"] if command is None else command)]
    root = images.run("mount", container).stdout.strip()
    pairs = [word for source, target in folders.items() for word in (str(source), target)]
    # As `docker run --read-only --user 1000650000:0 --cap-drop ALL --security-opt no-new-privileges --network none`.
    apart = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child"]
    inside = ["env", "-i", "-C", settings["WorkingDir"], *settings["Env"], *words]
    start = [*apart, "sh", "-c", _ENTER, "sh", root, str(ANY_USER), *pairs, "--", *inside]
    with log.open("wb") as output:
        process = subprocess.Popen(start, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield Restricted(process, log, ANY_USER, tuple(settings["Env"]))
    finally:
        process.kill()
        process.wait()
        images.run("umount", container)
