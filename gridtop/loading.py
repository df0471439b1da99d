"""Imports the code of plugins, and says in one line what an exception from there means."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import re
import stat
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from gridtop.errors import GridtopError, PluginError
from gridtop.text import clean

FILE_PLUGINS = "gridtop_user."
"""What the module names of one-file plugins begin with."""


def import_file(file: Path) -> ModuleType:
    """Import one file under a name of its own, without touching sys.path."""
    refuse_writable(file)
    place = str(file.resolve())
    stem = re.sub(r"\W", "_", file.stem)
    name = f"{FILE_PLUGINS}{stem}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    loader = _FreshSource(name, place)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=place)
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look a class's module up there
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _FreshSource(importlib.machinery.SourceFileLoader):
    """Compiles the file each time: cached bytecode beside it would be one more thing to trust."""

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)


def refuse_writable(path: Path) -> None:
    """Loading a plugin runs it, so what anybody may write nobody should load."""
    if path.stat().st_mode & stat.S_IWOTH:
        raise PluginError(f"not loaded, because everyone may write to it; run chmod o-w {shown(path)}")


def shown(path: Path) -> str:
    """A path as people know it: from the working directory when it lies within."""
    here = Path.cwd()
    return clean(str(path.relative_to(here) if path.is_relative_to(here) else path))


@contextlib.contextmanager
def blaming(failure: type[GridtopError], what: str) -> Iterator[None]:
    """Whatever a plugin raises within becomes a `failure` of one line; a GridtopError passes as it is."""
    try:
        yield
    except GridtopError:
        raise
    except Exception as error:
        raise failure(f"{what}: {explain(error)}") from error


def explain(error: BaseException) -> str:
    """What a plugin's exception says, in one line, and where in the plugin it happened."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # the exception is the plugin's own class and may be as broken as the plugin
        message = ""
    if isinstance(error, PluginError):
        return clean(message)
    if isinstance(error, SyntaxError):
        file = Path(error.filename or "?").name
        return clean(f"not valid Python: {error.msg} ({file}, line {error.lineno})")
    if isinstance(error, OSError) and error.strerror and error.filename:
        return clean(f"{error.strerror}: {error.filename}")
    if isinstance(error, SystemExit):
        text = f"it called sys.exit({message})"
    elif isinstance(error, ImportError):
        text = f"an import fails: {message}"
    else:
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return clean(text) + _place(error)


def _place(error: BaseException) -> str:
    """` (rocof.py, line 12)`: the plugin's line that is nearest to the engine, for it is the plugin's own."""
    engine = Path(__file__).parent
    for frame in traceback.extract_tb(error.__traceback__):
        file = Path(frame.filename)
        if file.parent != engine and "importlib" not in file.parts and not file.name.startswith("<"):
            return f" ({clean(file.name)}, line {frame.lineno})"
    return ""
