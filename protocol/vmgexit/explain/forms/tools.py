"""What the tools print that a person runs in a guest to get an attestation report."""

from __future__ import annotations

from ..form import Form

_SEV = "virtee/sev src/error.rs"  # the library of snpguest, snphost and sevctl
_GET_REPORT = "AMDESE/sev-guest src/get-report.c"

TOOLS = (
    Form(
        "snpguest",
        "Known SEV FW Error: Status Code: {fw_error:#x}",
        "The firmware refused what was asked.",
        f"{_SEV} FirmwareError",
    ),
    Form(
        "snpguest",
        "Status Code: {fw_error:#x}",
        "The firmware refused what was asked.",
        f"{_SEV} SevError",
        alone=True,
    ),
    Form(
        "sev-guest-get-report",
        "firmware error 0x{guest_request_result:x}",
        "The request failed: the status in the firmware's answer, or both errors of the request.",
        f"{_GET_REPORT} get_report, get_extended_report",
        alone=True,
    ),
    Form(
        "sev-guest-get-report",
        "firmware error {report_error:x}",
        "The request failed. The number is decimal below a line of `ioctl:`, and hex without one.",
        f"{_GET_REPORT} get_report, get_extended_report",
        alone=True,
    ),
)
