"""Kernel of Jupyter that runs the notebook of a step, and ends with the process that started it."""

import os

from model.process_environment import named_variables
from model.processes import die_with_parent

# jupyter_client sets it for the kernels that it starts.
_PARENT = "JPY_PARENT_PID"


def main() -> None:
    """Run the kernel; its arguments are those of ipykernel."""
    die_with_parent(int(named_variables([_PARENT]).get(_PARENT, os.getppid())))
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()
