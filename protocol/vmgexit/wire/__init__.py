"""The declarations and nothing else: one file per structure or chapter, tables first.

A chapter is imported when one of its names is first asked for, so that a program pays for what it
reads and not for the whole protocol. `load_all` imports every chapter; `schema.structures()` calls
it, so that whoever lists structures sees all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` finds, for type checkers and editors
    from .apic import ApicIcr
    from .doorbell import DoorbellHead, DoorbellPage, ExtIntDescriptor, ExtIntStatus
    from .svsm import CallingArea, ResultCode, SvsmCall, SvsmResult

_HOMES = {
    "apic": ("ApicIcr",),
    "doorbell": ("DoorbellHead", "DoorbellPage", "ExtIntDescriptor", "ExtIntStatus"),
    "doorbell_history": (),
    "svsm": ("CallingArea", "ResultCode", "SvsmCall", "SvsmResult"),
    "vmsa": (),
}
"""Every chapter, and which of its names this package has too."""

_HOME_OF = {name: chapter for chapter, names in _HOMES.items() for name in names}

__all__ = [
    "ApicIcr",
    "CallingArea",
    "DoorbellHead",
    "DoorbellPage",
    "ExtIntDescriptor",
    "ExtIntStatus",
    "ResultCode",
    "SvsmCall",
    "SvsmResult",
    "load_all",
]


def load_all() -> None:
    """Import every chapter: afterwards every structure is declared."""
    from importlib import import_module

    for chapter in _HOMES:
        import_module(f"{__name__}.{chapter}")


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
