"""`vmgexit gdb` and `vmgexit drgn`: scripts that show our structures in those programs."""

from __future__ import annotations

import argparse

from ..debugger import script
from ..errors import UsageError
from ..layout.subjects import published
from ..wire.registry import find
from .formatter import examples

_USE = {
    "gdb": (
        "vmgexit gdb > vmgexit-gdb.py",
        "(gdb) source vmgexit-gdb.py",
        "(gdb) vmgexit-ghcb ADDRESS",
    ),
    "drgn": ("vmgexit drgn > vmgexit-drgn.py", "drgn -p PID vmgexit-drgn.py ghcb ADDRESS"),
}


def register(parser: argparse.ArgumentParser) -> None:
    debugger = parser.prog.rpartition(" ")[2]
    parser.description = (
        "Print a script that shows structures in the memory of a program, a core or a kernel. It needs"
        " nothing of vmgexit."
    )
    parser.epilog = examples(*_USE[debugger])
    parser.add_argument("names", nargs="*", metavar="NAME", help="structures (default: all)")
    parser.set_defaults(run=run, debugger=debugger)


def run(arguments: argparse.Namespace) -> int:
    classes = [find(name) for name in arguments.names] or published()
    for name, cls in zip(arguments.names, classes, strict=False):
        if cls.declaration.any_length:
            raise UsageError(f"{name} has any length: a script shows structures of a fixed size")
    print(script(arguments.debugger, classes))
    return 0
