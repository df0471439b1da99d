"""The JSON Schema of config.yaml, with the settings of the plugins that are installed, for editors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from gridtop import limit_profiles
from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.api_settings import ApiSettings
from gridtop.config import SECTIONS, Kind
from gridtop.configured import (
    DetectorSettings,
    HostSettings,
    JoinedSettings,
    PluginSettings,
    SinkSettings,
    SourceSettings,
)
from gridtop.errors import PluginError
from gridtop.journal_settings import JournalSettings
from gridtop.naming import ChannelMeaning
from gridtop.quality.settings import QualitySettings
from gridtop.recording_settings import RecordingSettings
from gridtop.screen_settings import ScreenSettings
from gridtop.site import Site

if TYPE_CHECKING:
    from gridtop.registry import Registry

Schema = dict[str, Any]

_HOST: dict[Kind, type[HostSettings]] = {
    "source": SourceSettings,
    "detector": DetectorSettings,
    "sink": SinkSettings,
}
_MODELS: tuple[type[BaseModel], ...] = (
    *_HOST.values(),
    JoinedSettings,
    ChannelMeaning,
    Site,
    QualitySettings,
    LimitSettings,
    AlarmDefaults,
    ScreenSettings,
    RecordingSettings,
    JournalSettings,
    ApiSettings,
    PluginSettings,
)


_JOINED = "JoinedSources"


class _Untitled(GenerateJsonSchema):
    """Without titles: they only repeat the names of the settings."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema(registry: Registry, leave_out: Callable[[str], None]) -> Schema:
    """The schema of a whole configuration. Plugins that fail to load are named to `leave_out`."""
    configs: dict[tuple[Kind, str], type[BaseModel]] = {}
    joining: set[str] = set()
    for kind in _HOST:
        for name in registry.names(kind):
            try:
                plugin: Any = registry.load(kind, name)
                plugin.Config.model_json_schema()
                configs[kind, name] = plugin.Config
                if kind == "source" and getattr(plugin, "joins", False):
                    joining.add(name)
            except (PluginError, PydanticUserError) as error:
                leave_out(str(error))
    references, together = models_json_schema(
        [(model, "validation") for model in (*_MODELS, *configs.values())], schema_generator=_Untitled
    )
    definitions = together["$defs"]

    def definition(model: type[BaseModel]) -> Schema:
        reference: str = references[model, "validation"]["$ref"]
        found: Schema = definitions[reference.removeprefix("#/$defs/")]
        return found

    def instance(kind: Kind, settings: type[HostSettings] | None = None) -> Schema:
        """One configured plugin: what its type decides, with the host's settings beside its own.

        With other `settings` of the host it is one that is joined, which joins none itself.
        """
        host = definition(settings or _HOST[kind])
        members = []
        for (of_kind, name), model in configs.items():
            joins = kind == "source" and name in joining
            if of_kind != kind or (joins and settings is not None):
                continue
            own = definition(model)
            properties = own.get("properties", {}) | host["properties"] | {"type": {"const": name}}
            required = ["type", *own.get("required", [])]
            if joins:
                properties["sources"] = {"$ref": f"#/$defs/{_JOINED}"}
                required.append("sources")
            members.append(
                {
                    "description": registry.spec(kind, name).summary,
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": False,
                }
            )
        return {"oneOf": members}

    def named(item: Schema) -> Schema:
        return {"type": ["object", "null"], "additionalProperties": item}

    def reference(model: type[BaseModel]) -> Schema:
        return dict(references[model, "validation"])

    def section(model: type[BaseModel]) -> Schema:
        return {"anyOf": [reference(model), {"type": "null"}]}

    if joining:
        definitions[_JOINED] = {
            "description": "the sources that are joined, by name",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": instance("source", JoinedSettings),
        }
    sections = {
        "source": instance("source"),
        "channels": named(reference(ChannelMeaning)),
        "site": section(Site),
        "quality": section(QualitySettings),
        "limits": _limits(definition(LimitSettings)),
        "detectors": named(instance("detector")),
        "alarms": section(AlarmDefaults),
        "sinks": named(instance("sink")),
        "recording": section(RecordingSettings),
        "journal": section(JournalSettings),
        "api": section(ApiSettings),
        "screen": section(ScreenSettings),
        "plugins": section(PluginSettings),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gridtop configuration",
        "type": "object",
        "properties": {name: {"description": text} | sections[name] for name, text in SECTIONS.items()},
        "required": ["source"],
        "additionalProperties": False,
        "$defs": _used(definitions, sections),
    }


def _limits(rule: Schema) -> Schema:
    """The `limits:` section: beside a profile a rule may only change one of the profile's, without `on`."""
    name = {"type": "string", "examples": list(limit_profiles.shipped())}
    return {
        "type": ["object", "null"],
        "properties": {
            limit_profiles.KEY: {
                "description": "a profile that the limits begin with, or several, the later ones on top: "
                "the name of one that comes with gridtop (docs/limits.md), or a file of your own",
                "anyOf": [name, {"type": "array", "items": name, "minItems": 1}],
            }
        },
        "additionalProperties": {key: value for key, value in rule.items() if key != "required"},
        "if": {"not": {"required": [limit_profiles.KEY]}},
        "then": {"additionalProperties": {"required": rule["required"]}},
    }


def _used(definitions: Schema, root: Any) -> Schema:
    """The definitions that something under `root` refers to, at first or second hand."""
    used: set[str] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in used:
                used.add(name)
                waiting.append(definitions[name])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return {name: definition for name, definition in sorted(definitions.items()) if name in used}
