"""The rules between fields, carried to the page: the syntax trees of the functions that state them.

A rule is written once, in Python (`broken`, `judged`, `rules/`). Its tree becomes plain data here, with
every global name replaced by what it stands for; `scripts/rules.js` walks it. Rules are written in a
small part of Python. A rule that uses more is not carried, and the page says that it does not judge there.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from enum import Enum, IntEnum
from types import FunctionType
from typing import Any

from ..layout.naming import label
from ..schema import Problem, Record, Structure, members
from ..wire.exits import exits, find_exit
from ..wire.ghcb import valid_bit

Tree = list[Any]

_WIRE = f"{Structure.__module__.partition('.')[0]}.wire"  # what the codec makes itself is no rule

BUILTINS: dict[Any, str] = {
    **{
        getattr(builtins, name): name
        for name in ("any", "bool", "enumerate", "getattr", "int", "len")
    },
    **{getattr(builtins, name): name for name in ("max", "min", "range", "slice", "type")},
    Problem: "Problem",
    Record.judged: "judged",
    find_exit: "find_exit",
    members: "members",
    valid_bit: "valid_bit",
}
"""What rules call, and `rules.js` has."""

_BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Mod: "%", ast.FloorDiv: "//",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
_COMPARED = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


class NotCarried(Exception):
    """A rule uses more of Python than the page walks."""


class Carried:
    """Functions, methods and objects as data, each under its number."""

    def __init__(self, codes: Callable[[type[IntEnum]], str]) -> None:
        self._codes = codes
        self.functions: list[Any] = []
        self.objects: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}
        self._objects: list[Any] = []
        self._asked: set[str] = set()

    def function(self, function: Any) -> int:
        """The number of a function. Raises NotCarried."""
        if function not in self._numbers:
            self._numbers[function] = number = len(self.functions)
            self.functions.append(None)
            try:
                self.functions[number] = _Function(self, function).tree()
            except NotCarried:
                del self._numbers[function]
                raise
        return self._numbers[function]

    def methods(self, classes: Iterable[type[Structure]]) -> dict[str, dict[str, Any]]:
        """By structure and name: the properties and methods that the rules so far ask for."""
        classes, found = list(classes), {}
        while True:
            asked = set(self._asked)
            found = {label(cls): made for cls in classes if (made := self._of(cls, asked))}
            if asked == self._asked:
                return found

    def _of(self, cls: type[Structure], asked: set[str]) -> dict[str, Any]:
        made = {}
        for name in sorted(asked):
            held = getattr(cls, name, None)
            function = held.fget if isinstance(held, property) else held
            if isinstance(function, FunctionType) and (function.__module__ or "").startswith(_WIRE):
                number = self.attempt(function)
                if number is not None:
                    made[name] = [number, isinstance(held, property)]
        return made

    def attempt(self, function: Any) -> int | None:
        """The number of a function; None where it is not carried."""
        try:
            return self.function(function)
        except NotCarried:
            return None

    def ask(self, name: str) -> None:
        self._asked.add(name)

    def constant(self, value: Any) -> Tree:
        """A Python object as a tree."""
        if isinstance(value, bool | str) or value is None:
            return ["c", value]
        if isinstance(value, IntEnum):
            return ["i", str(int(value)), value.name]
        if isinstance(value, int):
            return ["i", str(value)]
        if isinstance(value, bytes):
            return ["b", value.hex()]
        if isinstance(value, tuple | list | frozenset):
            return ["t", [self.constant(each) for each in value]]
        if isinstance(value, dict):
            return ["d", [[self.constant(key), self.constant(held)] for key, held in value.items()]]
        if isinstance(value, Enum):
            return ["c", str(value)]
        if isinstance(value, functools._lru_cache_wrapper) or callable(value):
            return self._callable(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return ["o", self._object(value)]
        raise NotCarried(repr(value))

    def _callable(self, value: Any) -> Tree:
        if value in BUILTINS:
            return ["builtin", BUILTINS[value]]
        if isinstance(value, type) and issubclass(value, Structure):
            return ["s", label(value)]
        if isinstance(value, type) and issubclass(value, IntEnum):
            return ["e", self._codes(value)]
        if isinstance(value, FunctionType):
            return ["f", self.function(value)]
        raise NotCarried(repr(value))

    def _object(self, value: Any) -> int:
        """The number of an object; equal ones have one."""
        if value in self._objects:
            return self._objects.index(value)
        self._objects.append(value)
        self.objects.append({})
        number = len(self.objects) - 1
        for name in (*(field.name for field in dataclasses.fields(value)), "name", "direction"):
            if name not in ("examples", "source", "may") and hasattr(value, name):
                self.objects[number][name] = self.constant(getattr(value, name))
        return number

    def exits(self) -> list[Tree]:
        """The rows of exits, which rules look up."""
        return [[str(int(row.code)), self.constant(row)] for row in exits()]


class _Function:
    """One function on its way to a tree."""

    def __init__(self, carried: Carried, function: Any) -> None:
        self.carried = carried
        self.names: dict[str, Any] = {**vars(builtins), **function.__globals__}
        self.node = _node_of(function)
        self.locals = {each.arg for each in self.node.args.args}
        for each in ast.walk(self.node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                self.locals.add(each.id)

    def tree(self) -> Tree:
        """[parameters, defaults, whether it yields, statements]."""
        arguments = self.node.args
        if arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
            raise NotCarried("arguments")
        held = self.node.body
        body: list[ast.stmt] = held if isinstance(held, list) else [ast.Return(held)]
        yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(self.node))
        names = [each.arg for each in arguments.args]
        defaults = [self.expression(each) for each in arguments.defaults]
        return [names, defaults, yields, self.statements(body)]

    def statements(self, body: list[ast.stmt]) -> Tree:
        return [made for each in body if (made := self.statement(each))]

    def statement(self, node: ast.stmt) -> Tree:
        match node:
            case ast.Expr(ast.Constant()) | ast.Pass():
                return []  # a docstring
            case ast.Expr(ast.Yield(value=value)) if value is not None:
                return ["yield", self.expression(value)]
            case ast.Expr(ast.YieldFrom(value=value)):
                return ["from", self.expression(value)]
            case ast.Return(value=value):
                return ["return", self.expression(value) if value else ["c", None]]
            case ast.If(test=test, body=body, orelse=other):
                return ["if", self.expression(test), self.statements(body), self.statements(other)]
            case ast.For(target=target, iter=items, body=body, orelse=[]):
                return ["for", self.target(target), self.expression(items), self.statements(body)]
            case ast.Assign(targets=[target], value=value):
                return ["set", self.target(target), self.expression(value)]
        raise NotCarried(ast.dump(node))

    def target(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Tuple(elts=parts):
                return [self.target(each) for each in parts]
        raise NotCarried(ast.dump(node))

    def expression(self, node: ast.expr) -> Tree:
        if isinstance(node, ast.Name | ast.Attribute | ast.Constant) and self.is_global(node):
            return self.carried.constant(self.value(node))
        match node:
            case ast.Name(id=name):
                return ["name", name]
            case ast.Attribute(value=value, attr=attribute):
                self.carried.ask(attribute)
                return ["attr", self.expression(value), attribute]
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return [name, [self.expression(each) for each in values]]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ["not", self.expression(operand)]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return ["op", "-", ["i", "0"], self.expression(operand)]
            case ast.BinOp(left=left, op=op, right=right):
                return ["op", _BINARY[type(op)], self.expression(left), self.expression(right)]
            case ast.Compare(left=left, ops=ops, comparators=others):
                rest = [
                    [_COMPARED[type(op)], self.expression(each)]
                    for op, each in zip(ops, others, strict=True)
                ]
                return ["compare", self.expression(left), rest]
            case ast.IfExp(test=test, body=body, orelse=other):
                return ["choose", *(self.expression(each) for each in (test, body, other))]
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return ["t", [self.expression(each) for each in parts]]
            case ast.JoinedStr(values=parts):
                return ["text", [self.piece(each) for each in parts]]
            case ast.Subscript(value=value, slice=ast.Slice(lower=low, upper=high, step=None)):
                ends = [self.expression(each) if each else ["c", None] for each in (low, high)]
                return ["slice", self.expression(value), *ends]
            case ast.Subscript(value=value, slice=at):
                return ["at", self.expression(value), self.expression(at)]
            case (
                ast.GeneratorExp(elt=made, generators=[one])
                | ast.ListComp(elt=made, generators=[one])
            ):
                tests = [self.expression(each) for each in one.ifs]
                return [
                    "each",
                    self.expression(made),
                    self.target(one.target),
                    self.expression(one.iter),
                    tests,
                ]
            case ast.Call(func=called, args=arguments, keywords=[]):
                return self.call(called, arguments)
        raise NotCarried(ast.dump(node))

    def call(self, called: ast.expr, arguments: list[ast.expr]) -> Tree:
        if not arguments and self.is_global(called):
            made = self.value(called)
            if (
                isinstance(made, type)
                and dataclasses.is_dataclass(made)
                and not issubclass(made, Structure)
            ):
                return self.carried.constant(made())
        values = [self.expression(each) for each in arguments]
        if isinstance(called, ast.Attribute) and not self._is_function(called):
            self.carried.ask(called.attr)
            return ["method", self.expression(called.value), called.attr, values]
        return ["call", self.expression(called), values]

    def _is_function(self, node: ast.expr) -> bool:
        return self.is_global(node) and self.value(node) in BUILTINS

    def piece(self, node: ast.expr) -> Tree:
        if isinstance(node, ast.Constant):
            return ["c", node.value]
        assert isinstance(node, ast.FormattedValue)
        spec = ast.unparse(node.format_spec)[2:-1] if node.format_spec else ""
        if node.conversion != -1 or spec not in ("", "#x"):
            raise NotCarried(ast.dump(node))
        return ["format", self.expression(node.value), spec]

    def is_global(self, node: ast.expr) -> bool:
        """Whether a name, with its attributes, is of the module and not of the function."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Constant) or (
            isinstance(node, ast.Name) and node.id not in self.locals and node.id in self.names
        )

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.names[node.id]
        assert isinstance(node, ast.Attribute)
        return getattr(self.value(node.value), node.attr)


@functools.cache
def _tree_of(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


def _node_of(function: Any) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of a function, found by its first line."""
    line = function.__code__.co_firstlineno
    found = [
        each
        for each in ast.walk(_tree_of(function.__module__))
        if isinstance(each, ast.FunctionDef | ast.Lambda) and _first_line(each) == line
    ]
    named = [each for each in found if getattr(each, "name", "<lambda>") == function.__name__]
    if len(named) != 1:
        raise NotCarried(function.__qualname__)
    return named[0]


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    decorators = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else node.lineno
