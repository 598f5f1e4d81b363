"""The choice of an engine by its name."""

import contextlib
from collections.abc import Iterator

from model.config import ENGINES
from model.errors import ConfigError
from model.received import quoted
from model.scale.chunk_run import Engine
from model.scale.local import run_locally


@contextlib.contextmanager
def started_engine(name: str, master: str = "") -> Iterator[Engine]:
    """An engine, ready for work while the block runs.

    Args:
        name: one of `model.config.ENGINES`.
        master: see `model.scale.spark.spark_engine`.

    Raises:
        ConfigError: there is no such engine, or it cannot be started.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine: expected one of {', '.join(ENGINES)}, received {quoted(name)}.")
    if name == "local":
        yield run_locally
        return
    from model.scale.spark import spark_engine

    with spark_engine(master) as engine:
        yield engine
