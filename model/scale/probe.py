"""Probe of the executors of Spark. It is sent by value: an executor without our package can run it."""

from collections.abc import Mapping
from typing import Any

DECODERS = ("pillow", "pyarrow", "imagecodecs", "pillow-heif", "tifffile", "pydicom")
"""Packages that read photos and parts; the last one is optional."""

COMPARED = ("topgraft", "numpy", "onnxruntime", *DECODERS)
"""Packages whose versions are the same in the driver and the executors."""


def describe_executor(_number: int) -> dict[str, Any]:
    """Description of the executor that runs this; see `describe_process`."""
    import time

    # While this task waits, the next one goes to another executor.
    time.sleep(0.2)
    return describe_process()


def describe_process() -> dict[str, Any]:
    """Description of this process: its host, and the versions of Python and of some packages.

    Returns:
        `host`, `python`, and `versions`: package -> version, empty if it is missing.
    """
    # Inside the function, because its module is not imported by the executor.
    import importlib.metadata
    import platform
    import socket

    versions = {}
    for name in COMPARED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return {"host": socket.gethostname(), "python": platform.python_version(), "versions": versions}


def differences(driver: Mapping[str, Any], executor: Mapping[str, Any]) -> list[str]:
    """What makes results of an executor differ from those of the driver, in words."""
    found = []
    if driver["python"].rpartition(".")[0] != executor["python"].rpartition(".")[0]:
        found.append(f"Python {executor['python']} instead of {driver['python']}")
    for name, version in driver["versions"].items():
        other = executor["versions"].get(name, "")
        if other != version:
            found.append(f"{name} {other} instead of {version}" if other else f"no {name}, expected {version}")
    return found
