"""Faults of real trainings, which are then resumed; no model may be lost.

How: a small network is trained on synthetic photos, by the command or by a service. At a random moment a fault is
injected. Then `topgraft resume`, or the train option `resume`, resumes the training; a training that had not begun is
started again. A model counts as lost unless the result is complete: every file has the checksum of the manifest, and
results.csv (without times) and the predictions equal those of an undisturbed training. No incomplete model may be
listed in between. `kill -9` is applied to three kinds of training, since each resumes from other files; all other
faults to the training from random weights, which writes the most. Features are extracted again in each training. A
fault without effect, such as hiding photos that were already read, counts as tried but not as met; a damaged
checkpoint must be reported.

Depends on: nothing but the seed of the random moments. `python -m benchmarks.faults --kills 50` takes about
half an hour on two processors.
"""

import argparse
import csv
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from benchmarks.server import Server, running_server
from benchmarks.tables import markdown_table, verdict
from model.errors import TopgraftError
from model.registry import find_bundle, model_names
from model.runs import interrupted_trainings
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace, cache_directory
from tests.support.processes import processes_below, program

NAME = "model"
DATASET = "signs"
IMAGES_PER_CLASS = 5
Options = dict[str, str | int]
EVERY_TRAINING: Options = {"dataset": DATASET, "name": NAME, "checkpoint_minutes": 0, "batch_size": 8, "epochs": 4}
FROM_RANDOM_WEIGHTS = EVERY_TRAINING | {"backbone": "MobileNetV3Small", "weights": "none", "image_size": 32}
FROZEN = EVERY_TRAINING | {"image_size": 96, "augmentation": "light"}
FINE_TUNED = EVERY_TRAINING | {"image_size": 64, "fine_tune": "top", "fine_tune_epochs": 3}
KILLS, REPEATS = 50, 3
FULL_DISK_BYTES = 500_000
SECONDS_AWAY = 60.0
LOG = "command.log"
PATIENCE = 1200.0
SECONDS_TO_END = 5.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a training.

    Attributes:
        name: label of its row in the table.
        happen: injects the fault into the running command and reverts it where necessary; returns whether the fault
            had an effect.
        repeats: number of random moments.
        reported: text required in the log of the resuming command; empty: none.
    """

    name: str
    happen: Callable[[psutil.Popen, Workspace], bool]
    repeats: int
    reported: str = ""


@dataclasses.dataclass
class Count:
    """Results of the trials of one fault."""

    trials: int = 0
    met: int = 0
    ended: int = 0
    lost: int = 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often kill -9 is tried (default: {KILLS})")
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        workspace = Workspace(Path(directory))
        workspace.models.mkdir()
        write_demo_dataset(workspace.data / DATASET, IMAGES_PER_CLASS)
        counts = {}
        for kind, options in (("fine-tuned", FINE_TUNED), ("a frozen backbone", FROZEN)):
            fault = Fault(f"`kill -9`, {kind}", _send(signal.SIGKILL), kills * 3 // 10)
            counts[fault.name] = _Trials(workspace, options).by_command(fault)
        trials = _Trials(workspace, FROM_RANDOM_WEIGHTS)
        fault = Fault("`kill -9`, from random weights", _send(signal.SIGKILL), kills - 2 * (kills * 3 // 10))
        counts[fault.name] = trials.by_command(fault)
        counts |= {fault.name: trials.by_command(fault) for fault in OTHER_FAULTS}
        counts |= trials.by_service()
    print(_table(counts))


class _Trials:
    """Trainings of the same options in one workspace, one after the other."""

    def __init__(self, workspace: Workspace, options: Options) -> None:
        self._workspace = workspace
        self._options = options
        self._moments = random.Random(0)
        # The first one also fills the cache of converted backbones.
        for _ in range(2):
            started = time.monotonic()
            self._run("train", *self._flags())
            self._seconds = time.monotonic() - started
            self._expected = self._outcome()
            self._clear()

    def by_command(self, fault: Fault) -> Count:
        """Apply the fault to `topgraft train` at random moments, then resume and check the model."""
        count = Count()
        for _ in range(fault.repeats):
            training = self._start("train", *self._flags())
            time.sleep(self._moments.uniform(0, self._seconds))
            count.trials += 1
            met = training.poll() is None and fault.happen(training, self._workspace)
            count.met += met
            count.ended += training.wait(PATIENCE) != 0
            recovered = self._is_recovered(lambda command: self._run(*command))
            count.lost += not (recovered and (fault.reported in self._log.read_text() or not met))
            self._clear()
            print(f"{fault.name}: {count}", file=sys.stderr, flush=True)
        return count

    def by_service(self) -> dict[str, Count]:
        """Kill the child process of a training of a service, as the system does when out of memory, or DELETE it."""
        counts = {
            "service: the training's process killed, as for memory": Count(),
            "service: DELETE of the training": Count(),
        }
        ways = ((_kill_child, "killed"), (_delete, "cancelled"))
        query = _query(self._options)
        with running_server("topgraft", self._workspace.root, TOPGRAFT_TENSORBOARD="0") as server:
            for count, (strike, state) in zip(counts.values(), ways, strict=True):
                for _ in range(REPEATS):
                    uuid = server.request("POST", f"/train/?{query}")["uuid"]
                    _wait_for_training(self._workspace)
                    time.sleep(self._moments.uniform(0, self._seconds / 2))
                    count.trials += 1
                    strike(server, uuid)
                    ended = _ended_as(state, self._workspace)
                    count.met += ended
                    count.ended += ended
                    count.lost += not self._is_recovered(lambda command: _resume_by_http(server, command, query))
                    self._clear()
        return counts

    def _is_recovered(self, resume_it: Callable[[Sequence[str]], None]) -> bool:
        listed = model_names(self._workspace)
        if not listed:
            interrupted = [status.name for status in interrupted_trainings(self._workspace)]
            command = ["resume", NAME] if interrupted else ["train", *self._flags()]
            try:
                resume_it(command)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                return False
        try:
            find_bundle(self._workspace, NAME).verify()
        except TopgraftError as error:
            print(error, file=sys.stderr)
            return False
        return self._outcome() == self._expected

    def _outcome(self) -> tuple[list[dict[str, str]], list[str]]:
        """Rows of results.csv without their times, and the predictions for the held-out images."""
        model = self._workspace.models / NAME
        with open(model / "results.csv", newline="", encoding="utf-8") as stream:
            rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]
        return rows, [path.read_text(encoding="utf-8") for path in sorted((model / "predictions").iterdir())]

    def _run(self, *arguments: str) -> None:
        if self._start(*arguments).wait(PATIENCE) != 0:
            raise RuntimeError(f"topgraft {' '.join(arguments)} failed, see {self._log}:\n{self._log.read_text()}")

    def _start(self, *arguments: str) -> psutil.Popen:
        with open(self._log, "wb") as log:
            return psutil.Popen(
                [program("topgraft"), "--workspace", str(self._workspace.root), *arguments],
                stdout=log,
                stderr=log,
                # Background jobs of a shell ignore SIGINT.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def _flags(self) -> list[str]:
        return [part for name, value in self._options.items() for part in (f"--{name.replace('_', '-')}", str(value))]

    @property
    def _log(self) -> Path:
        return self._workspace.root / LOG

    def _clear(self) -> None:
        names = [*model_names(self._workspace), *(s.name for s in interrupted_trainings(self._workspace))]
        for name in names:
            self._run("models", "remove", "--yes", name)
        shutil.rmtree(cache_directory() / "features", ignore_errors=True)


def _send(number: signal.Signals) -> Callable[[psutil.Popen, Workspace], bool]:
    def happen(training: psutil.Popen, workspace: Workspace) -> bool:
        training.send_signal(number)
        return training.wait(PATIENCE) != 0

    return happen


def _kill_and_damage(damage: Callable[[bytes], bytes]) -> Callable[[psutil.Popen, Workspace], bool]:
    """Create a fault: once a checkpoint exists, kill the training and damage its last checkpoint."""

    def happen(training: psutil.Popen, workspace: Workspace) -> bool:
        while not _checkpoints(workspace) and training.poll() is None:
            time.sleep(0.01)
        training.kill()
        training.wait()
        checkpoints = _checkpoints(workspace)
        if checkpoints:
            checkpoints[-1].write_bytes(damage(checkpoints[-1].read_bytes()))
        return bool(checkpoints)

    return happen


def _checkpoints(workspace: Workspace) -> list[Path]:
    return sorted((workspace.running / NAME / "work" / "checkpoints").glob("*.ckpt"))


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 4]) + content[middle + 4 :]


def _fill_disk(training: psutil.Popen, workspace: Workspace) -> bool:
    """Limit the size of files, so that writing fails as on a full disk."""
    training.rlimit(psutil.RLIMIT_FSIZE, (FULL_DISK_BYTES, psutil.RLIM_INFINITY))
    return training.wait(PATIENCE) != 0


def _hide_photos(training: psutil.Popen, workspace: Workspace) -> bool:
    """Hide the photos for a minute, or until the training has ended."""
    photos, away = workspace.data / DATASET, workspace.root / "unmounted"
    photos.rename(away)
    try:
        training.wait(SECONDS_AWAY)
    except psutil.TimeoutExpired:
        pass
    finally:
        away.rename(photos)
    return "trying again in" in (workspace.root / LOG).read_text(encoding="utf-8")


def _kill_child(server: Server, uuid: str) -> None:
    """Kill the child with SIGKILL, as the system does when memory runs out."""
    for child in processes_below(server.process, "model.runs.process"):
        child.kill()


def _delete(server: Server, uuid: str) -> None:
    server.request("DELETE", f"/train/{uuid}")


def _resume_by_http(server: Server, command: Sequence[str], query: str) -> None:
    server.train(_query({"resume": NAME}) if command[0] == "resume" else query)


def _wait_for_training(workspace: Workspace) -> None:
    """Wait until the child has written its first status."""
    status = workspace.running / NAME / "status.json"
    deadline = time.monotonic() + PATIENCE
    while not (status.exists() and json.loads(status.read_text(encoding="utf-8"))["phase"] != "start"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the training did not start within {PATIENCE:.0f} s")
        time.sleep(0.05)


def _ended_as(state: str, workspace: Workspace) -> bool:
    """Whether the training ends in that state within five seconds; false if it had completed a model."""
    deadline = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < deadline:
        if model_names(workspace):
            return False
        if any(status.state == state for status in interrupted_trainings(workspace)):
            return True
        time.sleep(0.05)
    raise TimeoutError(f"expected the training to be {state} within {SECONDS_TO_END:.0f} s")


def _query(options: Options) -> str:
    return "&".join(f"{name}={value}" for name, value in options.items())


def _table(counts: dict[str, Count]) -> str:
    rows = [
        [
            name,
            str(count.trials),
            str(count.met),
            str(count.ended),
            verdict("0", count.lost == 0) if count.met else "never met a training",
        ]
        for name, count in counts.items()
    ]
    return markdown_table(["fault", "tried", "hit a running training", "stopped it", "models lost: goal"], rows)


OTHER_FAULTS = (
    Fault("SIGTERM", _send(signal.SIGTERM), REPEATS),
    Fault("Ctrl-C", _send(signal.SIGINT), REPEATS),
    Fault("`kill -9`, and the newest checkpoint cut in half", _kill_and_damage(_cut), REPEATS, "is damaged"),
    Fault("`kill -9`, and bits flipped in the newest checkpoint", _kill_and_damage(_flip), REPEATS, "is damaged"),
    Fault("the disk is full", _fill_disk, REPEATS),
    Fault("the folder of photos vanishes for a minute", _hide_photos, REPEATS),
)


if __name__ == "__main__":
    main()
