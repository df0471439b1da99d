"""config.yaml to typed settings: what a monitor is built from, or every mistake at its place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from gridtop import documents, limit_profiles
from gridtop.alarms.quantiles import WRITE
from gridtop.alarms.rules import AlarmDefaults, AlarmSettings, LimitSettings, check_inhibition
from gridtop.api_settings import ApiSettings
from gridtop.configured import (
    DetectorInstance,
    DetectorSettings,
    HostSettings,
    JoinedSettings,
    PluginInstance,
    PluginSettings,
    SinkInstance,
    SinkSettings,
    SourceSettings,
)
from gridtop.documents import Document
from gridtop.errors import GridtopError, PluginError
from gridtop.journal_settings import JournalSettings
from gridtop.limit_profiles import Layers, Origin
from gridtop.loading import explain
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.problems import InvalidConfiguration, KeyPath, did_you_mean
from gridtop.quality.settings import QualitySettings
from gridtop.recording_settings import RecordingSettings
from gridtop.screen_settings import ScreenSettings
from gridtop.site import Site
from gridtop.subscriptions import Subscription
from gridtop.validation import Findings, describe

if TYPE_CHECKING:
    from gridtop.registry import Registry

_NAME = re.compile(r"[^\W\d][\w-]{0,63}")
_SOURCES = "sources"
"""Of a source that joins others: the setting that names them."""


Kind = Literal["source", "detector", "sink"]
SECTIONS: dict[str, str] = {
    "source": "where the measurements come from",
    "channels": "glob of channel names to what they measure, for files without a known naming scheme",
    "site": "what the channels mean: nominal values, and which terminals end which line",
    "quality": "which values are plausible, and when a channel counts as flat-lined",
    "limits": "alarm rules on channels and quantities",
    "detectors": "plugins that score; the alarm rule stands beside them",
    "alarms": "defaults for every rule",
    "sinks": "where events go",
    "recording": "where recordings of live data go, and how large one may grow",
    "journal": "where events, alarms and what is owed to sinks are kept",
    "api": "whether the HTTP API is served over TCP as well, and to whom",
    "screen": "how screens look and which keys they have",
    "plugins": "one-file plugins to load, and plugins to leave alone",
}
"""The sections of a configuration and what each is for."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a monitor is built from. Detectors and sinks that are switched off are not in it.

    `directory` is where relative inputs start: the folder of the file. `speed` is inf for `max`.
    """

    path: Path | None
    directory: Path
    source: PluginInstance
    speed: float
    loop: bool
    channels: ChannelMap
    site: Site
    limits: Mapping[str, LimitSettings]
    detectors: Mapping[str, DetectorInstance]
    sinks: Mapping[str, SinkInstance]
    alarms: AlarmDefaults
    screen: ScreenSettings
    plugins: PluginSettings
    plugin_problems: tuple[str, ...]
    """One line for each plugin that was found but cannot be loaded."""
    document: Document = field(repr=False, compare=False)
    """What was read, with the text of environment variables in place: not to be shown."""
    profiles: tuple[str, ...] = ()
    """The profiles that the limits begin with, the lowest first."""
    quality: QualitySettings = field(default_factory=QualitySettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """The limits that come from a profile, and what they say there."""
    borrowed: bool = False
    """It was made for another source: rules and detectors with nothing to watch in this one are left out."""


def default_path() -> Path:
    """`config.yaml` in the working directory if there is one, else the one that comes with gridtop."""
    own = Path("config.yaml")
    if own.is_file():
        return own
    return _shipped_path()


def _shipped_path() -> Path:
    # In a checkout this is a link to the file at the top, so that relative inputs are found in both places.
    return Path(str(resources.files("gridtop") / "config.yaml")).resolve()


def assignment(path: str, value: str) -> str:
    """The override that sets `path` to exactly this text, whatever characters are in it."""
    return f"{path}={_quoted(value)}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


def load(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    recording: Path | None = None,
    plugin_files: Sequence[Path] = (),
    registry: Registry | None = None,
    environment: Mapping[str, str],
    other_source: bool = False,
) -> Configuration:
    """The configuration in a file (None: the default one), with `path=value` overrides.

    A `recording` is replayed instead of the configured source. `other_source`: the overrides choose another
    one, too; the configuration that comes with gridtop is then only `borrowed`. Without a `registry`, plugins
    are looked for as the configuration's `plugins:` says, and in `plugin_files`. Raises ConfigurationError
    with every mistake found, one below the other.
    """
    path = default_path() if path is None else path
    document = documents.read(path, environment)
    if recording is not None:
        document = document.overridden(_replaying(recording, document), environment)
    for override in overrides:
        document = document.overridden(override, environment)
    layers = limit_profiles.laid_under(document, path.parent, environment)
    assembly = _Assembly(layers, path)
    plugins = assembly.plugin_settings()
    if registry is None:
        from gridtop.registry import discover

        folders = assembly.plugin_folders(plugins)
        registry = discover(folders, plugin_files, plugins.disable if plugins else (), environment)
    configuration = assembly.configuration(registry, plugins)
    another = recording is not None or other_source
    return replace(configuration, borrowed=True) if another and _is_shipped(path) else configuration


def _is_shipped(path: Path) -> bool:
    return path.resolve() == _shipped_path()


def plugin_settings(
    path: Path, environment: Mapping[str, str] = os.environ
) -> tuple[list[Path], Sequence[str]]:
    """The folders a configuration has plugins in, and the plugins it disables.

    Raises ConfigurationError when the file cannot be read; other mistakes in it are not looked for.
    """
    assembly = _Assembly(Layers(documents.read(path, environment)), path)
    plugins = assembly.plugin_settings()
    return assembly.plugin_folders(plugins), plugins.disable if plugins else ()


def _replaying(recording: Path, document: Document) -> str:
    """The override that has a recording replayed, with the other settings of `source:` if it is a replay."""
    path = str(recording.absolute())  # on the command line, relative means: to the working directory
    if document.get(("source", "type")) == "replay":
        return assignment("source.path", path)
    return f"source={{type: replay, path: {_quoted(path)}}}"


class _Assembly:
    """Checks the sections of one document, one by one, and puts the configuration together."""

    def __init__(self, layers: Layers, path: Path) -> None:
        self._layers = layers
        self._document = layers.document
        self._path = path
        self._directory = path.absolute().parent
        self._findings = Findings(layers.document)
        self._findings.adopt(layers.problems)
        self._switched_off: list[KeyPath] = []

    def plugin_settings(self) -> PluginSettings | None:
        """The `plugins:` section, None when something is wrong with it."""
        plugins: PluginSettings | None = self._model("plugins", PluginSettings)
        return plugins

    def plugin_folders(self, plugins: PluginSettings | None) -> list[Path]:
        """The folders of `plugins.dirs` that exist; the others are noted."""
        folders = [self._directory / folder for folder in plugins.dirs] if plugins else []
        for i, folder in enumerate(folders):
            if not folder.is_dir():
                self._findings.add(("plugins", "dirs", i), f"there is no folder {folder}")
        return [folder for folder in folders if folder.is_dir()]

    def configuration(self, registry: Registry, plugins: PluginSettings | None) -> Configuration:
        """The whole configuration; InvalidConfiguration when anything is wrong with it."""
        self._registry = registry
        self._check_top_level()
        source = self._plugin("source", ("source",), SourceSettings)
        channels = {
            glob: self._check(ChannelMeaning, ("channels", glob)) for glob in self._map(("channels",))
        }
        site = self._model("site", Site)
        quality = self._model("quality", QualitySettings)
        limits = self._limits()
        detectors = {
            name: self._plugin("detector", ("detectors", name), DetectorSettings)
            for name in self._names(("detectors",))
        }
        alarms = self._model("alarms", AlarmDefaults)
        screen = self._model("screen", ScreenSettings)
        recording = self._model("recording", RecordingSettings)
        journal = self._model("journal", JournalSettings)
        api = self._model("api", ApiSettings)
        sinks = {
            name: self._plugin("sink", ("sinks", name), SinkSettings) for name in self._names(("sinks",))
        }
        self._check_inhibition(limits, {name: plugin.alarm for name, plugin in detectors.items() if plugin})
        if problems := self._findings.problems(self._switched_off):
            raise InvalidConfiguration(*problems)
        assert source is not None  # else why not is among the problems
        assert plugins is not None
        return Configuration(
            path=self._path,
            directory=self._directory,
            source=source.instance("source"),
            speed=source.host.speed,
            loop=source.host.loop,
            channels=ChannelMap(channels),
            site=site,
            limits=limits,
            detectors={name: plugin.detector(name) for name, plugin in detectors.items() if plugin},
            sinks={name: plugin.sink(name) for name, plugin in sinks.items() if plugin},
            alarms=alarms,
            screen=screen,
            plugins=plugins,
            plugin_problems=tuple(problem.text for problem in self._registry.problems),
            document=self._document,
            profiles=self._layers.names,
            origins=self._layers.origins,
            quality=quality,
            recording=recording,
            journal=journal,
            api=api,
        )

    def _check(self, kind: Any, path: KeyPath) -> Any:
        return self._findings.check(kind, self._document.get(path), path)

    def _limits(self) -> dict[str, Any]:
        """The rules of the `limits:` section and of the profiles beneath it; None where one is wrong."""
        limits: dict[str, Any] = {}
        for name in self._names(("limits",)):
            if name == limit_profiles.KEY:
                continue
            if message := self._layers.misspelt(name):
                self._findings.add(("limits", name), message, at_key=True)
            # Of profiles that cannot be read, nobody knows what their rules lack.
            known = not message and not self._layers.problems
            limits[name] = self._check(LimitSettings, ("limits", name)) if known else None
        return limits

    def _model(self, section: str, kind: type[BaseModel]) -> Any:
        """A section with a fixed set of settings; one that is left out or empty is all defaults."""
        return self._findings.check(kind, self._map((section,)), (section,))

    def _map(self, path: KeyPath) -> dict[str, Any]:
        """The map at a path; an empty one where nothing is written or, which is a problem, something else."""
        value = self._document.get(path)
        if isinstance(value, dict):
            return value
        if value is not None or len(path) > 1:
            self._findings.add(path, f"should be a map, not {describe(value)}")
        return {}

    def _names(self, path: KeyPath) -> Iterator[str]:
        """The keys of a map of named things, which rules, events and logs will carry."""
        for name in self._map(path):
            if not _NAME.fullmatch(name):
                message = "a name is a letter and up to 63 more letters, digits, _ or -"
                self._findings.add((*path, name), message, at_key=True)
            yield name

    def _check_top_level(self) -> None:
        value = self._document.value
        if value is None:
            self._findings.add((), "the file is empty; gridtop config show prints a complete configuration")
        elif not isinstance(value, dict):
            self._findings.add((), f"should be a map of sections such as source:, not {describe(value)}")
        elif value.get("source") is None:
            self._findings.add(
                ("source",), "required section is missing: where do the measurements come from?"
            )
        for name in value if isinstance(value, dict) else ():
            if name not in SECTIONS:
                message = f"unknown section{did_you_mean(name, SECTIONS)}"
                self._findings.add((name,), message, at_key=True)

    def _plugin(self, kind: Kind, path: KeyPath, host_settings: type[HostSettings]) -> _Plugin | None:
        """One configured plugin; None when it is switched off or anything is wrong with it."""
        settings = self._map(path)
        if not settings and self._document.get(path) != {}:
            return None  # not even a map, which is noted
        host_names = host_settings.model_fields.keys()
        host = self._findings.check(
            host_settings, {k: v for k, v in settings.items() if k in host_names}, path
        )
        if host is not None and not getattr(host, "enabled", True):
            self._switched_off.append(path)
            return None
        if not isinstance(settings.get("type"), str):
            return None
        try:
            target: Any = self._registry.load(kind, settings["type"])
        except PluginError as error:
            self._findings.add((*path, "type"), str(error))
            return None
        joins = kind == "source" and getattr(target, "joins", False)
        beside = {*host_names, _SOURCES} if joins else host_names
        own = {key: value for key, value in settings.items() if key not in beside}
        config = self._findings.check(target.Config, own, path, known=beside)
        joined = self._joined(path) if joins else {}
        alarm = getattr(host, "alarm", None)
        if alarm is None and (usual := getattr(target, "alarm", None)) is not None and kind == "detector":
            alarm = self._findings.check(AlarmSettings, usual, (*path, "type"))
        if alarm is not None and not hasattr(target, "quantile"):
            self._refuse_quantiles(alarm, path)
        if host is None or config is None:
            return None
        wants = self._wants(target, config, path) if kind == "detector" else ("*",)
        return _Plugin(host, target, config, alarm, wants, joined)

    def _joined(self, path: KeyPath) -> dict[str, PluginInstance]:
        """The sources that a source joins."""
        if self._document.get((*path, _SOURCES)) in (None, {}):
            self._findings.add(
                path, "sources: say which ones it joins: {north: {type: c37118, ...}, south: ...}"
            )
            return {}
        joined: dict[str, PluginInstance] = {}
        for name in self._names((*path, _SOURCES)):
            at = (*path, _SOURCES, name)
            plugin = self._plugin("source", at, JoinedSettings)
            if plugin is not None and plugin.joined:
                self._findings.add((*at, "type"), "a source that joins others cannot be joined itself")
            elif plugin is not None:
                joined[name] = plugin.instance(name)
        return joined

    def _wants(self, target: Any, config: BaseModel, path: KeyPath) -> tuple[str, ...]:
        """The channels that a detector wants where the configuration gives none, if it says."""
        wants = getattr(target, "wants", ("*",))
        if not callable(wants):
            return tuple(wants)
        try:
            return tuple(wants(config, self._directory))
        except (GridtopError, ValueError) as error:
            message = " ".join(str(error).split()) or "is not allowed"
        except Exception as error:
            message = f"the plugin's own check fails with {explain(error)}"
        setting, colon, rest = message.partition(": ")
        if colon and self._document.get((*path, setting)) is not None:
            path, message = (*path, setting), rest
        self._findings.add(path, message)
        return ("*",)

    def _refuse_quantiles(self, alarm: AlarmSettings, path: KeyPath) -> None:
        """Of a detector that knows no quantiles none can be asked."""
        for place, quantile in alarm.quantiles():
            message = f"{quantile} cannot be had: this detector does not know the quantiles of its scores"
            self._findings.add((*path, "alarm", *place), f"{message}; {WRITE}")

    def _check_inhibition(
        self, limits: Mapping[str, LimitSettings | None], alarms: Mapping[str, AlarmSettings | None]
    ) -> None:
        """Rules have one name each, know the rules they wait for, and do not wait in a ring."""
        for name in limits:
            if name in self._map(("detectors",)):
                message = "a limit has this name too; the rule in an event must be one of them"
                self._findings.add(("detectors", name), message, at_key=True)
        if self._layers.problems:
            return  # the rules they name may be the profile's
        judged = (
            name
            for name in self._map(("detectors",))
            if self._document.get(("detectors", name, "alarm")) is not None or alarms.get(name) is not None
        )
        # A rule with a mistake in it is still there for others to name.
        names = (*limits, *judged)
        rules = {
            name: limits.get(name) or alarms.get(name) or AlarmSettings.model_construct() for name in names
        }
        for name, message in check_inhibition(rules):
            path: KeyPath = ("limits", name) if name in limits else ("detectors", name, "alarm")
            self._findings.add((*path, "inhibit_if"), message)


@dataclass(frozen=True, slots=True)
class _Plugin:
    """A configured plugin that has nothing wrong with it."""

    host: Any
    target: Any
    config: BaseModel
    alarm: AlarmSettings | None
    """The rule of a detector's scores: the configuration's, else the one that the detector brings."""
    wants: tuple[str, ...] = ("*",)
    """The channels of a detector to which the configuration gives none."""
    joined: Mapping[str, PluginInstance] = field(default_factory=dict)
    """The sources that a source joins."""

    def instance(self, name: str) -> PluginInstance:
        return PluginInstance(name, self.host.type, self.target, self.config, sources=self.joined)

    def sink(self, name: str) -> SinkInstance:
        host: SinkSettings = self.host
        chosen = Subscription(**{one: getattr(host, one) for one in Subscription.model_fields})
        return SinkInstance(name, host.type, self.target, self.config, subscription=chosen)

    def detector(self, name: str) -> DetectorInstance:
        host: DetectorSettings = self.host
        channels = host.channels or self.wants
        return DetectorInstance(
            name, host.type, self.target, self.config, channels=channels, alarm=self.alarm
        )
