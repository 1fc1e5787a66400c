"""vmgexit: the wire protocol of AMD SEV-SNP guests (GHCB and SVSM), executable.

    >>> from vmgexit import DoorbellPage
    >>> page = DoorbellPage.decode(bytes.fromhex("61810102") + bytes(4092))
    >>> page.flags.no_further_signal, page.per_vmpl_events.vmpl2
    (True, True)

Every structure has `decode(data)`, `encode()`, `problems()` and `size`. The declarations are in
`vmgexit.wire`, what a declaration is in `vmgexit.schema`. They are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    DecodeError,
    EncodeError,
    PeerError,
    ScenarioError,
    UsageError,
    VmgexitError,
)

if TYPE_CHECKING:  # what `__getattr__` finds, for type checkers and editors
    from .wire import (
        ApCreation,
        ApicIcr,
        ApicIdListPage,
        AttestationReport,
        AttestServices,
        AttestSingleService,
        CallingArea,
        DisableInjection,
        DoorbellHead,
        DoorbellPage,
        EventInj,
        Exit,
        ExitCode,
        ExtIntDescriptor,
        ExtIntStatus,
        GhcbInfo,
        GhcbMsr,
        GhcbPage,
        GuestMessage,
        GuestMessageHeader,
        HypervisorFeatures,
        IoioInfo,
        MmCommunicateHeader,
        PscEntry,
        PscHeader,
        PscRequest,
        PvalidateEntry,
        PvalidateHeader,
        PvalidateList,
        ResultCode,
        RmpAdjustAttributes,
        SecretsPage,
        SevFeatures,
        SevStatus,
        SpecificEoi,
        SvsmCall,
        SvsmResult,
        TerminationInfo,
        VintrCtrl,
        Vmsa,
        VtpmRequest,
        VtpmResponse,
        decode_msr,
        find_exit,
    )

__all__ = [
    "ApCreation",
    "ApicIcr",
    "ApicIdListPage",
    "AttestServices",
    "AttestSingleService",
    "AttestationReport",
    "CallingArea",
    "DecodeError",
    "DisableInjection",
    "DoorbellHead",
    "DoorbellPage",
    "EncodeError",
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
    "PeerError",
    "PscEntry",
    "PscHeader",
    "PscRequest",
    "PvalidateEntry",
    "PvalidateHeader",
    "PvalidateList",
    "ResultCode",
    "RmpAdjustAttributes",
    "ScenarioError",
    "SecretsPage",
    "SevFeatures",
    "SevStatus",
    "SpecificEoi",
    "SvsmCall",
    "SvsmResult",
    "TerminationInfo",
    "UsageError",
    "VintrCtrl",
    "VmgexitError",
    "Vmsa",
    "VtpmRequest",
    "VtpmResponse",
    "decode_msr",
    "find_exit",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import wire

    found = getattr(wire, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
