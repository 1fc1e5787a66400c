"""Coverage probes of our own modules, written straight into libFuzzer's 8-bit counters.

An import hook parses each module named, puts `counters[n] = 1` at the start of every function and of
every branch, loop and handler, and compiles that instead. The counters are one bytearray that
libFuzzer reads in place, as it reads those of compiled code; a probe costs some tens of nanoseconds,
where tracing by Python's own means costs a call.

`install_lines` has no probes, but `sys.monitoring` of Python 3.12 and later: each line is told when it is
passed for the first time, and never again. What has been seen costs nothing then, and libFuzzer hears of
a line with the first input that passes it, and of no other.

Use: `install(prefixes)` before the modules are imported, `connect()` before the engine starts.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any

CAPACITY = 1 << 16
LINES = 1 << 14  # counters of lines; the last one is of all lines beyond
monitoring: Any = getattr(sys, "monitoring", None)  # where this Python has it
_NAME = "_vmgexit_counters_"

counters = bytearray(CAPACITY)
_used = 0


class _Prober(ast.NodeTransformer):
    """Adds a probe to every place where control can arrive."""

    def _probe(self, at: ast.AST) -> ast.stmt:
        global _used
        _used += 1
        statement = ast.parse(f"{_NAME}[{_used - 1}] = 1").body[0]
        for node in ast.walk(statement):  # or tracebacks and profiles would name line 1
            ast.copy_location(node, at)
        return statement

    def _block(self, body: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
        if body and isinstance(body[0], ast.If):
            return body  # one of its two ways is passed, and each has a probe
        return [self._probe(body[0] if body else at), *body]

    def _function(self, node: Any) -> Any:
        self.generic_visit(node)
        is_doc = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        head = node.body[: int(is_doc)]
        node.body = head + self._block(node.body[int(is_doc) :], node)
        return node

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function

    def visit_If(self, node: ast.If) -> ast.If:
        self.generic_visit(node)
        node.body = self._block(node.body, node)
        node.orelse = self._block(node.orelse, node)  # the way past is a way too
        return node

    def _loop(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body = self._block(node.body, node)
        return node

    visit_For = _loop
    visit_While = _loop
    visit_ExceptHandler = _loop
    visit_match_case = _loop

    def visit_IfExp(self, node: ast.IfExp) -> ast.IfExp:
        return node  # a statement has no place in an expression


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles with probes, and neither reads nor writes bytecode caches."""

    def path_stats(self, path: str) -> Any:
        raise OSError("no cache")

    def source_to_code(self, data: Any, path: str, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        text = data if isinstance(data, str) else importlib.util.decode_source(bytes(data))
        tree = ast.fix_missing_locations(_Prober().visit(ast.parse(text, path)))
        code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[_NAME] = counters
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = tuple(prefixes)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(name == prefix or name.startswith(f"{prefix}.") for prefix in self.prefixes):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


def install(prefixes: Sequence[str]) -> None:
    """Probe every module below `prefixes` that is imported from now on."""
    sys.meta_path.insert(0, _Finder(prefixes))


def install_lines(prefixes: Sequence[str]) -> None:
    """Tell of every line of the modules below `prefixes`. Only where there is `monitoring`."""
    places = tuple(os.sep + prefix.replace(".", os.sep) for prefix in prefixes)
    first, seen = reserve(LINES), 0

    def passed(code: CodeType, line: int) -> object:
        nonlocal seen
        path = code.co_filename
        if any(f"{place}{os.sep}" in path or path.endswith(f"{place}.py") for place in places):
            counters[first + min(seen, LINES - 1)] = 1
            seen += 1
        return monitoring.DISABLE

    monitoring.use_tool_id(monitoring.COVERAGE_ID, "vmgexit")
    monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, passed)
    monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)


def reserve(count: int) -> int:
    """Room for `count` counters that others set; the number of the first. Before `connect`."""
    global _used
    first, _used = _used, _used + count
    if _used > CAPACITY:
        raise ValueError(f"{_used} counters: {CAPACITY} at most")
    return first


def connect(*, with_mutator: bool) -> int:
    """Give libFuzzer the counters of the probes made so far; how many there are.

    To be called once, when every probed module is imported.
    """
    if not _used:
        return 0
    if with_mutator:
        # libFuzzer looks for a custom mutator when its library is loaded, so that one comes first,
        # and its symbols must be global; atheris does the same when it starts.
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | os.RTLD_GLOBAL)
        try:
            import_module("atheris.custom_mutator")
        finally:
            sys.setdlopenflags(flags)
    engine = _engine()
    start = ctypes.addressof((ctypes.c_char * CAPACITY).from_buffer(counters))
    engine.__sanitizer_cov_8bit_counters_init(
        ctypes.c_void_p(start), ctypes.c_void_p(start + _used)
    )
    # A table of (address, flags): any addresses do, as long as they differ. It must outlive us.
    table = (ctypes.c_size_t * (2 * _used))(
        *(word for index in range(_used) for word in (0x1000 + index, 0))
    )
    _kept.append(table)
    first = ctypes.addressof(table)
    engine.__sanitizer_cov_pcs_init(
        ctypes.c_void_p(first), ctypes.c_void_p(first + ctypes.sizeof(table))
    )
    return _used


_kept: list[Any] = []


def _engine() -> ctypes.CDLL:
    """The libFuzzer that will run: one loaded before Python, as fleets do, or else atheris's own."""
    everywhere = ctypes.CDLL(None)
    if hasattr(everywhere, "LLVMFuzzerRunDriver"):  # what atheris, too, takes for a sign of it
        return everywhere
    core: Any = import_module("atheris.core_with_libfuzzer")
    return ctypes.CDLL(core.__file__)


def passed() -> set[int]:
    """The counters passed since `clear`; for use without an engine."""
    return {number for number in range(_used) if counters[number]}


def clear() -> None:
    """Forget what was passed."""
    counters[:] = bytes(CAPACITY)
