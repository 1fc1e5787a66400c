"""What a structure may be wrapped in where it is handed out: one table, by how the wrapper begins.

Sources: OpenVMM openhcl/openhcl_attestation_protocol/src/igvm_attest/get.rs (IgvmAttestRequestHeader),
COCONUT-SVSM kernel/src/greq/pld_report.rs (SnpReportResponse).
"""

from __future__ import annotations

from dataclasses import dataclass

from .report import REPORT_SIZE


@dataclass(frozen=True, slots=True)
class Wrapper:
    """`of`: the structure inside, by its name. `begins`: the wrapper's first bytes. `offset`: where the
    structure stands, in bytes from there."""

    of: str
    what: str
    begins: bytes
    offset: int


WRAPPERS = (
    Wrapper("attestation-report", "an HCL blob", b"HCLA", 0x20),
    Wrapper(
        "attestation-report",
        "a report-response",
        bytes(4) + REPORT_SIZE.to_bytes(4, "little"),  # success, and the report's size
        0x20,
    ),
)


def wrapper_of(name: str, data: bytes) -> Wrapper | None:
    """What the structure called `name` is wrapped in, in bytes that begin so; None where in nothing."""
    return next((row for row in WRAPPERS if row.of == name and data.startswith(row.begins)), None)
