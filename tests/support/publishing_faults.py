"""Faults of publishing: killed, or done twice at once."""

import contextlib
import copy
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from model.bundle import file_record, write_manifest
from model.errors import TopgraftError
from model.publishing.archive import CHECKSUM_SUFFIX
from model.publishing.child_module import WRITTEN
from model.publishing.publish import PublishOptions, publish
from model.publishing.record import PUBLISHED
from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.command import ROOT
from tests.support.kills import Outcome, kill_at_random, wait_for_beginning
from tests.support.nextcloud_server import Nextcloud, nextcloud

MODEL = "pets"
# Large files go to a Nextcloud in chunks; so that the small model does, too.
CHUNK = {"RCLONE_CONFIG_RSHARE_NEXTCLOUD_CHUNK_SIZE": "1M"}
FOLDER = "models"
SHARED = f"/{FOLDER}/{MODEL}.tar.xz"
OLD, NEW, OTHER = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-03-03T00:00:00Z"

# What is on its way to its name, and what holds a lock.
_HIDDEN = re.compile(r"(^|/)(\.[^/]+\.([0-9a-f]{32}|[0-9a-f]{12}\.uploading)|\.proof-[^/]*/.*|\.lock)$")
_PUBLISH = """
import sys
from pathlib import Path
from model.registry import find_bundle
from model.publishing.publish import PublishOptions, publish
from model.workspace import Workspace

workspace = Workspace(Path(sys.argv[1]))
bundle = find_bundle(workspace, sys.argv[2])
print("begins", flush=True)
publish(bundle, workspace, PublishOptions(sys.argv[3], replace=True))
"""
Content = dict[str, bytes]


class Scene:
    """A Nextcloud with a published model, and a newer version of the model to publish in its place."""

    def __init__(self, cloud: Nextcloud, workspace: Workspace) -> None:
        self.cloud, self.workspace = cloud, workspace
        self._copy = workspace.root.with_name("old")
        self._old = self._published(OLD)
        shutil.copytree(workspace.root / PUBLISHED, self._copy)
        self._shares = copy.deepcopy(cloud.shares)
        self._new = self._published(NEW)

    def reset(self) -> None:
        """The old version published, the new one in the workspace."""
        for path in self._storage.iterdir():
            path.unlink()
        for name, content in self._old[0].items():
            (self._storage / name).write_bytes(content)
        shutil.rmtree(self.workspace.root / PUBLISHED)
        shutil.copytree(self._copy, self.workspace.root / PUBLISHED)
        self.cloud.shares[:] = copy.deepcopy(self._shares)
        self.cloud.chunks.clear()
        become(self.workspace, NEW)

    def is_whole(self) -> bool:
        """Whether nothing is lost and no partial file has a final name."""
        return self._storage_is_whole() and self._workspace_is_whole() and len(self.cloud.shares) == 1

    def recovers(self) -> bool:
        """Whether repeating it gives the result of an undisturbed publish."""
        try:
            self.publish()
        except TopgraftError as error:
            print(error, file=sys.stderr)
            return False
        left = [path for path in (self.workspace.root / PUBLISHED).rglob(".proof-*")]
        return self._state() == self._new and len(self.cloud.shares) == 1 and not left

    def publish(self) -> None:
        """Publish what is in the workspace."""
        publish(find_bundle(self.workspace, MODEL), self.workspace, PublishOptions(f"rshare:{FOLDER}", replace=True))

    @property
    def _storage(self) -> Path:
        return self.cloud.shared_file.parent

    def _published(self, version: str) -> tuple[Content, Content]:
        become(self.workspace, version)
        self.publish()
        return self._state()

    def _state(self) -> tuple[Content, Content]:
        return _content(self._storage), _content(self.workspace.root / PUBLISHED)

    def _storage_is_whole(self) -> bool:
        remote_files = _content(self._storage)
        archive, checksum = (
            remote_files.pop(self.cloud.shared_file.name, b""),
            remote_files.pop(f"{MODEL}.tar.xz{CHECKSUM_SUFFIX}", b""),
        )
        sha256 = file_record(self.cloud.shared_file).sha256 if archive else ""
        return not remote_files and archive != b"" and (not checksum or sha256 in checksum.decode())

    def _workspace_is_whole(self) -> bool:
        find_bundle(self.workspace, MODEL).verify()
        known = (self._old[1], self._new[1])
        local_files = _content(self.workspace.root / PUBLISHED)
        # Which files are ours is noted before and after they are written.
        mine = {name: content for name, content in local_files.items() if not name.endswith(WRITTEN)}
        return all(content in [one.get(name) for one in known] for name, content in mine.items())


def become(workspace: Workspace, version: str) -> None:
    """Make the model another version of itself."""
    bundle = find_bundle(workspace, MODEL)
    write_manifest(bundle.directory, dataclasses.replace(bundle.manifest, created=version))


@contextlib.contextmanager
def scene_in(root: Path, workspace: Workspace) -> Iterator[Scene]:
    """A scene; its Nextcloud is `rshare:` in this process."""
    with nextcloud(root / "cloud", SHARED) as cloud, mock.patch.dict(os.environ, cloud.environment() | CHUNK):
        yield Scene(cloud, workspace)


def publish_twice_at_once(scene: Scene, trials: int) -> Outcome:
    """Publish twice at once from one workspace: the second waits for the first, and both succeed."""
    outcome = Outcome(trials)
    for _ in range(trials):
        scene.reset()
        both = [_start(scene.workspace) for _ in range(2)]
        ended_well = [one.wait() == 0 for one in both]
        outcome.harmed += not (all(ended_well) and scene.is_whole() and scene.recovers())
    return outcome


def publish_others_at_once(scene: Scene, trials: int) -> Outcome:
    """Publish different models at once from two workspaces: one remains; the other fails or is replaced."""
    outcome = Outcome(trials, "one stays")
    other = Workspace(scene.workspace.root.with_name("other"))
    shutil.copytree(scene.workspace.root, other.root)
    become(other, OTHER)
    for _ in range(trials):
        scene.reset()
        both = [_start(scene.workspace), _start(other)]
        ended_well = [one.wait() == 0 for one in both]
        outcome.harmed += not (any(ended_well) and scene.is_whole() and scene.recovers())
    return outcome


def kill(scene: Scene, trials: int) -> Outcome:
    """Kill `topgraft publish` at random moments; a command that had ended before is not counted."""
    return kill_at_random(
        lambda: _start(scene.workspace), scene.reset, lambda: scene.is_whole() and scene.recovers(), trials
    )


def _start(workspace: Workspace) -> "subprocess.Popen[bytes]":
    """A process that publishes, its work just begun."""
    command = [sys.executable, "-c", _PUBLISH, str(workspace.root), MODEL, f"rshare:{FOLDER}"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    wait_for_beginning(child)
    return child


def _content(folder: Path) -> Content:
    """The files of a folder that have their final names."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not _HIDDEN.search(name)}
