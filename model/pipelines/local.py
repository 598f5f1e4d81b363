"""Runs of pipelines on this machine: unchanged steps are skipped, and a killed run is resumed by the same command.

<folder>/                inputs and outputs of the steps, which run in it
<folder>/notebooks/      the executed notebooks
<folder>/run.json        what each step did, written after each change
<folder>/.steps/         state of doit, manifests, what was sent, names of the files that runs have written, lock
"""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from model import __version__, durable
from model.errors import ConfigError, StepError, TopgraftError
from model.files.browsing import name_some
from model.locks import FileLock
from model.pipelines import step_process
from model.pipelines.automation import RUN_FILE
from model.pipelines.manifests import Content, Manifests
from model.pipelines.notebooks import code_cells
from model.pipelines.outcome import step_error
from model.pipelines.own_files import OwnFiles, check_read_outputs, executed_name, written_files
from model.pipelines.parameters import Value, check_notebooks, located_values, parameter_values
from model.pipelines.sending import sender_of
from model.pipelines.steps import ParameterValue, Pipeline, Step
from model.pipelines.unchanged import require_extra, run_if_changed
from model.process_environment import named_variables
from model.provenance import utc_now
from model.reading import with_path, without_number
from model.received import did_you_mean, quoted
from model.storage.places import is_remote

_STATE_FOLDER = ".steps"
_UNGUARDED = "Do not start two runs of a pipeline in this folder at the same time."

StepState = Literal["pending", "running", "done", "unchanged", "not run", "failed"]


@dataclasses.dataclass
class StepRecord:
    """What a run did with a step.

    Attributes:
        state: pending, running, done, unchanged (skipped), "not run" (before the step of `--from`) or failed.
        seconds: duration, of a step that ran.
        outputs: content of its outputs, of a step that is done or unchanged.
        sent: names of its files that were sent to the destination of the run.
        error: the message of a step that failed.
    """

    name: str
    state: StepState = "pending"
    seconds: float | None = None
    outputs: dict[str, Content] = dataclasses.field(default_factory=dict)
    sent: list[str] = dataclasses.field(default_factory=list)
    error: str = ""


@dataclasses.dataclass
class PipelineRun:
    """A run of a pipeline; run.json has the same fields.

    Attributes:
        folder: working folder of the steps.
        parameters: name -> value and its source.
        destination: folder that outputs are sent to; empty if there is none.
        state: running, done, or failed; a killed run stays at running.
        exit_status: exit status of the failed step, or of what could not be sent; 0 otherwise.
    """

    pipeline: str
    file: str
    folder: str
    parameters: dict[str, Value]
    steps: list[StepRecord]
    destination: str = ""
    state: Literal["running", "done", "failed"] = "running"
    started: str = ""
    seconds: float = 0.0
    exit_status: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        converted: dict[str, Any] = durable.to_json(dataclasses.asdict(self))
        return converted


def run_pipeline(
    pipeline: Pipeline,
    given: Mapping[str, str],
    folder: Path,
    root: Path,
    start: str = "",
    only: str = "",
    on_start: Callable[[StepRecord], None] = lambda record: None,
    on_end: Callable[[StepRecord], None] = lambda record: None,
) -> PipelineRun:
    """Run the steps of a pipeline that changed since they were last complete in the folder.

    A step is complete if its notebook, parameters, inputs and outputs are those of its last success. If a step writes
    the same outputs as before, the steps after it are not run again. What is sent to a folder in remote storage is sent
    after each step; a step that could not be sent is complete nevertheless.

    Args:
        given: names and texts of parameters.
        folder: working folder; created if missing.
        root: folder that defaults of parameters that name files are relative to.
        start: name of a step that runs even if nothing changed. Only it and the steps that depend on it are run.
        only: name of the only step that runs, even if nothing changed; its inputs must be in the folder.
        on_start, on_end: called before and after each step.

    Raises:
        ConfigError: parameters, notebooks or files cannot be used, another run uses the folder, or the folder has files
            of the user with the names of outputs; nothing ran.
        StepError: a step failed.
        StorageError: outputs could not be sent; all steps are complete. Or they cannot be: nothing ran.
    """
    require_extra()
    values = parameter_values(pipeline, given)
    check_notebooks(pipeline)
    chosen = _chosen_steps(pipeline, start, only)
    parameters = located_values(chosen, values, root)
    if pipeline.delivery is not None:
        for passed in parameters.values():
            if pipeline.delivery.parameter in passed:
                # The run sends what they write. In Elyra, where there is no run, the notebooks do.
                passed[pipeline.delivery.parameter] = ""
    with _locked(folder) as state_folder:
        run = PipelineRun(
            pipeline=pipeline.name,
            file=str(pipeline.file),
            folder=str(folder),
            parameters=values,
            steps=[StepRecord(step.name, "pending" if step in chosen else "not run") for step in pipeline.steps],
            started=utc_now(),
        )
        _check_earlier_outputs(pipeline, chosen, folder, "--only" if only else "--from")
        check_read_outputs(chosen, parameters, folder)
        own_files = OwnFiles(folder, state_folder / "written.json")
        own_files.check([RUN_FILE, *(name for step in chosen for name in written_files(step))])
        manifests = _manifests(state_folder)
        # Each pod of a cluster runs one step in a new folder, also when it is tried again.
        keeps_others = not only
        sent = state_folder / "sent.json"
        sender = sender_of(pipeline, values, chosen, folder, sent, manifests, keeps_others)
        if sender is not None:
            run.destination = sender.destination
        own_files.add([RUN_FILE])
        state = state_folder / "state.json"
        runner = _Runner(pipeline, run, folder, state, manifests, parameters, only or start, own_files)
        with runner.recorded():
            for step in chosen:
                record = runner.record(step)
                on_start(record)
                try:
                    runner.run(step, record)
                    if sender is not None:
                        record.sent = sender.send(step)
                finally:
                    on_end(record)
            if sender is not None:
                sender.raise_error()
    return run


class _Runner:
    """Runs steps, each as one invocation of doit, and records them in run.json."""

    def __init__(
        self,
        pipeline: Pipeline,
        run: PipelineRun,
        folder: Path,
        state: Path,
        manifests: Manifests,
        parameters: Mapping[str, dict[str, ParameterValue]],
        start: str,
        own_files: OwnFiles,
    ) -> None:
        self._own_files = own_files
        self._pipeline, self._run, self._folder, self._start = pipeline, run, folder, start
        self._state, self._manifests = state, manifests
        self._parameters = parameters

    def record(self, step: Step) -> StepRecord:
        """Record of a step in the run."""
        return next(record for record in self._run.steps if record.name == step.name)

    def write(self) -> None:
        """Write run.json."""
        durable.write_json(self._folder / RUN_FILE, self._run.to_json())

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record in run.json how the steps that run inside end."""
        run = self._run
        clock = time.perf_counter()
        try:
            yield
            run.state = "done"
        except BaseException as error:
            run.state = "failed"
            if isinstance(error, TopgraftError):
                run.exit_status = error.exit_status
            raise
        finally:
            run.seconds = round(time.perf_counter() - clock, 1)
            self.write()

    def run(self, step: Step, record: StepRecord) -> None:
        """Run a step, or skip it if nothing changed.

        Raises:
            StepError: it failed.
        """
        record.state = "running"
        self.write()
        clock = time.perf_counter()
        try:
            self._check_inputs(step)
            parameters = self._parameters[step.name]
            has_run = run_if_changed(
                step.name,
                self._dependencies(step),
                {
                    "parameters": parameters,
                    "outputs": step.outputs,
                    "environment": _variables(step),
                    "version": __version__,
                },
                # The content of a remote file is not known before the step has read it.
                step.name == self._start or any(is_remote(str(parameters[name])) for name in step.reads),
                lambda: self._written_outputs(step),
                lambda: self._execute(step),
                self._state,
            )
        except BaseException as error:
            record.state = "failed"
            record.error = with_path(error) or type(error).__name__
            record.seconds = round(time.perf_counter() - clock, 1)
            raise
        record.state = "done" if has_run else "unchanged"
        record.seconds = round(time.perf_counter() - clock, 1) if has_run else None
        record.outputs = {name: self._manifests.content(self._folder / name) for name in step.outputs}
        self.write()

    def _check_inputs(self, step: Step) -> None:
        for name in step.inputs:
            if not (self._folder / name).exists():
                maker = self._pipeline.producer(name).name
                raise StepError(
                    f"step {step.name}: expected the input {quoted(name)}, which the step {maker} makes, found none in "
                    f"{self._folder}. Run the pipeline again from there: --from {maker}"
                )

    def _dependencies(self, step: Step) -> list[Path]:
        located = [str(self._parameters[step.name][name]) for name in step.reads]
        paths = [
            self._pipeline.notebook(step),
            *(self._folder / name for name in step.inputs),
            *(Path(text) for text in located if text and not is_remote(text)),
        ]
        try:
            return [self._manifests.write(path) for path in paths]
        except OSError as error:
            raise StepError(f"step {step.name}: an input cannot be read: {with_path(error)}") from error

    def _written_outputs(self, step: Step) -> dict[str, str] | None:
        """Checksums of the outputs; None if one is missing or empty."""
        with contextlib.suppress(OSError):
            found = {name: self._manifests.content(self._folder / name) for name in step.outputs}
            if all(content.files for content in found.values()):
                return {name: content.sha256 for name, content in found.items()}
        return None

    def _execute(self, step: Step) -> None:
        self._own_files.add(written_files(step))
        for name in step.outputs:
            # What an earlier run has left must not pass for an output of this one.
            _remove(self._folder / name)
        notebook = self._pipeline.notebook(step)
        executed = self._folder / executed_name(step)
        executed.parent.mkdir(exist_ok=True)
        parameters = self._parameters[step.name]
        failed = step_process.run_notebook(notebook, executed, parameters, self._folder, _variables(step))
        if failed:
            raise step_error(step, notebook, executed, failed)
        missing = [name for name in step.outputs if not _is_written(self._folder / name)]
        if missing:
            raise StepError(
                f"step {step.name}: expected the outputs {name_some(missing)} in {self._folder} after its "
                f"{len(code_cells(notebook))} code cells, found none. Write them in {notebook}, or correct `outputs` "
                f"in {self._pipeline.file}."
            )


def _variables(step: Step) -> dict[str, str]:
    """Variables of a step; one that is set on this machine is kept."""
    return dict(step.environment) | named_variables(name for name, _ in step.environment)


def _chosen_steps(pipeline: Pipeline, start: str, only: str) -> list[Step]:
    """Steps to run, in order: all, `start` and those that depend on it, or `only`."""
    names = [step.name for step in pipeline.steps]
    for option, name in (("--from", start), ("--only", only)):
        if name and name not in names:
            hint = did_you_mean(name, names)
            raise ConfigError(f"{option}: expected one of the steps {', '.join(names)}, received {quoted(name)}.{hint}")
    if only:
        return [step for step in pipeline.steps if step.name == only]
    if not start:
        return list(pipeline.steps)
    chosen: list[Step] = []
    for step in pipeline.steps:
        if step.name == start or not set(pipeline.dependencies(step)).isdisjoint(chosen):
            chosen.append(step)
    return chosen


def _check_earlier_outputs(pipeline: Pipeline, chosen: Sequence[Step], folder: Path, option: str) -> None:
    """Check that the steps that are not run have left what the others read.

    Raises:
        ConfigError: outputs are missing.
    """
    made = {name for step in chosen for name in step.outputs}
    needed = dict.fromkeys(name for step in chosen for name in step.inputs if name not in made)
    missing = [name for name in needed if not _is_written(folder / name)]
    if missing:
        makers = dict.fromkeys(pipeline.producer(name).name for name in missing)
        raise ConfigError(
            f"{option}: expected {name_some(missing)} in {folder}, found none. Run {name_some(list(makers))} first: "
            f"leave out {option}, or name an earlier step."
        )


def _manifests(state_folder: Path) -> Manifests:
    folder = state_folder / "manifests"
    folder.mkdir(exist_ok=True)
    return Manifests(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder of the state, created and locked.

    Raises:
        ConfigError: another run uses the folder, or it is no folder.
    """
    state = folder / _STATE_FOLDER
    try:
        state.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(
            f"expected a folder for the run, received {quoted(str(folder))}: {without_number(error)}"
        ) from error
    try:
        lock = FileLock.take(state / "lock", _UNGUARDED)
    except BlockingIOError as error:
        raise ConfigError(
            f"{folder}: another run of a pipeline uses this folder. Wait for its end, or choose another folder with "
            "--directory."
        ) from error
    with lock:
        yield state


def _is_written(path: Path) -> bool:
    """Whether an output exists; of a folder, whether it has an entry."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
