"""What a structure may be wrapped in where it is handed out: one table, by how the wrapper begins.

Sources: OpenVMM openhcl/openhcl_attestation_protocol/src/igvm_attest/get.rs (IgvmAttestRequestHeader),
COCONUT-SVSM kernel/src/greq/pld_report.rs (SnpReportResponse).
"""

from __future__ import annotations

from typing import NamedTuple


class Wrapper(NamedTuple):
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
        b"\0\0\0\0\xa0\4\0\0",  # success, and 0x4A0, the size of the report
        0x20,
    ),
)


def wrapper_of(name: str, data: bytes) -> Wrapper | None:
    """What the structure called `name` is wrapped in, in bytes that begin so; None where in nothing."""
    return next((row for row in WRAPPERS if row.of == name and data.startswith(row.begins)), None)
