"""Builds the estimator that a line names, from classes that its package itself defines and nothing else."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import warnings
from typing import Any

from gridtop.plugins.detectors.estimators.expressions import (
    PYOD,
    REFUSED,
    RIVER,
    SKLEARN,
    Call,
    Package,
    refusal,
)

SEEDS = ("random_state", "seed")
"""What the parameters are called that make an estimator draw the same numbers each time."""

_BASES = {
    SKLEARN.name: ("sklearn.base", "BaseEstimator"),
    PYOD.name: ("pyod.models.base", "BaseDetector"),
    RIVER.name: ("river.base", "Base"),
}
_QUIET = re.compile(r"(sklearn|pyod|river|scipy|numba|joblib|gridtop\.plugins\.detectors\.estimators)(\.|$)")


def build(call: Call, package: Package) -> Any:
    """A new estimator, with a seed of 0 where its class takes one and the line gives none.

    Raises ValueError when the name is not that of such a class, or its arguments do not fit.
    """
    target = _target(call, package)
    positional = [_built(value, package) for value in call.positional]
    named = {name: _built(value, package) for name, value in call.named.items()}
    known = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in named:
        if name not in known and not takes_any:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else f"; it has {', '.join(known)}"
            raise ValueError(f"column {call.column}: {call.path} has no argument {name!r}{hint}")
    try:
        bound = inspect.signature(target).bind_partial(*positional, **named).arguments
        for name in REFUSED:
            if reason := refusal(name, bound.get(name)):
                raise ValueError(reason)
        seeds = {seed: 0 for seed in SEEDS if seed in known and seed not in bound}
        return target(*positional, **named, **seeds)
    except Exception as error:  # whatever the library's own checks raise
        raise ValueError(f"column {call.column}: {call.path}: {' '.join(str(error).split())}") from error


def silence() -> None:
    """Keep warnings of the packages off stderr, where a screen may be: no user can act on them."""
    warnings.filterwarnings("ignore", module=_QUIET.pattern)


def _built(value: Any, package: Package) -> Any:
    match value:
        case Call():
            return build(value, package)
        case list() | tuple():
            return type(value)(_built(item, package) for item in value)
        case dict():
            return {key: _built(item, package) for key, item in value.items()}
    return value


def _target(call: Call, package: Package) -> Any:
    """The class or function; it must stand in its module and come from the package itself."""
    try:
        module = importlib.import_module(call.module)
    except ImportError as error:
        lacks = f"{call.module} cannot be imported: {error}"
        raise ValueError(f"{lacks}; pip install 'gridtop[{package.extra}]'") from error
    target = vars(module).get(call.name)
    home = getattr(target, "__module__", None)
    at_home = isinstance(home, str) and home.startswith(f"{package.name}.")
    path = f"{call.module}.{call.name}".removeprefix(f"{package.name}.")
    if at_home and path in package.functions and inspect.isfunction(target):
        return target
    base_module, base_name = _BASES[package.name]
    base = getattr(importlib.import_module(base_module), base_name)
    if not (at_home and inspect.isclass(target) and issubclass(target, base)):
        classes = [
            name
            for name, found in vars(module).items()
            if inspect.isclass(found) and issubclass(found, base) and not name.startswith("_")
        ]
        near = difflib.get_close_matches(call.name, classes, n=1)
        hint = f" (did you mean {call.module}.{near[0]}?)" if near else ""
        raise ValueError(f"column {call.column}: {call.path} is no estimator of {package.name}{hint}")
    return target
