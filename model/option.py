"""What an option is: its help text, its bounds, and the field of a dataclass that holds them."""

import dataclasses
from collections.abc import Callable
from typing import Any

MAX_TEXT_LENGTH, MAX_PATH_LENGTH, MAX_NAME_LENGTH = 1000, 4096, 100


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """Help text and allowed values of an option.

    Attributes:
        help: one or two sentences, shown in Swagger, in `--help` and in the documentation.
        minimum, maximum: inclusive bounds of a number, in the unit of the option.
        choices: the allowed values; None if any value is allowed.
        find_choices: finds all allowed values when they are needed; those beyond `choices` may change.
        max_length: maximum number of characters of a text; None for other types.
        advanced: whether most users leave the option at its default; see `BASIC_OPTIONS`.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    max_length: int | None = None
    advanced: bool = False
    find_choices: Callable[[], tuple[str, ...]] | None = None

    @property
    def description(self) -> str:
        """The help text, which says whether the option is advanced."""
        return f"Advanced. {self.help}" if self.advanced else self.help


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    max_length: int = MAX_TEXT_LENGTH,
    find_choices: Callable[[], tuple[str, ...]] | None = None,
) -> Any:
    """Dataclass field with an `OptionInfo` in its metadata; `max_length` applies to texts only."""
    is_closed = choices is not None and find_choices is None
    length = (max(map(len, choices or ())) if is_closed else max_length) if isinstance(default, str) else None
    info = OptionInfo(help, minimum, maximum, choices, length, find_choices=find_choices)
    return dataclasses.field(default=default, metadata={"option": info})
