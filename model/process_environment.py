"""Environment variables of this process by name or prefix, such as those of rclone, which have no row in the table."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping


def set_variables(prefix: str) -> dict[str, str]:
    """Variables whose names begin with `prefix`, without blank ones: name -> text."""
    return {name: text for name, text in os.environ.items() if name.startswith(prefix) and text.strip()}


def named_variables(names: Iterable[str]) -> dict[str, str]:
    """Variables of these names, without blank ones: name -> text."""
    return {name: text for name in names if (text := os.environ.get(name, "")).strip()}


@contextlib.contextmanager
def default_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, of those that are not set or blank, while the block runs."""
    missing = {name: text for name, text in values.items() if name not in named_variables(values)}
    former = {name: os.environ.get(name) for name in missing}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name, text in former.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text


def unset_blank(prefix: str) -> None:
    """Remove the blank variables whose names begin with `prefix` from the environment of this process."""
    for name in [name for name, text in os.environ.items() if name.startswith(prefix) and not text.strip()]:
        del os.environ[name]
