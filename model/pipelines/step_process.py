"""Child process that runs the notebook of one step with papermill, in a kernel of this environment."""

import os
import sys
from pathlib import Path
from typing import Any

from model import durable
from model.errors import TrainingError
from model.pipelines.notebooks import failed_cell
from model.pipelines.steps import ParameterValue
from model.process_environment import named_variables
from model.processes import answer_parent, python_environment, run_child
from model.reading import read_json
from model.scratch import scratch_folder

# The name in the notebooks; the folder of our specification comes before those of other environments.
KERNEL = "python3"

_SECONDS_TO_START = 300
_ORDER = "order.json"


def run_notebook(
    notebook: Path, executed: Path, parameters: dict[str, ParameterValue], folder: Path, variables: dict[str, str]
) -> dict[str, Any]:
    """Run a notebook in a child process, which ends with this one.

    Args:
        executed: file for the notebook with its outputs.
        parameters: values for its cell with the tag `parameters`.
        folder: working folder.
        variables: environment variables for the notebook.

    Returns:
        Empty, or what failed: `cell`, `source`, `output`, `name` and `value` of the error.

    Raises:
        TrainingError: the process was killed.
    """
    with scratch_folder("step") as scratch:
        order = {
            "notebook": notebook,
            "executed": executed,
            "parameters": parameters,
            "folder": folder,
            "variables": variables,
        }
        durable.write_json(scratch / _ORDER, order)
        answer: dict[str, Any] = run_child(
            "model.pipelines.step_process", scratch, task=f"notebook {notebook.name}", failure=TrainingError
        )
        return answer


def _run(scratch: Path) -> dict[str, Any]:
    order = read_json(scratch / _ORDER, file_names=True)
    os.environ.update(_kernel_environment(scratch) | order["variables"])
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    executed = Path(order["executed"])
    try:
        papermill.execute_notebook(
            order["notebook"],
            str(executed),
            order["parameters"],
            kernel_name=KERNEL,
            progress_bar=False,
            start_timeout=_SECONDS_TO_START,
            cwd=order["folder"],
        )
    except PapermillExecutionError as error:
        return _failed(executed, error.ename, error.evalue)
    except DeadKernelError:
        return _failed(executed, "the kernel ended", "the system kills a process when memory runs out")
    return {}


def _failed(executed: Path, name: str, value: str) -> dict[str, Any]:
    cell = failed_cell(executed)
    place = {"cell": 0, "source": "", "output": ""}
    if cell is not None:
        place = {"cell": cell.number, "source": cell.source, "output": cell.output}
    return place | {"name": name, "value": value}


def _kernel_environment(scratch: Path) -> dict[str, str]:
    """Variables with which papermill starts the Python of this environment, without the user's start-up files."""
    specification = {
        "argv": [sys.executable, "-m", "model.pipelines.kernel", "-f", "{connection_file}", "--log-level=CRITICAL"],
        "display_name": "Python 3",
        "language": "python",
    }
    kernels = scratch / "kernels" / KERNEL
    kernels.mkdir(parents=True)
    durable.write_json(kernels / "kernel.json", specification)
    paths = [str(scratch), *named_variables(["JUPYTER_PATH"]).values()]
    return {
        "JUPYTER_PATH": os.pathsep.join(paths),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "PYTHONPATH": python_environment()["PYTHONPATH"],
    }


if __name__ == "__main__":
    sys.exit(answer_parent(lambda: _run(Path(sys.argv[1])), "notebook"))
