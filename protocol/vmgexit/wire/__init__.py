"""The declarations and nothing else: one file per structure or chapter, tables first.

A chapter is imported when one of its names is first asked for, so that a program pays for what it
reads and not for the whole protocol. `load_all` imports every chapter; `schema.structures()` calls
it, so that whoever lists structures sees all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` finds, for type checkers and editors
    from .ap_creation import ApCreation, ApicIdListPage
    from .apic import ApicIcr
    from .attestation import AttestServices, AttestSingleService
    from .core import PvalidateEntry, PvalidateHeader, PvalidateList
    from .doorbell import DoorbellHead, DoorbellPage, ExtIntDescriptor, ExtIntStatus
    from .exit_codes import ExitCode, IoioInfo
    from .exits import Exit, find_exit
    from .features import HypervisorFeatures
    from .ghcb import GhcbPage
    from .ghcb_msr import GhcbInfo, GhcbMsr, decode_msr
    from .guest_message import AttestationReport, GuestMessage, GuestMessageHeader
    from .injection import DisableInjection, SpecificEoi
    from .page_state import PscEntry, PscHeader, PscRequest
    from .rmp import RmpAdjustAttributes
    from .secrets import SecretsPage
    from .svsm import CallingArea, ResultCode, SvsmCall, SvsmResult
    from .termination import TerminationInfo
    from .uefi_mm import MmCommunicateHeader
    from .vmsa import EventInj, SevFeatures, SevStatus, VintrCtrl, Vmsa
    from .vtpm import VtpmRequest, VtpmResponse

_HOMES = {
    "ap_creation": ("ApCreation", "ApicIdListPage"),
    "apic": ("ApicIcr",),
    "attestation": ("AttestServices", "AttestSingleService"),
    "core": ("PvalidateEntry", "PvalidateHeader", "PvalidateList"),
    "doorbell": ("DoorbellHead", "DoorbellPage", "ExtIntDescriptor", "ExtIntStatus"),
    "doorbell_history": (),
    "exit_codes": ("ExitCode", "IoioInfo"),
    "exits": ("Exit", "find_exit"),
    "features": ("HypervisorFeatures",),
    "ghcb": ("GhcbPage",),
    "ghcb_msr": ("GhcbInfo", "GhcbMsr", "decode_msr"),
    "guest_message": ("AttestationReport", "GuestMessage", "GuestMessageHeader"),
    "injection": ("DisableInjection", "SpecificEoi"),
    "page_state": ("PscEntry", "PscHeader", "PscRequest"),
    "rmp": ("RmpAdjustAttributes",),
    "secrets": ("SecretsPage",),
    "svsm": ("CallingArea", "ResultCode", "SvsmCall", "SvsmResult"),
    "termination": ("TerminationInfo",),
    "uefi_mm": ("MmCommunicateHeader",),
    "vmsa": ("EventInj", "SevFeatures", "SevStatus", "VintrCtrl", "Vmsa"),
    "vtpm": ("VtpmRequest", "VtpmResponse"),
}
"""Every chapter, and which of its names this package has too."""

_HOME_OF = {name: chapter for chapter, names in _HOMES.items() for name in names}

__all__ = [
    "ApCreation",
    "ApicIcr",
    "ApicIdListPage",
    "AttestServices",
    "AttestSingleService",
    "AttestationReport",
    "CallingArea",
    "DisableInjection",
    "DoorbellHead",
    "DoorbellPage",
    "EventInj",
    "Exit",
    "ExitCode",
    "ExtIntDescriptor",
    "ExtIntStatus",
    "GhcbInfo",
    "GhcbMsr",
    "GhcbPage",
    "GuestMessage",
    "GuestMessageHeader",
    "HypervisorFeatures",
    "IoioInfo",
    "MmCommunicateHeader",
    "PscEntry",
    "PscHeader",
    "PscRequest",
    "PvalidateEntry",
    "PvalidateHeader",
    "PvalidateList",
    "ResultCode",
    "RmpAdjustAttributes",
    "SecretsPage",
    "SevFeatures",
    "SevStatus",
    "SpecificEoi",
    "SvsmCall",
    "SvsmResult",
    "TerminationInfo",
    "VintrCtrl",
    "Vmsa",
    "VtpmRequest",
    "VtpmResponse",
    "decode_msr",
    "find_exit",
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
