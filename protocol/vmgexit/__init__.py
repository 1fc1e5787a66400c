"""vmgexit: the wire protocol of AMD SEV-SNP guests (GHCB and SVSM), executable.

    >>> from vmgexit import DoorbellPage
    >>> page = DoorbellPage.decode(bytes.fromhex("61810102") + bytes(4092))
    >>> page.flags.no_further_signal, page.per_vmpl_events.vmpl2
    (True, True)

Every structure has `decode(data)`, `encode()`, `problems()` and `size`. The declarations are in
`vmgexit.wire`, what a declaration is in `vmgexit.schema`.
"""

from .errors import (
    DecodeError,
    EncodeError,
    PeerError,
    ScenarioError,
    UsageError,
    VmgexitError,
)
from .wire import (
    ApicIcr,
    CallingArea,
    DoorbellHead,
    DoorbellPage,
    ExtIntDescriptor,
    ExtIntStatus,
    ResultCode,
    SvsmCall,
    SvsmResult,
)

__all__ = [
    "ApicIcr",
    "CallingArea",
    "DecodeError",
    "DoorbellHead",
    "DoorbellPage",
    "EncodeError",
    "ExtIntDescriptor",
    "ExtIntStatus",
    "PeerError",
    "ResultCode",
    "ScenarioError",
    "SvsmCall",
    "SvsmResult",
    "UsageError",
    "VmgexitError",
]
