"""Parts of a document checked against pydantic models, each mistake told in plain words at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails

from gridtop.documents import Document
from gridtop.problems import KeyPath, Problem, did_you_mean

T = TypeVar("T")

_SHOULD_BE = {
    "model_type": "a map",
    "model_attributes_type": "a map",
    "dict_type": "a map",
    "mapping_type": "a map",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "string_type": "text",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
    "path_type": "the name of a file",
}
"""What the reader of a configuration is told instead of pydantic's words, by the type of its error."""

_MISSING = "required setting is missing"
_UNKNOWN = "unknown setting"
_SECRET = "***"


class Findings:
    """Everything found wrong in one document, gathered while its sections are checked one by one."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[Problem] = []

    @property
    def found(self) -> bool:
        """Whether checking has found anything so far."""
        return bool(self._found)

    def add(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a problem with the setting at `path` (at its key rather than its value when `at_key`)."""
        for secret in self._document.environment:
            if _within(secret, path):
                # The value came from the environment, where secrets live, so messages do not repeat it.
                text = str(self._document.get(secret))
                for form in (repr(text), describe(text), text):
                    message = message.replace(form, _SECRET) if text else message
        place = self._document.key_place(path) if at_key else self._document.place(path)
        self._found.append(Problem(place, path, message))

    def adopt(self, problems: Iterable[Problem]) -> None:
        """Note problems that were found elsewhere."""
        self._found.extend(problems)

    def problems(self, switched_off: Iterable[KeyPath] = ()) -> tuple[Problem, ...]:
        """All problems in the order of the text, and then by override.

        What reading found wrong with a setting hides what checking it found, a mere consequence. Nobody
        minds an unset environment variable below the `switched_off` settings.
        """
        off = tuple(switched_off)
        unset = [p for p in self._document.unset if not any(_within(p.keys, path) for path in off)]
        reading = (*self._document.problems, *unset)
        spoilt = {problem.keys for problem in reading if problem.keys}
        checking = (problem for problem in self._found if problem.keys not in spoilt)

        def position(problem: Problem) -> tuple[str, int, int]:
            place = problem.place
            override = "" if place.text is self._document.text else place.text.name
            return override, place.line, place.column

        return tuple(sorted(dict.fromkeys((*reading, *checking)), key=position))

    def check(self, kind: Any, value: Any, path: KeyPath, known: Iterable[str] = ()) -> Any:
        """`value` as `kind` (a model or any other type); None when it is wrong, and why is noted.

        `known` are further settings that may stand beside those of the model, for suggestions. A
        validator of a whole model may begin its message with the setting it is about: `low: ...`.
        """
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            for keys, message in _explained(error, value, adapter, tuple(known)):
                self._note(path + keys, message)
        except Exception as error:
            # The validators are the plugins' own code: whatever they raise is one line, not a traceback.
            self._note(path, f"the plugin's own check fails with {type(error).__name__}: {error}")
        return None

    def _note(self, path: KeyPath, message: str) -> None:
        setting, colon, rest = message.partition(": ")
        if colon and (*path, setting) in self._document.values:
            path, message = (*path, setting), rest
        self.add(path, message, at_key=message.startswith(_UNKNOWN))


def describe(value: Any) -> str:
    """A value in a few words for a message."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:58]}…"


def _within(path: KeyPath, ancestor: KeyPath) -> bool:
    return path[: len(ancestor)] == ancestor


def _explained(
    error: ValidationError, value: Any, adapter: TypeAdapter[Any], known: tuple[str, ...]
) -> Iterator[tuple[KeyPath, str]]:
    """Path and message of each mistake: one a setting, though a union complains once a member."""
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_path.setdefault(_path(details, value), []).append(details)
    found: dict[KeyPath, str] = {}
    for path, group in by_path.items():
        if any(other != path and _within(other, path) for other in by_path):
            continue  # a member of a union went further and found the mistake within
        own_words = [details for details in group if details["type"] in ("value_error", "assertion_error")]
        messages = dict.fromkeys(_message(details, path, adapter, known) for details in own_words or group)
        found[path] = _joined(list(messages))
    meant = {(*path[:-1], _suggested(message)) for path, message in found.items()}
    for path, message in found.items():
        if path not in meant or message != _MISSING:  # else it is there, only misspelt
            yield path, message


def _suggested(message: str) -> str:
    """The setting that an unknown one was probably meant to be."""
    return message.removeprefix(_UNKNOWN).removeprefix(" (did you mean '").removesuffix("'?)")


def _joined(messages: list[str]) -> str:
    """The complaints of a union's members in one sentence: `should be text or a list, not 5`."""
    parted = [message.partition(", not ") for message in messages]
    if len(messages) > 1 and all(head.startswith("should be ") and part for head, part, _ in parted):
        wishes = " or ".join(head.removeprefix("should be ") for head, _, _ in parted)
        return f"should be {wishes}, not {parted[0][2]}"
    return " or ".join(messages)


def _path(details: ErrorDetails, value: Any) -> KeyPath:
    """The part of an error's location that exists in the value; the rest are names of union members."""
    path: list[str | int] = []
    location = details["loc"]
    for i, key in enumerate(location):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            if i < len(location) - 1 or details["type"] != "missing":
                continue
        path.append(key)
    return tuple(path)


def _message(details: ErrorDetails, path: KeyPath, adapter: TypeAdapter[Any], known: tuple[str, ...]) -> str:
    kind, given = details["type"], details["input"]
    context = details.get("ctx", {})
    if kind == "missing":
        return _MISSING if isinstance(path[-1], str) else "one more item is needed"
    if kind == "extra_forbidden":
        names = (*_settings(adapter, path[:-1]), *(known if len(path) == 1 else ()))
        return f"{_UNKNOWN}{did_you_mean(str(path[-1]), names)}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error")) or "is not allowed"
    if kind in _SHOULD_BE:
        return f"should be {_SHOULD_BE[kind]}, not {describe(given)}"
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        bound = f"at least {least}" if kind == "too_short" else f"at most {most}"
        return f"should have {bound} item{'s' * ((least or most) != 1)}, not {context.get('actual_length')}"
    message = details["msg"].removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    if kind in ("literal_error", "enum"):
        wanted = str(context.get("expected", "")).replace("' or '", "', '").strip("'").split("', '")
        return f"{message}, not {describe(given)}{did_you_mean(str(given), wanted)}"
    return f"{message}, not {describe(given)}" if message.startswith("should ") else message


def _settings(adapter: TypeAdapter[Any], path: KeyPath) -> set[str]:
    """The names of the settings that may stand at a path, of all members where there is a union."""
    try:
        schema = adapter.json_schema()
    except PydanticUserError:
        return set()  # a type without a JSON form: no suggestions
    definitions = schema.get("$defs", {})

    def members(node: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(node, dict):
            return
        if "$ref" in node:
            yield from members(definitions.get(node["$ref"].removeprefix("#/$defs/")))
            return
        yield node
        for part in ("anyOf", "oneOf", "allOf"):
            for member in node.get(part, ()):
                yield from members(member)

    level = list(members(schema))
    for key in path:
        deeper: list[Any] = []
        for node in level:
            if isinstance(key, int):
                deeper.append(node.get("items"))
            elif key in node.get("properties", {}):
                deeper.append(node["properties"][key])
            else:
                deeper.append(node.get("additionalProperties"))
        level = [member for node in deeper for member in members(node)]
    return {name for node in level for name in node.get("properties", {})}
