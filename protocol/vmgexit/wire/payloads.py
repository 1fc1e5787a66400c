"""What the ciphertext of a guest message holds: the structure of each type of message, in one table."""

from __future__ import annotations

from ..schema import Structure
from .guest_message import (
    GuestMessageHeader,
    KeyRequest,
    KeyRequest2,
    KeyResponse,
    MessageKind,
    ReportRequest,
    ReportResponse,
    TscInfoRequest,
    TscInfoResponse,
)
from .tio import (
    MmioConfigRequest,
    MmioConfigResponse,
    MmioValidateRequest,
    MmioValidateResponse,
    TdiInfoRequest,
    TdiInfoRequestTdiId,
    TdiInfoResponse,
    TdiInfoResponseTdiId,
)
from .tio_dma import (
    SdteWriteRequest,
    SdteWriteRequestTdiId,
    SdteWriteResponse,
    SdteWriteResponseTdiId,
)

PAYLOADS: dict[MessageKind, tuple[type[Structure] | None, ...]] = {
    MessageKind.KEY_REQUEST: (KeyRequest, KeyRequest2),
    MessageKind.KEY_RESPONSE: (KeyResponse,),
    MessageKind.REPORT_REQUEST: (ReportRequest,),
    MessageKind.REPORT_RESPONSE: (ReportResponse,),
    MessageKind.TSC_INFO_REQUEST: (TscInfoRequest,),
    MessageKind.TSC_INFO_RESPONSE: (TscInfoResponse,),
    MessageKind.TDI_INFO_REQUEST: (TdiInfoRequest, TdiInfoRequestTdiId),
    MessageKind.TDI_INFO_RESPONSE: (TdiInfoResponse, TdiInfoResponseTdiId),
    MessageKind.MMIO_VALIDATE_REQUEST: (MmioValidateRequest, None),
    MessageKind.MMIO_VALIDATE_RESPONSE: (MmioValidateResponse, None),
    MessageKind.MMIO_CONFIG_REQUEST: (MmioConfigRequest, None),
    MessageKind.MMIO_CONFIG_RESPONSE: (MmioConfigResponse, None),
    MessageKind.SDTE_WRITE_REQUEST: (SdteWriteRequest, SdteWriteRequestTdiId),
    MessageKind.SDTE_WRITE_RESPONSE: (SdteWriteResponse, SdteWriteResponseTdiId),
}
"""The structure of a payload by the type of the message, then by its version from 1 on; None where it has
another and no source was found. A later version than those listed is read as the last one."""


def payload_of(header: GuestMessageHeader) -> type[Structure] | None:
    """The structure of the payload behind a header; None where its type or version has none here."""
    for kind, structures in PAYLOADS.items():
        if kind == header.msg_type:
            return structures[max(min(header.msg_version, len(structures)), 1) - 1]
    return None
