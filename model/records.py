"""Data classes from JSON: every value is checked against the type of its field.

A file that any user of the workspace can edit may contain a text where a number is expected. Without this check the
error would occur far from the file, wherever the value is used.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from model.reading import UnreadableError
from model.received import quoted

T = TypeVar("T")

_LARGEST = 2**53
"""Largest whole number, which is exact in every reader of JSON."""

_Read = Callable[[Any], Any]


def record_from(cls: type[T], content: object) -> T:
    """Create a data class from a JSON object; unknown keys are ignored, and missing ones have their defaults.

    Fields may be texts, numbers, truth values, paths, literals, other data classes, and tuples, lists, dicts and unions
    of these.

    Raises:
        UnreadableError: a value is missing or has another type; the message names the field.
    """
    if not isinstance(content, Mapping):
        raise UnreadableError(f"expected an object, received {quoted(content)}")
    values = {}
    for name, (read, is_required) in _fields(typing.cast(type, cls)).items():
        if name in content:
            values[name] = _named(name, read, content[name])
        elif is_required:
            raise UnreadableError(f"{name}: expected a value, found none")
    try:
        return cls(**values)
    except ValueError as error:
        raise UnreadableError(str(error)) from error


@functools.cache
def _fields(cls: type) -> dict[str, tuple[_Read, bool]]:
    """The reader of each field, and whether the field has no default."""
    hints = typing.get_type_hints(cls)
    return {
        field.name: (
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
        if field.init
    }


def _named(name: str, read: _Read, value: Any) -> Any:
    try:
        return read(value)
    except UnreadableError as error:
        raise UnreadableError(f"{name}: {error}") from error


@functools.cache
def _reader(kind: Any) -> _Read:
    """Function that returns a JSON value as a type, or raises UnreadableError."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin in (typing.Union, types.UnionType):
        return _union(tuple(map(_reader, inner)), kind)
    if origin is Literal:
        return _checked(lambda value: isinstance(value, str) and value in inner, f"one of {', '.join(map(str, inner))}")
    if origin is dict:
        return _dict_of(_reader(inner[1]))
    if origin is list:
        return lambda value: [*_items(value, _reader(inner[0]))]
    if origin is tuple and inner[1:] == (...,):
        return lambda value: (*_items(value, _reader(inner[0])),)
    if origin is tuple:
        return _row(tuple(map(_reader, inner)))
    return _PLAIN[kind] if kind in _PLAIN else functools.partial(record_from, kind)


def _checked(check: Callable[[Any], bool], expected: str, convert: _Read = lambda value: value) -> _Read:
    def read(value: Any) -> Any:
        if not check(value):
            raise UnreadableError(f"expected {expected}, received {quoted(value)}")
        return convert(value)

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_PLAIN: Mapping[Any, _Read] = {
    str: _checked(lambda value: isinstance(value, str), "a text"),
    bool: _checked(lambda value: isinstance(value, bool), "true or false"),
    int: _checked(lambda value: type(value) is int and abs(value) <= _LARGEST, "a whole number"),
    float: _checked(_is_number, "a number", float),
    Path: _checked(lambda value: isinstance(value, str) and "\0" not in value, "a path", Path),
    types.NoneType: _checked(lambda value: value is None, "null"),
}


def _union(readers: tuple[_Read, ...], kind: Any) -> _Read:
    def read(value: Any) -> Any:
        for one in readers:
            try:
                return one(value)
            except UnreadableError:
                continue
        raise UnreadableError(f"expected {kind}, received {quoted(value)}")

    return read


def _dict_of(read_item: _Read) -> _Read:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise UnreadableError(f"expected an object, received {quoted(value)}")
        return {name: _named(quoted(name), read_item, item) for name, item in value.items()}

    return read


def _items(value: Any, read: _Read) -> typing.Iterator[Any]:
    if not isinstance(value, list):
        raise UnreadableError(f"expected a list, received {quoted(value)}")
    return map(read, value)


def _row(readers: tuple[_Read, ...]) -> _Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(readers):
            raise UnreadableError(f"expected a list of {len(readers)} values, received {quoted(value)}")
        return tuple(one(item) for one, item in zip(readers, value, strict=True))

    return read
