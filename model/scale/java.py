"""Java and pyspark on this machine."""

import dataclasses
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from model.environment import JAVA_HOME
from model.errors import ConfigError
from model.provenance import installed_version

_VERSION = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')
_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Java:
    """Java on this machine: the program, and the number of its version, such as 17."""

    program: str
    version: int


def find_java() -> Java | None:
    """Java in JAVA_HOME, or else on the PATH; None if there is none that starts."""
    home = JAVA_HOME.read()
    program = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if program is None:
        return None
    try:
        ran = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(ran.stderr)
    return Java(program, int(found[1])) if found else None


def required_java(pyspark: str) -> int:
    """Lowest version of Java for a version of pyspark."""
    return 17 if int(pyspark.partition(".")[0]) >= 4 else 8


def spark_version() -> str | None:
    """Version of pyspark; None if it is missing."""
    installed = installed_version("pyspark")
    # spark-submit puts the Python files of its Spark on the path, which are no installed package.
    if installed is not None or importlib.util.find_spec("pyspark") is None:
        return installed
    from pyspark.version import __version__

    return str(__version__)


def require_spark() -> None:
    """Check, before any work is done, that Spark can be started.

    Raises:
        ConfigError: pyspark or Java is missing, or Java is too old.
    """
    pyspark = spark_version()
    if pyspark is None:
        raise ConfigError("expected pyspark for --engine spark, found none. Run: pip install 'topgraft[spark]'")
    java, required = find_java(), required_java(pyspark)
    if java is None:
        raise ConfigError(
            f"expected Java {required} or later for pyspark {pyspark}, found none. Install it (on Debian: apt install "
            "openjdk-17-jre-headless), or set JAVA_HOME."
        )
    if java.version < required:
        raise ConfigError(
            f"expected Java {required} or later for pyspark {pyspark}, found Java {java.version}: {java.program}. "
            "Install a later one, or set JAVA_HOME."
        )
