"""Images without a Docker engine: buildah builds and runs them, on a base that is made once and kept.

The base stands for tensorflow/tensorflow: Debian, Python and tensorflow-cpu of the same version, under the name that
the Dockerfile asks for, so that it is found here. What runs has a network of its own, with nothing in it but loopback.
"""

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.image.pip_mounts import pip_mounts
from tests.support.command import ROOT
from tests.support.waiting import wait_until

BASE = "docker.io/tensorflow/tensorflow"
PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
SECONDS_TO_BUILD = 1200
_OWN_NETWORK = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


@functools.cache
def missing_requirements() -> str:
    """Requirements that are missing to build an image; empty if there are none."""
    if os.environ.get("TOPGRAFT_TEST_IMAGE") != "1":
        return "takes minutes and a base system from the network: set TOPGRAFT_TEST_IMAGE=1"
    if os.geteuid() != 0:
        return "needs root: debootstrap and chroot"
    needed = ("buildah", "debootstrap", "unshare", "nsenter", "ip", "git")
    missing = [program for program in needed if shutil.which(program, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run([*_OWN_NETWORK, "mount", "--bind", "/tmp", "/tmp"], capture_output=True, text=True)
    return f"not permitted here: {tried.stderr.strip()}" if tried.returncode else ""


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def unreachable_mirror() -> str:
    """Why the base system cannot be downloaded; empty if it can."""
    url = f"{MIRROR}/dists/{RELEASE}/Release"
    try:
        requests.head(url, timeout=30).raise_for_status()
    except requests.RequestException as error:
        return f"the base system cannot be downloaded: {url}: {error}"
    return ""


@dataclasses.dataclass(frozen=True)
class Images:
    """Local storage of images.

    Attributes:
        folder: TOPGRAFT_TEST_CACHE, else ~/.cache/topgraft-image.
        driver: overlay where the system has it, else vfs, which copies whole images.
    """

    folder: Path
    driver: str

    def command(self, *arguments: str) -> list[str]:
        """A command line of buildah."""
        places = ("--root", str(self.folder / self.driver), "--runroot", str(self.folder / "run"))
        return ["buildah", *places, "--storage-driver", self.driver, *arguments]

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run buildah; what it says is text."""
        command = self.command(*arguments)
        ran = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=SECONDS_TO_BUILD)
        assert ran.returncode == 0 or not check, f"{' '.join(arguments)}\n{ran.stdout[-8000:]}\n{ran.stderr[-8000:]}"
        return ran

    def has(self, image: str) -> bool:
        return self.run("inspect", "--type", "image", image, check=False).returncode == 0

    def build(self, context: Path, name: str, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Build the Dockerfile of `context`; layers that did not change are taken from the last time."""
        fixed = ("--format", "docker", "--isolation", "chroot", "--pull-never", "--layers", *pip_mounts())
        with self._locked():
            ran = self.run("build", *fixed, *options, "--tag", name, str(context), check=check)
            # Layers of builds before, which no image has any more.
            self.run("rmi", "--prune", check=False)
        return ran

    def settings(self, image: str) -> dict[str, Any]:
        """Settings of the image from its Dockerfile: Entrypoint, Cmd, Healthcheck, Env, ..."""
        described = json.loads(self.run("inspect", "--type", "image", image).stdout)
        settings: dict[str, Any] = described["Docker"]["config"]
        return settings

    def make_base(self) -> None:
        """Make the base, unless it is here."""
        name = base_name()
        with self._locked():
            if self.has(name):
                return
            with tempfile.TemporaryDirectory(dir=self.folder) as place:
                system = Path(place) / "system"
                command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(system), MIRROR]
                subprocess.run(command, env=_environment(), check=True, capture_output=True, timeout=SECONDS_TO_BUILD)
                container = self.run("from", "scratch").stdout.strip()
                self.run("copy", "--quiet", container, str(system), "/")
            install = (
                "pip",
                "install",
                "--quiet",
                "--no-cache-dir",
                "--break-system-packages",
                f"tensorflow-cpu=={base_tag()}",
            )
            self.run("run", "--isolation", "chroot", *pip_mounts(), container, "--", *install)
            self.run("commit", "--quiet", "--rm", container, name)

    @contextlib.contextmanager
    def container(self, image: str) -> Iterator[str]:
        """A container of an image, removed at the end."""
        name = self.run("from", "--pull-never", image).stdout.strip()
        try:
            yield name
        finally:
            self.run("rm", name)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold a lock, so that two processes of pytest do not build the same image twice."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_images() -> Images:
    """The images of this machine."""
    named = os.environ.get("TOPGRAFT_TEST_CACHE")
    folder = Path(named) if named else Path.home() / ".cache" / "topgraft-image"
    folder.mkdir(parents=True, exist_ok=True)
    overlay = Images(folder, "overlay")
    return overlay if overlay.run("info", check=False).returncode == 0 else Images(folder, "vfs")


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": _path(), "BUILDAH_ISOLATION": "chroot"}


@dataclasses.dataclass(frozen=True)
class Running:
    """A container at work.

    Attributes:
        process: `unshare`, whose child is the first process in there.
        log: what it says.
        options: of `buildah run`: its volumes.
    """

    images: Images
    container: str
    process: "subprocess.Popen[bytes]"
    log: Path
    options: tuple[str, ...]

    def ask(self, *command: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container, beside what runs there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        [first] = wait_until(lambda: children.read_text().split(), 30, self.process)
        inside = self.images.command("run", "--isolation", "chroot", *self.options, self.container, "--", *command)
        enter = ["nsenter", "--target", first, "--net", "--pid", "--mount", *inside]
        return subprocess.run(enter, env=_environment(), capture_output=True, text=True, timeout=seconds)


@contextlib.contextmanager
def running(
    images: Images,
    container: str,
    image: str,
    log: Path,
    command: list[str] | None = None,
    volumes: tuple[str, ...] = (),
) -> Iterator[Running]:
    """Start a container as Docker does, with the entry point before the command; end all of it at the end."""
    settings = images.settings(image)
    words = [*settings["Entrypoint"], *(settings["Cmd"] if command is None else command)]
    options = tuple(word for volume in volumes for word in ("--volume", volume))
    inside = images.command("run", "--isolation", "chroot", *options, container, "--", *words)
    start = [*_OWN_NETWORK, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside]
    with log.open("wb") as said:
        process = subprocess.Popen(start, env=_environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield Running(images, container, process, log, options)
    finally:
        process.kill()
        process.wait()


def base_name() -> str:
    """The image that the Dockerfile asks for, with its tag."""
    return f"{BASE}:{base_tag()}"


def base_tag() -> str:
    """The tag of the base that the Dockerfile asks for."""
    found = re.search(r"^ARG tag=(\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert found is not None
    return found.group(1)
