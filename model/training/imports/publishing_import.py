"""What every import does: it takes a name, works out of sight, and publishes a whole model or leaves nothing."""

import contextlib
import shutil
from collections.abc import Iterator

from model.config import is_model_name
from model.errors import ConfigError
from model.trainings import Reservation, reserve_import
from model.workspace import Workspace


@contextlib.contextmanager
def importing_as(name: str, workspace: Workspace) -> Iterator[Reservation]:
    """A place for a model of that name, which is published at the end of the block; after an error nothing stays.

    Raises:
        ConfigError: the name is in use, or cannot be a model's.
    """
    if not is_model_name(name):
        raise ConfigError(
            "name: expected at most 100 letters, digits, '.', '-' or '_', beginning with a letter or digit, and not "
            f"'latest'. Received: {name!r}. Choose one with --name."
        )
    reservation = reserve_import(name, workspace)
    with reservation.lock:
        try:
            reservation.work.mkdir()
            yield reservation
            reservation.publish()
        except BaseException:
            shutil.rmtree(reservation.directory, ignore_errors=True)
            raise
