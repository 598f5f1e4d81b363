"""Problems of a pipeline, which are reported together."""

from collections.abc import Sequence

from model.errors import ConfigError
from model.received import listed

_MAX_PROBLEMS = 50


def raise_problems(problems: Sequence[str]) -> None:
    """Raise the problems as one error, a line for each.

    Raises:
        ConfigError: there is a problem.
    """
    if problems:
        raise ConfigError(listed(problems, "\n", _MAX_PROBLEMS))
