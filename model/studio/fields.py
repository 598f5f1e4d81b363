"""Fields of the requests of views: texts, numbers, and the user."""

import getpass
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from model.errors import ConfigError
from model.received import quoted

USER_HEADER = "X-Topgraft-User"
"""Header with the name of the user, percent-encoded."""

_MAX_CHARACTERS = 1000
_MAX_DIGITS = 9


def text_of(fields: Mapping[str, Any], name: str, required: bool = True) -> str:
    """The text of a field, without blanks around it; empty if it is missing.

    Raises:
        ConfigError: it is no text, longer than 1000 characters, or missing although `required`.
    """
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS or (required and not value.strip()):
        raise ConfigError(f"{name}: expected a text of at most {_MAX_CHARACTERS} characters, received {quoted(value)}")
    return value.strip()


def number_of(fields: Mapping[str, str], name: str, default: int = 0) -> int:
    """The number of a field, 0 or more; `default` if it is missing.

    Raises:
        ConfigError: it is something else.
    """
    value = fields.get(name, str(default))
    if not value.isdecimal() or len(value) > _MAX_DIGITS:
        raise ConfigError(f"expected {name} as a number, received {quoted(value)}")
    return int(value)


def user_of(headers: Mapping[str, str], fields: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Who sent a request: the name in the field `by` or in the header, else that of the user who runs the studio."""
    named = {USER_HEADER: unquote(headers.get(USER_HEADER, ""))}
    given = text_of(fields, "by", required=False) or text_of(named, USER_HEADER, required=False)
    return given or _own_name()


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number without a name.
        return ""
