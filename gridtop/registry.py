"""Which plugins there are, where each comes from, and what is wrong with the ones that do not work.

Discovery asks the hooks of `gridtop.specs` and imports no target: that happens in `Registry.load`, when
a configuration uses one. Whatever a plugin does wrong costs that plugin alone, and is one line.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pluggy

from gridtop.errors import PluginError
from gridtop.loading import FILE_PLUGINS, explain, import_file, refuse_writable, shown
from gridtop.problems import did_you_mean
from gridtop.specs import API, CommandSpec, DetectorSpec, Hooks, PluginSpec, SinkSpec, SourceSpec
from gridtop.text import clean

if TYPE_CHECKING:
    import click

Kind = Literal["source", "detector", "sink", "command"]

NO_PLUGINS = "GRIDTOP_NO_PLUGINS"
"""The environment variable that leaves only the built-in plugins; `--no-plugins` sets it."""

_BUILT_IN = ("gridtop.plugins", "gridtop.tui.plugin")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"\w+(\.\w+)*:\w+")


class _Contract(NamedTuple):
    """What the host knows of one kind of plugin: its hook, its spec, what its class must be able to do."""

    hook: str
    spec: type[PluginSpec]
    methods: tuple[str, ...]


_CONTRACTS: dict[Kind, _Contract] = {
    "source": _Contract("gridtop_sources", SourceSpec, ("open", "blocks", "close")),
    "detector": _Contract("gridtop_detectors", DetectorSpec, ("score",)),
    "sink": _Contract("gridtop_sinks", SinkSpec, ("open", "send", "close")),
    "command": _Contract("gridtop_commands", CommandSpec, ()),
}
KINDS: tuple[Kind, ...] = tuple(_CONTRACTS)
_HOOKS = tuple(contract.hook for contract in _CONTRACTS.values())


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with one plugin, found without running it."""

    plugin: str
    origin: str
    reason: str

    @property
    def text(self) -> str:
        """All of it in one line."""
        return f"plugin {self.plugin} ({self.origin}): {self.reason}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A spec and who offers it. `origin` is `built in`, `entry point gridtop-foo 1.2` or a file."""

    kind: Kind
    spec: PluginSpec
    plugin: str
    origin: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The distributions it needs that are not installed."""
        return tuple(name for name in self.spec.needs if not _installed(name))

    @property
    def lack(self) -> str:
        """What to do about what is missing, or nothing."""
        if not (missing := self.missing):
            return ""
        verb = "is" if len(missing) == 1 else "are"
        return f"needs {' and '.join(missing)}, which {verb} not installed: pip install {' '.join(missing)}"


class Registry:
    """What the plugins offer. Made by `discover`, and unchanged from then on."""

    def __init__(self, built_in_only: bool = False, disabled: frozenset[str] = frozenset()) -> None:
        self._offers: dict[tuple[Kind, str], Offer] = {}
        self._problems: list[Problem] = []
        self._loaded: dict[tuple[Kind, str], Any] = {}
        self._built_in_only, self._disabled = built_in_only, disabled
        self._pluggy = pluggy.PluginManager("gridtop")
        self._pluggy.add_hookspecs(Hooks)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What went wrong while the plugins were looked for, in the order of discovery."""
        return tuple(self._problems)

    def offers(self, kind: Kind | None = None) -> tuple[Offer, ...]:
        """Everything on offer, or one kind of it, sorted by kind and name."""
        chosen = [offer for offer in self._offers.values() if kind in (None, offer.kind)]
        return tuple(sorted(chosen, key=lambda offer: (KINDS.index(offer.kind), offer.spec.name)))

    def specs(self, kind: Kind) -> tuple[PluginSpec, ...]:
        """The specs of one kind, by name."""
        return tuple(offer.spec for offer in self.offers(kind))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """What a configuration may write behind `type:`, sorted."""
        return tuple(spec.name for spec in self.specs(kind))

    def commands(self) -> tuple[PluginSpec, ...]:
        """The commands that plugins add to `gridtop`."""
        return self.specs("command")

    def offer(self, kind: Kind, name: str) -> Offer:
        """The offer of that name; PluginError with a suggestion when there is none."""
        if found := self._offers.get((kind, name)):
            return found
        message = f"no {kind} plugin is called {name!r}{did_you_mean(name, self.names(kind))}"
        if broken := [problem.text for problem in self._problems if problem.plugin == name]:
            message += f": {broken[0]}"
        elif self._built_in_only:
            message += f"; {NO_PLUGINS} is set, so only built-in plugins are loaded"
        elif self._problems:
            message += "; some plugins could not be loaded, see gridtop plugins list"
        raise PluginError(message)

    def spec(self, kind: Kind, name: str) -> PluginSpec:
        """The spec of that name; PluginError with a suggestion when there is none."""
        return self.offer(kind, name).spec

    def origin(self, kind: Kind, name: str) -> str:
        """Where a plugin comes from; PluginError when there is none of that name."""
        return self.offer(kind, name).origin

    def load(self, kind: Kind, name: str) -> type:
        """Import a source, detector or sink; its `Config` is a pydantic model, an empty one if it had none.

        Raises PluginError when there is no such plugin, a distribution it needs is missing, the import
        fails, or the target is not a class of that kind: one line with plugin, origin and reason.
        """
        target: type = self._load(kind, name)
        return target

    def load_command(self, name: str) -> click.Command:
        """Import a click command; PluginError as for `load`."""
        command: click.Command = self._load("command", name)
        return command

    def _load(self, kind: Kind, name: str) -> Any:
        if (kind, name) not in self._loaded:
            self._loaded[kind, name] = _import_target(self.offer(kind, name))
        return self._loaded[kind, name]

    def report(self, plugin: str, origin: str, reason: str) -> None:
        """Remember what is wrong with a plugin."""
        self._problems.append(Problem(clean(plugin), origin, reason))

    def add(self, plugin: str, origin: str, load: Callable[[], object]) -> None:
        """Import one plugin and take what its hooks offer; what goes wrong becomes a problem."""
        found: object = None
        try:
            found = load()
            if self._check_hooks(plugin, origin, found):
                self._pluggy.register(found, f"{plugin} ({origin})")
                self._ask_hooks(plugin, origin, found)
            elif isinstance(found, ModuleType) and found.__name__.startswith(FILE_PLUGINS):
                self._take_single_class(plugin, origin, found)
        except pluggy.PluginValidationError:
            self.report(plugin, origin, f"{_with_arguments(found)} must take no arguments")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.report(plugin, origin, explain(error))

    def _check_hooks(self, plugin: str, origin: str, found: object) -> bool:
        """Whether a plugin has, or was meant to have, hooks; reports those that would never be called."""
        marked = _marked(found)
        for name, options in marked.items():
            hook = options.get("specname") or name
            if hook not in _HOOKS:
                self.report(plugin, origin, f"there is no hook called {hook!r}{did_you_mean(hook, _HOOKS)}")
        lookalikes = [name for name in dir(found) if name.startswith("gridtop_") and name not in marked]
        unmarked = [name for name in lookalikes if inspect.isroutine(getattr(found, name))]
        for name in unmarked:
            self.report(plugin, origin, f"{name} is never called: put @hookimpl above it")
        return bool(marked or unmarked)

    def _ask_hooks(self, plugin: str, origin: str, found: object) -> None:
        """Call the hooks of one plugin, one by one: pluggy's own call ends at the first that fails."""
        for kind, contract in _CONTRACTS.items():
            for implementation in getattr(self._pluggy.hook, contract.hook).get_hookimpls():
                if implementation.plugin is found:
                    self._ask(kind, plugin, origin, implementation.function)

    def _ask(self, kind: Kind, plugin: str, origin: str, hook: Callable[[], object]) -> None:
        """Call one plugin's implementation of one hook and take the specs it returns."""
        contract = _CONTRACTS[kind]
        try:
            answer = hook()
            specs = list(answer) if isinstance(answer, Iterable) else [answer]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.report(plugin, origin, f"{contract.hook} failed: {explain(error)}")
            return
        for spec in specs:
            if not isinstance(spec, contract.spec):
                kind_of_thing = clean(type(spec).__name__)
                wanted = f"{contract.hook} must return a list of {contract.spec.__name__}"
                self.report(plugin, origin, f"{wanted}, not {kind_of_thing}")
                break
            self._take(Offer(kind, spec, plugin, origin))

    def _take_single_class(self, plugin: str, origin: str, module: ModuleType) -> None:
        """A file without hooks is a plugin when it holds exactly one detector class."""
        classes = [thing for name, thing in vars(module).items() if inspect.isclass(thing) and name[0] != "_"]
        own = [found for found in classes if found.__module__ == module.__name__]
        detectors = [found for found in own if callable(getattr(found, "score", None))]
        if len(detectors) != 1:
            names = ", ".join(found.__name__ for found in detectors) or "none"
            self.report(
                plugin, origin, f"without hooks it must hold one class with a score method; found: {names}"
            )
            return
        description = (detectors[0].__doc__ or module.__doc__ or "").strip()
        summary = clean(description.partition("\n")[0].rstrip("."))
        spec = DetectorSpec(getattr(module, "NAME", plugin), detectors[0], summary)
        self._take(Offer("detector", spec, plugin, origin))

    def _take(self, offer: Offer) -> None:
        """Accept an offer unless it is malformed or its name is taken: the first provider stays."""
        kind, name = offer.kind, offer.spec.name
        if fault := _malformed(offer.spec):
            self.report(offer.plugin, offer.origin, fault)
        elif name in self._disabled:
            return
        elif kind == "command" and importlib.util.find_spec(f"gridtop.commands.{name}"):
            self.report(offer.plugin, offer.origin, f"the command {name!r} is gridtop's own and stays so")
        elif first := self._offers.get((kind, name)):
            fault = f"the {kind} {name!r} is already there ({first.plugin}, {first.origin}) and stays so"
            self.report(offer.plugin, offer.origin, fault)
        else:
            self._offers[kind, name] = offer


def discover(
    dirs: Sequence[Path] = (),
    files: Sequence[Path] = (),
    disable: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Registry:
    """Find every plugin: the built-in ones, entry points, the files of `dirs`, and `files`, in this order.

    `disable` names what to leave out: an entry point, a distribution or the stem of a file, which is then
    not even imported, or one thing that a plugin offers. With GRIDTOP_NO_PLUGINS set, only the built-in
    ones are looked at. Never raises for what a plugin does.
    """
    built_in_only = environment.get(NO_PLUGINS, "").lower() not in ("", "0", "false", "no")
    if not (dirs or files or disable):
        return _discover_packaged(built_in_only)
    return _discover(dirs, files, frozenset(disable), built_in_only)


@functools.cache
def _discover_packaged(built_in_only: bool) -> Registry:
    return _discover((), (), frozenset(), built_in_only)


def _discover(
    dirs: Sequence[Path], files: Sequence[Path], disable: frozenset[str], built_in_only: bool
) -> Registry:
    registry = Registry(built_in_only, disable)
    for name in _BUILT_IN:
        registry.add(name, "built in", functools.partial(importlib.import_module, name))
    if built_in_only:
        return registry
    for point in sorted(importlib.metadata.entry_points(group="gridtop"), key=lambda point: point.name):
        distribution, version = _distribution(point)
        if disable.isdisjoint((point.name, distribution)):
            registry.add(point.name, clean(f"entry point {distribution} {version}".strip()), point.load)
    for file in (*_files_of(dirs, registry), *files):
        if file.stem not in disable:
            registry.add(file.stem, shown(file), functools.partial(import_file, file))
    return registry


def _distribution(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the package that an entry point belongs to."""
    try:
        return (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
    except Exception:  # what pip leaves of a half-removed package can be anything
        return "unknown", ""


def _files_of(dirs: Sequence[Path], registry: Registry) -> list[Path]:
    """The plugin files of some folders, sorted within each; a folder that cannot be used is a problem."""
    found: list[Path] = []
    for folder in dirs:
        try:
            refuse_writable(folder)
            files = sorted(folder.iterdir())
        except (OSError, PluginError) as error:
            registry.report("folder", shown(folder), explain(error))
        else:
            found += [file for file in files if file.suffix == ".py" and not file.name.startswith(("_", "."))]
    return found


def _import_target(offer: Offer) -> Any:
    """What a spec points to; PluginError when it cannot be had or is not what it should be."""
    if offer.missing:
        raise _failure(offer, offer.lack)
    target: Any = offer.spec.target
    try:
        if isinstance(target, str):
            module, _, name = target.partition(":")
            target = getattr(importlib.import_module(module), name)
        fault = _unfit(offer.kind, target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(offer, explain(error)) from error
    if fault:
        raise _failure(offer, fault)
    return target


def _failure(offer: Offer, reason: str) -> PluginError:
    return PluginError(f"{offer.kind} {offer.spec.name!r} ({offer.origin}): {reason}")


def _unfit(kind: Kind, target: Any) -> str:
    """Why a target is not what its spec says, or nothing. Gives a class without settings an empty Config."""
    name = clean(getattr(target, "__qualname__", repr(target)))
    if kind == "command":
        import click

        return "" if isinstance(target, click.Command) else f"{name} is not a click command"
    is_class = inspect.isclass(target)
    if not is_class:
        return f"{name} is not a class"
    methods = _CONTRACTS[kind].methods
    if lacking := [method for method in methods if not callable(getattr(target, method, None))]:
        return f"{name} is no {kind}: it has no method {' and no '.join(lacking)}"
    from pydantic import BaseModel

    from gridtop.contracts import Settings

    if not hasattr(target, "Config"):
        target.Config = Settings
    if not (inspect.isclass(target.Config) and issubclass(target.Config, BaseModel)):
        return f"{name}.Config is not a pydantic model; derive it from gridtop.api.Settings"
    return ""


def _malformed(spec: PluginSpec) -> str:
    """What is wrong with the fields of a spec, or nothing."""
    name = clean(repr(spec.name))
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        return f"the name {name} must be lower-case letters, digits and underscores, a letter first"
    if not isinstance(spec.api, int) or spec.api > API:
        return f"{name} needs plugin interface {spec.api!r} and this gridtop has {API}: upgrade gridtop"
    if isinstance(spec.target, str) and not _TARGET.fullmatch(spec.target):
        return f"the target of {name} must read package.module:Name, not {clean(repr(spec.target))}"
    if not isinstance(spec.summary, str) or clean(spec.summary) != spec.summary:
        return f"the summary of {name} must be one line of text"
    if not isinstance(spec.needs, tuple) or not all(isinstance(need, str) for need in spec.needs):
        return f"what {name} needs must be a tuple of distribution names"
    return ""


def _marked(found: object) -> dict[str, Mapping[str, Any]]:
    """The functions that carry @hookimpl, with what it was told."""
    options = {name: getattr(getattr(found, name, None), "gridtop_impl", None) for name in dir(found)}
    return {name: told for name, told in options.items() if isinstance(told, Mapping)}


def _with_arguments(found: object) -> str:
    """The first hook that asks for arguments, as it is written."""
    signatures = ((name, inspect.signature(getattr(found, name))) for name in _marked(found))
    return next((f"{name}{signature}" for name, signature in signatures if signature.parameters), "a hook")


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return True
