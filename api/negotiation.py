"""Content negotiation of predictions: which content type a request accepts, by RFC 9110, section 12.5.1.

DEEPaaS compares the whole Accept header with one content type, and refuses the headers of most HTTP libraries.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from api.cancellation import is_prediction
from api.errors import NotAcceptable
from api.responses import ACCEPTED_TYPES, ANNOUNCED_AS
from model.received import quoted

# Commas and semicolons inside quoted strings separate nothing.
_QUOTED = r'"(?:\\.|[^"\\])*"?'
_ELEMENT = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PART = re.compile(rf'(?:[^;"]|{_QUOTED})+')
_RANGE = re.compile(r"([\w!#$%&'*+.^`|~-]+)/([\w!#$%&'*+.^`|~-]+)", re.ASCII)
_WEIGHT = re.compile(r"\d*\.?\d+|\d+\.", re.ASCII)

# The only parameter of the answers: their text is UTF-8.
_PARAMETERS = frozenset({("charset", "utf-8")})


class MediaRange(NamedTuple):
    """One element of an Accept header.

    Attributes:
        type, subtype: in lower case; `*` for any.
        parameters: names and values in lower case, without the weight.
        weight: in [0, 1]; 0 excludes the range.
    """

    type: str
    subtype: str
    parameters: frozenset[tuple[str, str]]
    weight: float

    def matches(self, content_type: str) -> bool:
        """Whether the range includes a content type; parameters do not count."""
        kind, _, subtype = content_type.partition("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)

    @property
    def precedence(self) -> int:
        """The higher, the more specific. A range with parameters that no answer has applies where no other does."""
        if not self.parameters <= _PARAMETERS:
            return 0
        return 1 + (self.type != "*") + (self.subtype != "*") + len(self.parameters)


@web.middleware
async def negotiate_content_type(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Replace the Accept header of a prediction by the content type of its answer.

    The query argument `accept`, for clients that cannot set headers, takes precedence over the header.

    Raises:
        NotAcceptable: no content type of the answers is accepted.
    """
    if not is_prediction(request):
        return await handler(request)
    accept = request.query.get("accept") or ", ".join(request.headers.getall("Accept", []))
    chosen = best_content_type(accept, ACCEPTED_TYPES)
    if chosen is None:
        raise NotAcceptable(f"accept: expected one of {', '.join(ACCEPTED_TYPES)}, or */*, received {quoted(accept)}.")
    announced = ANNOUNCED_AS.get(chosen, chosen)
    headers = request.headers.copy()
    headers["Accept"] = announced
    response = await handler(request.clone(headers=headers))
    if response.content_type == announced:
        response.content_type = chosen
    response.headers["Vary"] = "Accept"
    return response


def best_content_type(accept: str, offered: Sequence[str]) -> str | None:
    """The offered content type that an Accept header prefers; None if it accepts none.

    Each type has the weight of the most specific range that includes it. Of types with the same weight, the one
    included by the most specific range is preferred, then the one named first in the header, then in `offered`. An
    empty header accepts anything. Elements that are no media ranges are ignored.

    Args:
        accept: the values of all Accept headers, joined by commas.
        offered: content types in lower case, preferred first.
    """
    if not accept.strip(" \t,"):
        return offered[0]
    ranges = parse_accept(accept)
    preferences = []
    for order, content_type in enumerate(offered):
        matching = [(one.precedence, -place, one) for place, one in enumerate(ranges) if one.matches(content_type)]
        if matching:
            precedence, place, decisive = max(matching)
            preferences.append((decisive.weight, precedence, place, -order))
    weight, *_, order = max(preferences, default=(0.0, 0, 0, 0))
    return offered[-order] if weight > 0 else None


def parse_accept(accept: str) -> list[MediaRange]:
    """The media ranges of an Accept header in their order, without its malformed elements.

    A malformed weight is ignored. `*` alone, which Java sends, means `*/*`.
    """
    ranges = (_media_range(element) for element in _ELEMENT.findall(accept))
    return [one for one in ranges if one is not None]


def _media_range(element: str) -> MediaRange | None:
    name, *parts = (part.strip() for part in _PART.findall(element)) if element.strip() else ("",)
    found = _RANGE.fullmatch("*/*" if name == "*" else name.lower())
    if found is None or (found[1] == "*" and found[2] != "*"):
        return None
    parameters, weight = [], 1.0
    for part in parts:
        key, separator, value = (text.strip() for text in part.lower().partition("="))
        if key == "q":
            weight = min(float(value), 1.0) if _WEIGHT.fullmatch(value) else 1.0
            break  # what follows the weight belongs to no representation
        if separator:
            parameters.append((key, re.sub(r"\\(.)", r"\1", value.strip('"'))))
    return MediaRange(found[1], found[2], frozenset(parameters), weight)
