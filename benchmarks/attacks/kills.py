"""Kills of ten commands at random moments: nothing may be lost, and nothing may be left after the next command.

How: each command is run twice undisturbed, then killed (`kill -9`) again and again at random moments between its first
action and its usual end, always from the same state; one that had ended before is not counted. After each kill, all
models, archives and checksum files must be complete and all of its processes must have ended. Then the next command,
the same again or `resume`, must succeed, and all files and folders (the workspace, the current folder, the temporary
folder, the cache, two remotes, and chunks on their way to Nextcloud) must be those of the undisturbed runs: the same
names, and the same content wherever the two undisturbed runs agree.

Depends on: nothing but the seed of the random moments. `python -m benchmarks.attacks.kills --kills 200` takes half an
hour to an hour on two processors.
"""

import argparse
import dataclasses
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.attacks.scene import DATASET, HEAD, IMPORTED, MODEL, NEW, SMALL, Expected, Scene, expected_of, scene_in
from benchmarks.tables import markdown_table, verdict
from tests.support.kills import TRIES_FOR_A_KILL

KILLS = 200
Command = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Victim:
    """A command to kill.

    Attributes:
        command: arguments of `topgraft`.
        next: arguments of the next command, after a kill.
        prepare: brings the scene into the state before the command.
    """

    name: str
    command: Command
    next: Callable[[Scene], Command]
    prepare: Callable[[Scene], None] = lambda scene: None


@dataclasses.dataclass
class Count:
    """Results of the kills of a command."""

    kills: int = 0
    damaged: int = 0
    failed: int = 0
    left: int = 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"of all commands together (default: {KILLS})")
    parser.add_argument("--commands", nargs="+", choices=[victim.name for victim in VICTIMS], help="only these")
    given = parser.parse_args()
    victims = [victim for victim in VICTIMS if not given.commands or victim.name in given.commands]
    with tempfile.TemporaryDirectory() as directory, scene_in(Path(directory)) as scene:
        scene.keep()
        begin = min(_seconds(scene, ("models", "list")) for _ in range(3))
        # The rest of the division goes to the first commands.
        counts = {
            victim.name: kill(scene, victim, begin, len(range(index, given.kills, len(victims))))
            for index, victim in enumerate(victims)
        }
    print(_table(counts))


def kill(scene: Scene, victim: Victim, begin: float, times: int) -> Count:
    """Kill a command so many times, and check the scene after each.

    Args:
        begin: seconds from the start of a command to its first action.
    """
    victim.prepare(scene)
    expected, usual = _undisturbed(scene, victim)
    moments = random.Random(victim.name)
    count = Count()
    for _ in range(TRIES_FOR_A_KILL * times):
        if count.kills == times:
            return count
        scene.reset()
        process = scene.start(*victim.command)
        time.sleep(moments.uniform(min(begin, usual / 2), usual))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            _check(scene, victim, expected, count)
            print(f"{victim.name}: {count}", file=sys.stderr, flush=True)
    raise RuntimeError(f"expected {times} kills of {victim.name} before its end, came to {count.kills}")


def _undisturbed(scene: Scene, victim: Victim) -> tuple[Expected, float]:
    """Inventory after two undisturbed runs, and the shorter time of a run."""
    scene.keep()
    inventories, seconds = [], []
    for _ in range(2):
        scene.reset()
        seconds.append(_seconds(scene, victim.command))
        inventories.append(scene.inventory())
    return expected_of(*inventories), min(seconds)


def _seconds(scene: Scene, command: Command) -> float:
    started = time.monotonic()
    scene.run(*command)
    return time.monotonic() - started


def _check(scene: Scene, victim: Victim, expected: Expected, count: Count) -> None:
    count.kills += 1
    if damage := scene.damage():
        count.damaged += 1
        print(f"{victim.name}, damaged: {damage}", file=sys.stderr)
    try:
        scene.run(*victim.next(scene))
    except (RuntimeError, psutil.TimeoutExpired) as error:
        count.failed += 1
        print(f"{victim.name}, the next command: {error}", file=sys.stderr)
        return
    if differences := expected.differences(scene.inventory()):
        count.left += 1
        print(f"{victim.name}, after the next command: {differences}", file=sys.stderr)


def _again(*command: str) -> Callable[[Scene], Command]:
    return lambda scene: command


def _resumed(train: Command) -> Callable[[Scene], Command]:
    """Command that completes a training."""

    def command(scene: Scene) -> Command:
        if scene.is_interrupted(NEW):
            return ("resume", NEW)
        return ("models", "list") if NEW in scene.names() else train

    return command


def _imported(scene: Scene) -> Command:
    """The import again; it had succeeded where the model is there."""
    return ("models", "list") if IMPORTED in scene.names() else _IMPORT


def _interrupted(train: Command) -> Callable[[Scene], None]:
    """Kill a training once it has a checkpoint."""

    def prepare(scene: Scene) -> None:
        _without_the_interrupted_training(scene)
        process = scene.start(*train)
        while not any((scene.workspace.running / NEW).rglob("*.ckpt")) and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        process.wait()
        if not scene.ends() or not scene.is_interrupted(NEW):
            raise RuntimeError("expected an interrupted training with a checkpoint")

    return prepare


_TRAIN_HEAD, _TRAIN_ALL = ("train", "--name", NEW, *HEAD), ("train", "--name", NEW, *SMALL)
_IMPORT = ("import", f"{MODEL}.tar.xz", "--name", IMPORTED)


def _victim(name: str, *command: str) -> Victim:
    return Victim(name, command, _again(*command))


def _without_the_interrupted_training(scene: Scene) -> None:
    scene.reset()
    if scene.is_interrupted(NEW):
        scene.run("models", "remove", NEW, "--yes")


VICTIMS = (
    Victim("train", _TRAIN_HEAD, _resumed(_TRAIN_HEAD)),
    Victim("resume", ("resume", NEW), _resumed(_TRAIN_HEAD), _interrupted(_TRAIN_HEAD)),
    Victim("train all layers", _TRAIN_ALL, _resumed(_TRAIN_ALL), _without_the_interrupted_training),
    Victim("resume all layers", ("resume", NEW), _resumed(_TRAIN_ALL), _interrupted(_TRAIN_ALL)),
    Victim("import", _IMPORT, _imported, _without_the_interrupted_training),
    _victim("export", "export", MODEL, "--output", "again.tar.xz"),
    _victim("push to Nextcloud", "push", MODEL, "rshare:models"),
    _victim("push to WebDAV", "push", MODEL, "rdav:models"),
    _victim("pull", "pull", "rdav:photos", "pulled"),
    _victim("publish", "publish", MODEL, "--to", "rshare:published"),
    _victim("promote", "models", "promote", MODEL),
    _victim("predict", "predict", MODEL, f"../workspace/data/{DATASET}", "--output", "predictions.csv"),
)


def _table(counts: dict[str, Count]) -> str:
    rows = [
        [
            name,
            str(count.kills),
            *(
                verdict("0", value == 0) if value == 0 else f"{value}: **missed**"
                for value in (count.damaged, count.failed, count.left)
            ),
        ]
        for name, count in counts.items()
    ]
    total = sum(count.kills for count in counts.values())
    header = ["killed", "kills", "damaged", "next command failed", "something left or lost after it"]
    return markdown_table(header, [*rows, ["all", str(total), "", "", ""]])


if __name__ == "__main__":
    main()
