"""Running one step by doit, unless nothing changed since it was last complete.

doit saves its state at the end of an invocation, and a kill before that forgets all steps of the invocation: each step
is an invocation of its own. The state is replaced as a whole, so that a kill while it is written loses nothing.
"""

import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.files.browsing import name_some
from model.reading import UnreadableError, read_json, unreadable, without_number

INSTALL = 'pip install "topgraft[pipelines]"'

_PACKAGES = ("doit", "papermill", "ipykernel")

log = logging.getLogger(__name__)


def require_extra() -> None:
    """Check that the packages that run pipelines are installed.

    Raises:
        ConfigError: one is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"running a pipeline requires {name_some(missing)}. Install them: {INSTALL}")


def run_if_changed(
    name: str,
    dependencies: Iterable[Path],
    settings: Mapping[str, Any],
    is_forced: bool,
    outputs: Callable[[], Any],
    action: Callable[[], None],
    state: Path,
) -> bool:
    """Call `action`, unless its dependencies, settings and outputs are those of the last success.

    Args:
        dependencies: files; compared by content.
        settings: compared as JSON.
        is_forced: call it also if nothing changed.
        outputs: returns the present content of the outputs as JSON types; None if one is missing.
        action: raises an error if the step fails; it is raised again by this function.
        state: file of doit; may not exist.

    Returns:
        Whether `action` was called.
    """
    from doit.tools import config_changed

    failures: list[BaseException] = []
    called = False

    def is_same(task: Any, values: Mapping[str, Any]) -> bool:
        return not is_forced and values.get("outputs") is not None and values["outputs"] == outputs()

    def act() -> bool:
        nonlocal called
        called = True
        try:
            action()
        except BaseException as error:
            failures.append(error)
            return False
        return True

    task = {
        "basename": name,
        "file_dep": [str(path) for path in dependencies],
        "uptodate": [config_changed(dict(settings)), is_same],
        "actions": [act, lambda: {"outputs": outputs()}],
        "io": {"capture": False},
    }
    status = _invoke(task, state)
    if failures:
        raise failures[0]
    if status != 0:
        raise ConfigError(f"step {name}: doit ended with status {status}, see above.")
    return called


def _invoke(task: Mapping[str, Any], state: Path) -> int:
    """Run a task by doit, and replace the state if it succeeds; the status of doit, 0 for success."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain
    from doit.reporter import ZeroReporter

    written = state.with_name(f"{state.name}.new")
    _copy_state(state, written)
    main = DoitMain(
        ModuleTaskLoader({"task_step": lambda: task}),
        config_filenames=(),
        extra_config={"GLOBAL": {"dep_file": str(written), "backend": "json", "reporter": ZeroReporter}},
    )
    status: int = main.run(["run", task["basename"]])
    if status == 0:
        os.replace(written, state)
    return status


def _copy_state(state: Path, copy: Path) -> None:
    """Copy the state if it can be read; otherwise no step counts as complete."""
    copy.unlink(missing_ok=True)
    if state.exists():
        try:
            with unreadable():
                for values in read_json(state).values():
                    values.items()
        except (OSError, UnreadableError) as error:
            log.warning("%s: cannot be read, all steps run again: %s", state, without_number(error))
            return
        with contextlib.suppress(FileNotFoundError):
            copy.write_bytes(state.read_bytes())
