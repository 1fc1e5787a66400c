"""Bugs that real implementations had, put into our own code at run time: one file for each part.

A bug is a function under `@bug`: its docstring says what is wrong, and calling it replaces functions,
methods or table rows of the modules as they are imported, instrumented or not. It returns what undoes
that. `vmgexit fuzz run TARGET --plant tests.campaigns.planted.machine:NAME` fuzzes with one.
"""

from __future__ import annotations

import contextlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Undo = Callable[[], None]
Plant = Callable[[], Undo]


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug. `source` names the commit, with its pull request, that mended it in the field."""

    name: str
    wrong: str  # in one sentence
    source: str
    target: str  # of `vmgexit fuzz` that must find it
    plant: Plant

    @property
    def place(self) -> str:
        """The function as `--plant` takes it: `MODULE:FUNCTION`."""
        return f"{self.plant.__module__}:{self.plant.__name__}"


_BUGS: dict[str, Bug] = {}


def bug(source: str, *, target: str = "scenario") -> Callable[[Plant], Plant]:
    """Makes a function a row of the table, under its own name with hyphens."""

    def add(plant: Plant) -> Plant:
        name = plant.__name__.replace("_", "-")
        _BUGS[name] = Bug(name, " ".join((plant.__doc__ or "").split()), source, target, plant)
        return plant

    return add


def bugs() -> dict[str, Bug]:
    """Every bug by name. Imports what they are planted in, so not before that is instrumented."""
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        import_module(f"{__name__}.{module}")
    return dict(_BUGS)


def replace(holder: Any, name: Any, new: Any) -> Undo:
    """Put `new` in the place of an attribute of a module or class, or of a row of a dict."""
    if isinstance(holder, dict):
        old = holder[name]
        holder[name] = new
        return lambda: holder.__setitem__(name, old)
    old = inspect.getattr_static(holder, name)  # a static method as such
    setattr(holder, name, new)
    return lambda: setattr(holder, name, old)


def all_of(*undos: Undo) -> Undo:
    """Undoes several replacements, the last one first."""

    def undo() -> None:
        for one in reversed(undos):
            one()

    return undo


@contextlib.contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The bug is in while the block runs."""
    undo = bug.plant()
    try:
        yield
    finally:
        undo()
