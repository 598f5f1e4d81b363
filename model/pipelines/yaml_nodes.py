"""Strict reading of YAML nodes: every problem names its line, and all problems are collected."""

import dataclasses
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from model.errors import ConfigError
from model.pipelines.problems import raise_problems
from model.reading import without_number
from model.received import did_you_mean, quoted
from model.schema import read_yaml

if TYPE_CHECKING:
    import yaml

Value = TypeVar("Value")

_MAX_DIGITS = 18
_KINDS: dict[type, str] = {
    str: "text",
    list: "a list, a line `- ...` for each item",
    dict: "lines such as `name: value`",
}
_TAG = "tag:yaml.org,2002:"


class Problems:
    """Problems of one file, in the order in which they were found.

    Attributes:
        file: path for messages.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, text: str) -> None:
        """Add a problem at a line, counted from 1."""
        self._found.append((line, f"{self.file}:{line}: {text}"))

    def raise_any(self) -> None:
        """Raise all problems together, by line.

        Raises:
            ConfigError: there is a problem.
        """
        raise_problems([text for _, text in sorted(self._found)])


@dataclasses.dataclass(frozen=True)
class Node:
    """A value of a YAML file, with its place.

    Attributes:
        name: what the value is, for messages, such as "step comparison, memory"; empty for the whole file.
        line: its line, counted from 1.
    """

    name: str
    line: int
    _node: "yaml.Node | None"
    _problems: Problems

    def problem(self, text: str) -> None:
        """Add a problem of this value."""
        self._problems.add(self.line, f"{self.name}: {text}" if self.name else text)

    def named(self, name: str) -> "Node":
        """The same value under another name."""
        return dataclasses.replace(self, name=name)

    @property
    def is_null(self) -> bool:
        """Whether nothing, or `null`, is written."""
        return self._node is None or self._node.tag == f"{_TAG}null"

    def scalar(self) -> str | int | float | bool | None:
        """The text, number or truth value; None, with a problem, for anything else."""
        found = (self._convert(str), self._convert(bool), self._convert(int), self._convert(float))
        for value in found:
            if value is not None:
                return value
        self.problem(f"expected text or a number, received {self._received()}.")
        return None

    def text(self) -> str:
        """Text that is not blank; anything else is a problem, and empty unless it is blank text."""
        value = self._convert(str)
        if value is None:
            self._refuse(str)
            return ""
        if not value.strip():
            self.problem("expected text, received none.")
        return value

    def whole_number(self, minimum: int, unit: str, default: int) -> int:
        """A whole number from `minimum` on; `default`, with a problem, for anything else."""
        value = self._convert(int)
        if value is None or value < minimum:
            expected = f"a whole number of {unit}, {minimum} or more"
            self.problem(f"expected {expected}, received {self._received()}.")
            return default
        return value

    def items(self) -> list["Node"]:
        """Items of a list; none, with a problem, for anything else."""
        import yaml

        if not isinstance(self._node, yaml.SequenceNode):
            self._refuse(list)
            return []
        return [
            Node(f"{self.name}, item {number}", node.start_mark.line + 1, node, self._problems)
            for number, node in enumerate(self._node.value, 1)
        ]

    def texts(self) -> list["tuple[str, Node]"]:
        """Texts of a list, each once, with their nodes; other items are problems."""
        found: dict[str, Node] = {}
        for item in self.items():
            value = item.text()
            if value in found:
                item.problem(f"{quoted(value)} is listed twice.")
            elif value:
                found[value] = item
        return list(found.items())

    def pairs(self) -> Iterator[tuple[str, "Node"]]:
        """Keys of a mapping and their values; a key that is no text or occurs twice is a problem."""
        import yaml

        if not isinstance(self._node, yaml.MappingNode):
            self._refuse(dict)
            return
        seen = set()
        for key_node, value_node in self._node.value:
            line = key_node.start_mark.line + 1
            key = Node(self.name, line, key_node, self._problems)
            name = key._convert(str)
            if name is None:
                key.problem(f"expected a name before the colon, received {key._received()}.")
            elif name in seen:
                key.problem(f"{quoted(name)} is given twice.")
            else:
                seen.add(name)
                inside = f"{self.name}, {name}" if self.name else name
                yield name, Node(inside, line, value_node, self._problems)

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, "Node"]:
        """Values of a mapping by key; unknown and missing keys are problems. A key without a value is left out."""
        found = {}
        for name, node in self.pairs():
            if name not in known:
                hint = did_you_mean(name, known)
                Node(self.name, node.line, None, self._problems).problem(
                    f"unknown key {quoted(name)}, expected one of {', '.join(known)}.{hint}"
                )
            elif not node.is_null:
                found[name] = node
        for name in required:
            if name not in found:
                self.problem(f"expected the key {name}, found none.")
        return found

    def _received(self) -> str:
        import yaml

        if isinstance(self._node, yaml.ScalarNode):
            return quoted(self._node.value)
        return "a list" if isinstance(self._node, yaml.SequenceNode) else "a mapping"

    def _refuse(self, kind: type) -> None:
        self.problem(f"expected {_KINDS[kind]}, received {self._received()}.")

    def _convert(self, kind: type[Value]) -> Value | None:
        """The value as exactly this type; None for another one."""
        import yaml

        node = self._node
        if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + _TAG_OF_TYPE[kind]:
            return None
        if kind is int and len(node.value) > _MAX_DIGITS:
            return None
        try:
            value = yaml.constructor.SafeConstructor().construct_object(node)
        except ValueError:
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value if type(value) is kind else None


_TAG_OF_TYPE: dict[type, str] = {str: "str", int: "int", float: "float", bool: "bool"}


def read_nodes(path: Path) -> tuple[Node, Problems]:
    """Parse a YAML file of at most `model.schema.MAX_FILE_BYTES`, without aliases.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.
    """
    import yaml

    try:
        node = yaml.compose(read_yaml(path), Loader=yaml.SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected the YAML file of a pipeline, received: {without_number(error)}") from error
    problems = Problems(path)
    return Node("", 1 if node is None else node.start_mark.line + 1, node, problems), problems
