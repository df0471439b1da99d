"""YAML text as plain values, with the place of every key and value, and every mistake in one go.

Scalars follow the core schema of YAML 1.2: `no`, `12:30` and dates are text, `010` is ten, `1e3` a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from gridtop.problems import InvalidConfiguration, KeyPath, Place, Problem, Text, dotted

LARGEST_FILE = 1 << 20
"""Bytes of the largest configuration that is read; hand-written ones hold a few thousand."""
MOST_VALUES = 100_000
"""Values in a document whose aliases are expanded: a few lines of nested aliases can mean billions."""
DEEPEST = 50
"""Levels of nesting: beyond any real configuration, below what recursion can bear."""

_TAG = "tag:yaml.org,2002:"
CORE_SCALARS = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
    "str": re.compile(r".*", re.DOTALL),
}
"""What an unquoted scalar may look like to be more than text; the first that matches wins."""
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<inside>[^}]*)(?P<end>\}?))")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_STEP = re.compile(r'"(?P<quoted>[^"]+)"|(?P<plain>[^".=\s\[\]]+)')


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration as plain dicts, lists, text and numbers; nobody changes them once they are read.

    keys         where the key of a setting stands
    values       where the value of a setting stands
    environment  the settings whose text came (in part) from an environment variable
    problems     mistakes that do not keep the rest from being read
    unset        settings that need an environment variable which is not set
    """

    text: Text
    value: Any = None
    keys: Mapping[KeyPath, Place] = field(default_factory=dict)
    values: Mapping[KeyPath, Place] = field(default_factory=dict)
    environment: frozenset[KeyPath] = frozenset()
    problems: tuple[Problem, ...] = ()
    unset: tuple[Problem, ...] = ()

    def place(self, path: KeyPath) -> Place:
        """Where a setting is: text and numbers at the value, maps and lists at their key.

        For a setting that does not exist, the place of what it is missing from.
        """
        while path and path not in self.values:
            path = path[:-1]
        if not path:
            return Place(self.text, 1, 1)
        if path in self.keys and isinstance(self.get(path), (dict, list, type(None))):
            return self.keys[path]
        return self.values[path]

    def key_place(self, path: KeyPath) -> Place:
        """Where the key of a setting is, or the setting itself when it has no key."""
        return self.keys.get(path) or self.place(path)

    def get(self, path: KeyPath) -> Any:
        """The value at a path, None when there is none."""
        value = self.value
        try:
            for key in path:
                value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
        return value

    def overridden(self, assignment: str, environment: Mapping[str, str]) -> Document:
        """This document with `path=value` from the command line put in place; `self` stays as it is.

        The value is YAML; maps on the way are made as needed. A list is replaced as a whole.
        """
        text = Text.of(f"--set {assignment}", assignment)
        try:
            path, steps, start = _split_assignment(assignment, text)
            # Blanks in place of the path make the parser count columns as they are in the assignment.
            change = parse(" " * start + assignment[start:], text, environment)
            value = _with(self.value, path, change.value, steps)
        except InvalidConfiguration as error:
            return replace(self, problems=(*self.problems, *error.problems))

        def stays(keys: KeyPath) -> bool:
            return keys[: len(path)] != path

        def places(old: Mapping[KeyPath, Place], new: Mapping[KeyPath, Place]) -> dict[KeyPath, Place]:
            made = {path[: i + 1]: place for i, place in enumerate(steps)}
            kept = {keys: place for keys, place in old.items() if stays(keys)}
            return made | kept | {path + keys: place for keys, place in new.items()}

        def problems(old: tuple[Problem, ...], new: tuple[Problem, ...]) -> tuple[Problem, ...]:
            kept = (problem for problem in old if stays(problem.keys))
            return (*kept, *(replace(problem, keys=path + problem.keys) for problem in new))

        return Document(
            self.text,
            value,
            places(self.keys, change.keys),
            places(self.values, change.values),
            frozenset(filter(stays, self.environment)) | {path + keys for keys in change.environment},
            problems(self.problems, change.problems),
            problems(self.unset, change.unset),
        )


def read(path: Path, environment: Mapping[str, str]) -> Document:
    """The document in a file; raises InvalidConfiguration when there is none that can be read."""
    whole = Place(Text(str(path)))
    try:
        if path.is_dir():
            raise InvalidConfiguration(Problem(whole, (), "this is a folder; name the file in it"))
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InvalidConfiguration(Problem(whole, (), "there is no such file")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidConfiguration(Problem(whole, (), f"cannot be read: {reason}")) from None
    if len(data) > LARGEST_FILE:
        raise InvalidConfiguration(Problem(whole, (), "larger than 1 MiB: this is no configuration"))
    try:
        content = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        text = Text.of(str(path), data.decode("utf-8", "replace"))
        before = Text.of("", data[: error.start].decode("utf-8")).lines
        place = Place(text, len(before), len(before[-1]) + 1)
        message = f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise InvalidConfiguration(Problem(place, (), message)) from None
    text = Text.of(str(path), content)
    return parse("\n".join(text.lines), text, environment)


def parse(content: str, text: Text, environment: Mapping[str, str]) -> Document:
    """The document in `content`, with places in `text`, whose lines and columns must be the same.

    Raises InvalidConfiguration when it is not YAML at all, is nested too deep or grows too large.
    """
    _refuse_unprintable(content, text)
    loader = _Loader(content)
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(text, mark.line + 1, mark.column + 1) if mark else Place(text)
        message = f"not valid YAML: {_syntax_problem(error)}"
        raise InvalidConfiguration(Problem(place, (), message)) from None
    except (ValueError, OverflowError):
        # PyYAML passes on what int() and chr() raise for absurd version numbers and escapes.
        place = Place(text, loader.line + 1, loader.column + 1)
        raise InvalidConfiguration(Problem(place, (), "not valid YAML: impossible number")) from None
    reading = _Reading(text, environment)
    value = None if root is None else reading.value(root, ())
    return Document(
        text,
        value,
        reading.keys,
        reading.values,
        frozenset(reading.from_environment),
        tuple(reading.problems),
        tuple(reading.unset),
    )


def core_tag(scalar: str) -> str:
    """Which of YAML 1.2's core types an unquoted scalar is: null, bool, int, float or str."""
    return next(name for name, pattern in CORE_SCALARS.items() if pattern.fullmatch(scalar))


class _Loader(yaml.SafeLoader):
    """PyYAML up to its nodes, with the scalars of YAML 1.2 and a bound on nesting."""

    depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            unquoted = implicit[0]
            return _TAG + (core_tag(value) if unquoted else "str")
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested more than {DEEPEST} levels deep", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reading:
    """One walk over the nodes of a document, which notes places and problems on the way."""

    def __init__(self, text: Text, environment: Mapping[str, str]) -> None:
        self.text = text
        self.environment = environment
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.from_environment: set[KeyPath] = set()
        self.problems: list[Problem] = []
        self.unset: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The plain value of a node."""
        self.values[path] = self._place(node)
        if len(path) > DEEPEST:
            message = "this alias contains itself or nests too deep"
            raise InvalidConfiguration(self._problem(node, (), message))
        if len(self.values) > MOST_VALUES:
            message = f"more than {MOST_VALUES} values once the aliases are expanded"
            raise InvalidConfiguration(self._problem(node, (), message))
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in CORE_SCALARS:
            return self._scalar(node, kind, path)
        tag = node.tag.replace(_TAG, "!!")
        self.problems.append(self._problem(node, path, f"the tag {tag} means nothing here"))
        return None

    def _map(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._problem(key_node, path, "a map or a list cannot be a key"))
                continue
            key = key_node.value
            here = (*path, key)
            if key == "<<":
                message = "merge keys (<<) are not part of YAML 1.2; write the settings out"
                self.problems.append(self._problem(key_node, path, message))
            elif key in result:
                message = f"set twice; first set on line {self.keys[here].line}"
                self.problems.append(self._problem(key_node, here, message))
            else:
                self.keys[here] = self._place(key_node)
                result[key] = self.value(value_node, here)
        return result

    def _scalar(self, node: yaml.ScalarNode, kind: str, path: KeyPath) -> Any:
        scalar = node.value
        try:
            if not CORE_SCALARS[kind].fullmatch(scalar):
                raise ValueError
            match kind:
                case "str":
                    return self._substituted(node, path)
                case "null":
                    return None
                case "bool":
                    return scalar.lower() == "true"
                case "int":
                    return int(scalar, 0) if scalar[:2] in ("0o", "0x") else int(scalar)
                case _:
                    return float(scalar.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:  # also int() on thousands of digits
            self.problems.append(self._problem(node, path, f"{scalar[:40]!r} cannot be read as {kind}"))
            return None

    def _substituted(self, node: yaml.ScalarNode, path: KeyPath) -> str:
        """The text with `${NAME}`, `${NAME:-default}` and `$$` replaced."""

        def replacement(variable: re.Match[str]) -> str:
            if variable[0] == "$$":
                return "$"
            inside = _INSIDE.fullmatch(variable["inside"])
            if not inside or not variable["end"]:
                message = f"{variable[0][:40]!r} names no variable: write ${{NAME}}, or $${{ for a plain ${{"
                self.problems.append(self._problem(node, path, message))
                return variable[0]
            name, default = inside["name"], inside["default"]
            if name in self.environment:
                self.from_environment.add(path)
                return self.environment[name]
            if default is None:
                message = f"environment variable {name} is not set (set it, or write ${{{name}:-default}})"
                self.unset.append(self._problem(node, path, message))
                return variable[0]
            return str(default)

        return _VARIABLE.sub(replacement, node.value)

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.text, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, path: KeyPath, message: str) -> Problem:
        return Problem(self._place(node), path, message)


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML complains of, with the line on which the thing it could not finish begins."""
    problem = error.problem or "cannot be read"
    if r"'\t'" in problem:
        return "a tab cannot indent; use spaces"
    if not error.context:
        return problem
    start, end = error.context_mark, error.problem_mark
    begun = f" (from line {start.line + 1})" if start and end and start.line != end.line else ""
    return f"{error.context}{begun}, {problem}"


def _refuse_unprintable(content: str, text: Text) -> None:
    """YAML allows no control characters; PyYAML would say where by counting characters from the start."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(content)
    if found:
        before = content[: found.start()].split("\n")
        place = Place(text, len(before), len(before[-1]) + 1)
        message = f"not valid YAML: character U+{ord(found[0]):04X} is not allowed"
        raise InvalidConfiguration(Problem(place, (), message))


def _split_assignment(assignment: str, text: Text) -> tuple[KeyPath, list[Place], int]:
    """The path of `path=value`, the places of its steps, and where the value starts."""
    path: list[str] = []
    places: list[Place] = []
    position = 0
    while step := _STEP.match(assignment, position):
        path.append(step["quoted"] or step["plain"])
        places.append(Place(text, 1, position + 1))
        position = step.end()
        if assignment[position : position + 1] == "=":
            return tuple(path), places, position + 1
        if assignment[position : position + 1] != ".":
            break
        position += 1
    message = "write path=value, such as limits.voltage.deadband=0.02; quote a key that holds a dot"
    raise InvalidConfiguration(Problem(Place(text, 1, position + 1), (), message))


def _with(value: Any, path: KeyPath, new: Any, places: list[Place], done: int = 0) -> Any:
    """A copy of `value` with `new` at `path`; what does not change is shared, nothing is modified."""
    if done == len(path):
        return new
    if value is not None and not isinstance(value, dict):
        kind = "list: set it as a whole" if isinstance(value, list) else "value, not a map"
        message = f"{dotted(path[:done]) or 'the document'} is a {kind}"
        raise InvalidConfiguration(Problem(places[done], path, message))
    inner = {} if value is None else value
    return inner | {path[done]: _with(inner.get(path[done]), path, new, places, done + 1)}
