"""Reads the one line that names an estimator: one call with literal arguments, and nothing is ever evaluated.

What may be called is a short list of modules of the package, by exactly their public path, so that no chain
of attributes leads anywhere else. Reading imports none of the packages.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

LONGEST = 2000
"""Characters that the line may have."""

REFUSED = {
    "memory": "it would keep pickles on disk, which execute code when they are read",
    "verbose": "what it prints would get mixed up with the events",
}
"""Arguments that no class may be given, and why; None, False and 0 are no harm."""


class Package(NamedTuple):
    """What of a package may be named.

    modules    those whose public classes may be named, without the package's own name
    functions  those that may be called although they are no classes, with their module
    example    what a line looks like
    extra      the extra of gridtop that installs it
    """

    name: str
    modules: tuple[str, ...]
    functions: tuple[str, ...]
    example: str
    extra: str


SKLEARN = Package(
    "sklearn",
    (
        "compose",
        "covariance",
        "decomposition",
        "ensemble",
        "kernel_approximation",
        "linear_model",
        "mixture",
        "neighbors",
        "pipeline",
        "preprocessing",
        "random_projection",
        "svm",
    ),
    ("compose.make_column_transformer", "pipeline.make_pipeline", "pipeline.make_union"),
    "sklearn.ensemble.IsolationForest(n_estimators=100)",
    "sklearn",
)
PYOD = Package(
    "pyod",
    # Those that were tried and can score a new row by itself, need no further package, and print nothing.
    (
        "models.abod",
        "models.cblof",
        "models.copod",
        "models.ecod",
        "models.gmm",
        "models.hbos",
        "models.hdbscan",
        "models.iforest",
        "models.inne",
        "models.kde",
        "models.knn",
        "models.kpca",
        "models.loda",
        "models.lof",
        "models.mad",
        "models.mcd",
        "models.ocsvm",
        "models.pca",
        "models.sampling",
    ),
    (),
    "pyod.models.knn.KNN(n_neighbors=5)",
    "pyod",
)
RIVER = Package(
    "river",
    ("anomaly", "compose", "optim", "preprocessing", "stats"),
    (),
    "river.anomaly.HalfSpaceTrees(n_trees=25)",
    "river",
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was written: what is called, its arguments, and the column where it begins, from 1.

    Arguments are numbers, texts, True, False, None, lists, tuples and dicts of these, or further calls.
    """

    module: str
    name: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    column: int

    @property
    def path(self) -> str:
        """The whole dotted name."""
        return f"{self.module}.{self.name}"


def read(text: str, package: Package) -> Call:
    """The call that a line means.

    Raises ValueError, one line with the column, for everything that is not one call of a class of the
    package with literals and calls of the same package as arguments.
    """
    line = " ".join(text.split("\n")).strip()
    if len(line) > LONGEST:
        raise ValueError(f"the model has {len(line)} characters; {LONGEST} must do")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in texts: not worth a line on stderr
            tree = ast.parse(line, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"column {error.offset or 1}: {error.msg}; {_allowed(package)}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        what = "nested too deeply" if not isinstance(error, ValueError) else "characters that no name has"
        raise ValueError(f"column 1: {what}; {_allowed(package)}") from None
    return _Reader(line, package).call(tree.body)


def require(package: Package) -> None:
    """ValueError that names the extra when the package is not installed; it is not imported."""
    if importlib.util.find_spec(package.name) is None:
        raise ValueError(f"{package.name} is not installed: pip install 'gridtop[{package.extra}]'")


def refusal(argument: str, value: Any) -> str:
    """Why an argument may not have a value; nothing when it may."""
    return f"{argument} may not be given: {REFUSED[argument]}" if value and argument in REFUSED else ""


def _allowed(package: Package) -> str:
    return (
        f"allowed is one call such as {package.example}, its arguments numbers, texts, True, False, None, "
        f"lists, tuples and dicts of these, or further calls of {package.name}"
    )


class _Reader:
    """Turns the nodes of one line into calls and literals, and refuses the others at their column."""

    def __init__(self, line: str, package: Package) -> None:
        self._bytes, self._package = line.encode(), package

    def call(self, node: ast.AST) -> Call:
        if not isinstance(node, ast.Call):
            self._refuse(node, f"{_kind(node)} is not a call")
        module, name = self._target(node.func)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(keyword.value, "** is not allowed")
            if keyword.arg in named:
                self._refuse(keyword, f"{keyword.arg} is given twice")
            value = self._value(keyword.value)
            if reason := refusal(keyword.arg, value):
                self._refuse(keyword, reason)
            named[keyword.arg] = value
        positional = tuple(self._value(argument) for argument in node.args)
        return Call(module, name, positional, named, self._column(node))

    def _target(self, node: ast.expr) -> tuple[str, str]:
        """The module and the name in it, from `package.module.Name`."""
        parts: list[str] = []
        at = node
        while isinstance(at, ast.Attribute):
            parts.append(at.attr)
            at = at.value
        if not isinstance(at, ast.Name):
            self._refuse(at, f"{_kind(at)} cannot be called by a dotted name")
        parts.append(at.id)
        parts.reverse()
        package, shown = self._package, ".".join(parts)
        if parts[0] != package.name:
            self._refuse(node, f"{shown!r} does not begin with {package.name}.")
        module, name = ".".join(parts[1:-1]), parts[-1]
        if hidden := [part for part in parts if part.startswith("_")]:
            self._refuse(node, f"{hidden[0]!r} in {shown!r} is private")
        if module not in package.modules:
            near = difflib.get_close_matches(module, package.modules, n=1)
            hint = f" (did you mean {package.name}.{near[0]}?)" if near else ""
            choice = ", ".join(package.modules)
            place = f"{package.name}.{module}" if module else repr(shown)
            self._refuse(
                node, f"{place} is none of the modules of {package.name} to choose from{hint}: {choice}"
            )
        return f"{package.name}.{module}", name

    def _value(self, node: ast.expr) -> Any:
        """A literal, or a further call."""
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str()):
                return node.value
            case ast.UnaryOp(
                op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float() as number)
            ):
                return -number if isinstance(node.op, ast.USub) else +number
            case ast.List():
                return [self._value(item) for item in node.elts]
            case ast.Tuple():
                return tuple(self._value(item) for item in node.elts)
            case ast.Dict():
                return dict(
                    self._item(node, key, value) for key, value in zip(node.keys, node.values, strict=True)
                )
            case ast.Call():
                return self.call(node)
        self._refuse(node, f"{_kind(node)} is not allowed")

    def _item(self, node: ast.Dict, key: ast.expr | None, value: ast.expr) -> tuple[Any, Any]:
        if not (isinstance(key, ast.Constant) and isinstance(key.value, (str, int, float, bool, type(None)))):
            self._refuse(key or node, "a key of a dict must be a number or a text")
        return key.value, self._value(value)

    def _column(self, node: ast.AST) -> int:
        return len(self._bytes[: getattr(node, "col_offset", 0)].decode(errors="ignore")) + 1

    def _refuse(self, node: ast.AST, what: str) -> NoReturn:
        raise ValueError(f"column {self._column(node)}: {what}; {_allowed(self._package)}")


def _kind(node: ast.AST) -> str:
    """What a node is, in the words of somebody who writes such a line."""
    match node:
        case ast.Name():
            return f"the name {node.id!r}"
        case ast.Attribute():
            return f"the attribute {node.attr!r} without a call"
        case ast.Constant():
            return f"a {type(node.value).__name__}"
        case ast.Lambda():
            return "a lambda"
        case ast.JoinedStr():
            return "an f-string"
        case ast.Subscript():
            return "an index"
        case ast.Starred():
            return "*"
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return "a comprehension"
        case ast.NamedExpr():
            return "an assignment"
        case ast.BinOp() | ast.BoolOp() | ast.Compare() | ast.UnaryOp() | ast.IfExp():
            return "a calculation"
        case ast.Call():
            return "the result of a call"
    return f"a {type(node).__name__.lower()}"
