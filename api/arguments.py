"""Middleware of the server that refuses values which DEEPaaS would drop without notice.

DEEPaaS takes the first value of each argument and ignores all others: a second file, a misspelled option, a body that
is neither a form nor JSON.
"""

import functools
import itertools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from api.errors import BadRequest
from api.schemas import predict_fields, train_fields
from model.received import quoted, similar

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_JSON = re.compile(r"application/(.+\+)?json")
_ZIP = "Send several photos as one zip: image=@photos.zip"
_MAX_SHOWN = 60
_MAX_LISTED = 5
_MAX_CHECKED = 50


class Given(NamedTuple):
    """A value of a request: its argument, and where it was sent (query, form or JSON)."""

    name: str
    place: str
    value: Any

    @property
    def is_file(self) -> bool:
        """Whether the value is an uploaded file."""
        return isinstance(self.value, web.FileField)

    @property
    def shown(self) -> str:
        """The value for a message."""
        text = quoted(self.value.filename)[1:-1] if self.is_file else quoted(self.value)
        return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, repeated names included."""


@web.middleware
async def check_arguments(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a prediction or training with a value that would have no effect.

    Raises:
        BadRequest: the message lists the first such values.
    """
    known = _arguments(request)
    if known:
        problems = itertools.islice(_problems(await _given(request), known), _MAX_CHECKED)
        if listed := list(dict.fromkeys(problems)):
            raise BadRequest("\n".join(listed[:_MAX_LISTED]))
    return await handler(request)


def reuse_argument_schemas() -> None:
    """Let DEEPaaS parse all requests with one schema of each action; it would create one for each request."""
    module = sys.modules.get("webargs.aiohttpparser")
    # A version of webargs without this method creates them as before.
    create = None if module is None else getattr(module.parser, "_get_schema", None)
    if module is None or create is None or hasattr(module.parser, "topgraft_schemas"):
        return
    schemas: dict[Any, Any] = {}

    def get_schema(arguments: Any, request: web.Request) -> Any:
        if not isinstance(arguments, type):
            return create(arguments, request)
        if arguments not in schemas:
            schemas[arguments] = create(arguments, request)
        return schemas[arguments]

    module.parser.topgraft_schemas = schemas
    module.parser._get_schema = get_schema


def _arguments(request: web.Request) -> frozenset[str]:
    """Arguments of the requested action; empty for any other request."""
    action = request.path.rstrip("/").rpartition("/")[2]
    return _ARGUMENTS[action]() if request.method == "POST" and action in _ARGUMENTS else frozenset()


_ARGUMENTS = {
    "predict": functools.cache(lambda: frozenset(predict_fields())),
    "train": functools.cache(lambda: frozenset(train_fields())),
}


async def _given(request: web.Request) -> list[Given]:
    """All values of a request, in the order in which DEEPaaS looks for them."""
    given = [Given(name, "query", value) for name, value in request.query.items()]
    if request.content_type in _FORMS:
        given += [Given(name, "form", value) for name, value in (await request.post()).items()]
    elif request.body_exists and _JSON.fullmatch(request.content_type):
        pairs = json.loads(await request.text(), object_pairs_hook=_Pairs)
        if not isinstance(pairs, _Pairs):
            raise BadRequest('expected a JSON object such as {"url": "https://..."}, received other JSON.')
        given += [Given(name, "JSON", value) for name, value in pairs]
    elif request.body_exists and await request.read():
        raise BadRequest(
            f"expected a form or JSON, received a body of the type {quoted(request.content_type)[1:-1]}. Send a photo "
            "as a file of a form: curl -F image=@photo.jpg"
        )
    return given


def _problems(given: list[Given], known: frozenset[str]) -> Iterator[str]:
    files = [one for one in given if one.is_file]
    if "image" in known and len(files) > 1:
        names = ", ".join(one.shown for one in files[:_MAX_LISTED])
        yield f"image: expected one file, received {len(files)}: {names}. {_ZIP}"
        return
    yield from _misplaced(given, known)
    by_name = defaultdict(list)
    for one in given:
        if one.value not in ("", None):
            by_name[one.name].append(one)
    for name, values in by_name.items():
        if len(values) > 1:
            received = ", ".join(f"{one.shown} ({one.place})" for one in values[:_MAX_LISTED])
            advice = f" {_ZIP}" if name in ("image", "url") else ""
            yield f"{name}: expected one value, received {len(values)}: {received}.{advice}"


def _misplaced(given: list[Given], known: frozenset[str]) -> Iterator[str]:
    """Values of unknown arguments, and values in a place where DEEPaaS does not look for them."""
    for name, place, value in given:
        is_file = isinstance(value, web.FileField)
        if is_file and "image" not in known:
            yield (
                f"{name}: expected no file. A training reads its photos from a folder or archive that the server can "
                "reach: see the option dataset."
            )
        elif is_file and name != "image":
            yield f"{name}: expected the file in the field image, received it in the field {quoted(name)}."
        elif name not in known:
            near = similar(name, known)
            hint = f" Did you mean: {', '.join(near)}?" if near else f" Options: {', '.join(sorted(known))}."
            yield f"{name[:_MAX_SHOWN]}: expected an option of this request, received an unknown name.{hint}"
        elif value in ("", None):
            continue
        elif name == "image" and place != "form":
            yield f"image: expected an uploaded file in a multipart form, received a value in the {place}."
        elif name == "accept" and place != "query":
            yield f"accept: expected it as a header or in the query, received it in the {place}."
