"""The declarations and nothing else: one file per structure or chapter, tables first.

Importing this package declares everything, so that `vmgexit.schema.structures()` is complete.
"""

from . import doorbell_history, vmsa
from .apic import ApicIcr
from .doorbell import DoorbellHead, DoorbellPage, ExtIntDescriptor, ExtIntStatus
from .svsm import CallingArea, ResultCode, SvsmCall, SvsmResult

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
    "doorbell_history",
    "vmsa",
]
