"""Start a program that the system kills when its parent ends, however it ends: `launch.py PARENT PROGRAM ...`.

By a process of its own: between fork and exec of a process with threads, Python code may not run safely.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, *command: str) -> None:
    """Become `command`, to be killed with the process `parent`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the process that wanted this is gone")
    os.execv(command[0], command)  # nosec B606: no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
