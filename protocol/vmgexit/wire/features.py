"""What a host can do: the feature bitmap of exit 0x8000FFFD and of GHCB MSR response 0x081.

Sources: COCONUT-SVSM kernel/src/sev/msr_protocol.rs, edk2 MdePkg/Include/Register/Amd/Ghcb.h, Oak
oak_sev_guest/src/msr.rs, zyuiop/ghcb src/msr/hypervisor_features.rs, linux-svsm src/cpu/vc.rs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Problem, bit, reserved, structure

SOURCE = "COCONUT-SVSM kernel/src/sev/msr_protocol.rs; edk2 Ghcb.h; zyuiop/ghcb"


@structure("hypervisor-features", size=8, source=SOURCE)
class HypervisorFeatures(Bits):
    """Hypervisor feature bitmap: SW_EXITINFO2 of exit 0x8000FFFD, data of MSR response 0x081."""

    snp: bool = bit("SEV-SNP", spec="SEV_SNP")
    ap_creation: bool = bit("AP creation exit", spec="AP_CREATION")
    restricted_injection: bool = bit("Restricted injection", spec="RESTR_INJ")
    restricted_injection_timer: bool = bit("Restricted injection timer", spec="RESTR_INJ_TIMER")
    apic_id_list: bool = bit("APIC ID list exit", spec="APIC_ID_LIST")
    multi_vmpl: bool = bit("Several VMPLs per vCPU; run VMPL", spec="MULTI_VMPL")
    es_page_state_change: bool = bit(
        "Page state change for SEV-ES guests; COCONUT-SVSM: SEV_PAGE_STATE_CHANGE",
        spec="ES_PAGE_STATE",
    )
    sev_tio: bool = bit("SEV-TIO", spec="SEV_TIO")
    unregister_gpa: bool = bit("A GHCB can be unregistered", spec="UNREGISTER_GPA")
    extended_interrupts: bool = bit(
        "Extended interrupts: the host takes part in Alternate Injection", spec="EXT_INTERRUPTS"
    )
    reserved_63_10: int = reserved(54)

    def broken(self) -> Iterator[Problem]:
        if self.restricted_injection_timer and not self.restricted_injection:
            # edk2 counts the timer's bit only together with those below it.
            rule = "announced without restricted injection"
            yield Problem("restricted_injection_timer", True, rule, "")


@structure(
    "hypervisor-features",
    size=8,
    revision="2024",
    source="COCONUT-SVSM before e27e9683 (February 2025)",
)
class HypervisorFeatures2024(Bits):
    """Feature bitmap while bit 7 announced Alternate Injection, before numbers were assigned."""

    snp: bool = bit("SEV-SNP", spec="SEV_SNP")
    ap_creation: bool = bit("AP creation exit", spec="AP_CREATION")
    restricted_injection: bool = bit("Restricted injection", spec="RESTR_INJ")
    restricted_injection_timer: bool = bit("Restricted injection timer", spec="RESTR_INJ_TIMER")
    apic_id_list: bool = bit("APIC ID list exit", spec="APIC_ID_LIST")
    multi_vmpl: bool = bit("Several VMPLs per vCPU; run VMPL", spec="MULTI_VMPL")
    page_state_change: bool = bit("Page state change", spec="SEV_PAGE_STATE_CHANGE")
    alternate_injection: bool = bit("Alternate Injection", spec="ALT_INJ")
    reserved_63_8: int = reserved(56)
