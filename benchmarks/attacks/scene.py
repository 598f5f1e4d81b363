"""Commands on a workspace with a model, remote storage on loopback, and an inventory of all files before and after."""

import contextlib
import copy
import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from model.bundle_files import REPORT
from model.errors import TopgraftError
from model.registry import Registry, find_bundle
from model.runs import interrupted_trainings
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace
from tests.support.nextcloud_server import Nextcloud, nextcloud
from tests.support.processes import program
from tests.support.storage_servers import webdav_server
from tests.support.waiting import wait_until

MODEL, OTHER, NEW, IMPORTED = "pets", "cats", "new", "imported"
DATASET = "signs"
HEAD = ("--dataset", DATASET, "--checkpoint-minutes", "0")
SMALL = (
    *("--dataset", DATASET, "--backbone", "MobileNetV3Small", "--weights", "none", "--image-size", "32"),
    *("--batch-size", "8", "--epochs", "3", "--folds", "0", "--checkpoint-minutes", "0"),
)
IMAGES_PER_CLASS = 4
# Large files go to a Nextcloud in chunks; so that the small model does, too.
_CHUNKS = {"RCLONE_CONFIG_RSHARE_NEXTCLOUD_CHUNK_SIZE": "256K"}
_SECONDS = 600.0
_SECONDS_TO_END = 10.0
_FOLDERS = ("workspace", "here", "tmp", "cache", "dav", "cloud")
# Random and temporal parts of names.
_VARIABLE = re.compile(r"[0-9a-f]{12,}|\d{6,}")
# When a training was, and what it took, in its report: two undisturbed ones may agree by chance.
_TIMES = re.compile(rb"trained [\d-]+ [\d:]+ UTC|The training took [^<]*")

Inventory = dict[str, str]


class Scene:
    """A folder with a workspace, a temporary folder, the current folder, the cache, and two remotes.

    `rshare:` is a Nextcloud, `rdav:` another WebDAV server.
    """

    def __init__(self, root: Path, cloud: Nextcloud, environment: dict[str, str]) -> None:
        self.root, self.cloud = root, cloud
        self.workspace = Workspace(root / "workspace")
        self.environment = environment | {"TMPDIR": str(root / "tmp"), "TOPGRAFT_CACHE": str(root / "cache")}
        self.log = root.with_name("command.log")
        self._kept = root.with_name("kept")
        self._shares: list[dict[str, object]] = []

    def start(self, *arguments: str) -> psutil.Popen:
        """Start `topgraft` in the current folder of the scene."""
        with open(self.log, "wb") as log:
            return psutil.Popen(
                [program("topgraft"), "--workspace", str(self.workspace.root), *arguments],
                cwd=self.root / "here",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, *arguments: str) -> None:
        """Run `topgraft` to its end.

        Raises:
            RuntimeError: it failed.
        """
        if self.start(*arguments).wait(_SECONDS) != 0:
            raise RuntimeError(f"topgraft {' '.join(arguments)} failed:\n{self.log.read_text(errors='replace')}")

    def keep(self) -> None:
        """Keep the present state as the one that `reset` restores."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.root, self._kept, symlinks=True)
        self._shares = copy.deepcopy(self.cloud.shares)

    def reset(self) -> None:
        """Restore the state of `keep`."""
        for folder in _FOLDERS:
            # The folders that servers offer stay.
            for path in (self.root / folder).iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            shutil.copytree(self._kept / folder, self.root / folder, symlinks=True, dirs_exist_ok=True)
        self.cloud.shares[:] = copy.deepcopy(self._shares)
        self.cloud.chunks.clear()
        # As long as a server may keep a listing.
        time.sleep(0.1)

    def inventory(self) -> Inventory:
        """All files, folders and chunks on their way: name without random parts -> checksums."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.root.rglob("*")):
            content = _checksum(path) if path.is_file() else ""
            found.setdefault(_VARIABLE.sub("#", path.relative_to(self.root).as_posix()), []).append(content)
        for url, chunk in self.cloud.chunks.items():
            name = _VARIABLE.sub("#", f"chunks{url}")
            found.setdefault(name, []).append(hashlib.sha256(chunk).hexdigest())
        return {name: " ".join(sorted(contents)) for name, contents in found.items()}

    def damage(self) -> list[str]:
        """What is not whole: models, archives that differ from their checksum file, processes that still run."""
        found = [] if self.ends() else ["a process of the command still runs"]
        for model in Registry().models(self.workspace):
            try:
                find_bundle(self.workspace, model.name).verify()
            except TopgraftError as error:
                found.append(f"{model.name}: {error.message}")
        for path in self.root.rglob("*.sha256"):
            archive = path.with_suffix("")
            if not path.name.startswith(".") and archive.is_file():
                checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
                found += [] if checksum in path.read_text() else [f"{archive}: expected the checksum in {path.name}"]
        return found

    def ends(self) -> bool:
        """Whether all processes of the command end within seconds."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self._processes(), _SECONDS_TO_END)
            return True
        return False

    def names(self) -> set[str]:
        """Names of the models."""
        return {model.name for model in Registry().models(self.workspace)}

    def is_interrupted(self, name: str) -> bool:
        """Whether a training of this name can be resumed."""
        return name in [status.name for status in interrupted_trainings(self.workspace)]

    def _processes(self) -> list[psutil.Process]:
        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("TOPGRAFT_CACHE") == self.environment["TOPGRAFT_CACHE"]:
                    mine.append(process)
        return [process for process in mine if process.status() != psutil.STATUS_ZOMBIE]


def _checksum(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(_TIMES.sub(b"", content) if path.name == REPORT else content).hexdigest()


@contextlib.contextmanager
def scene_in(directory: Path) -> Iterator[Scene]:
    """A scene in an empty folder, with two trained models and photos to pull."""
    root = directory / "scene"
    for folder in _FOLDERS[:-1]:
        (root / folder).mkdir(parents=True)
    (root / "workspace" / "models").mkdir()
    write_demo_dataset(root / "workspace" / "data" / DATASET, IMAGES_PER_CLASS)
    shutil.copytree(root / "workspace" / "data" / DATASET, root / "dav" / "photos")
    with nextcloud(root / "cloud", f"/published/{MODEL}.tar.xz") as cloud, webdav_server(root / "dav") as dav:
        environment = os.environ | cloud.environment() | dav.environment("rdav") | _CHUNKS
        scene = Scene(root, cloud, environment)
        for name in (MODEL, OTHER):
            scene.run("train", "--name", name, *SMALL)
        scene.run("export", MODEL)
        yield scene


@dataclasses.dataclass(frozen=True)
class Expected:
    """Inventory after undisturbed commands.

    Attributes:
        always: name -> checksums of what every run writes alike.
        names: all names.
    """

    always: Inventory
    names: frozenset[str]

    def differences(self, found: Inventory) -> list[str]:
        """Names that are missing, left over or changed."""
        changed = [name for name, content in self.always.items() if name in found and found[name] != content]
        missing, left = sorted(self.names - found.keys()), sorted(found.keys() - self.names)
        return [
            *(f"missing: {name}" for name in missing),
            *(f"left: {name}" for name in left),
            *(f"changed: {name}" for name in sorted(changed)),
        ]


def expected_of(first: Inventory, second: Inventory) -> Expected:
    """What two undisturbed runs have in common; what only one of them has is an error of the benchmark."""
    if first.keys() != second.keys():
        raise RuntimeError(f"two undisturbed runs left different files: {sorted(first.keys() ^ second.keys())}")
    return Expected({name: content for name, content in first.items() if second[name] == content}, frozenset(first))
