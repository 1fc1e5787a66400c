"""What projects call the entries of our tables: the prefix of each list, and names that differ.

A prefix tells which list is meant: `SVSM_ERR_BUSY` is no `BUSY` of another list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from . import subject
from .subject import Kind, Subject, plain


@dataclass(frozen=True, slots=True)
class Family:
    """Names of one list: their prefix, and the kind and place of the subjects."""

    prefix: str
    kinds: tuple[Kind, ...]
    place: str = ""
    others: tuple[tuple[str, str], ...] = ()  # name behind the prefix, and ours

    def has(self, each: Subject) -> bool:
        return each.kind in self.kinds and each.place.startswith(self.place)

    def names(self, each: Subject) -> list[str]:
        """The names of a subject within the family."""
        if not self.has(each):
            return []
        short = each.name.replace("REQUEST", "REQ").replace("RESPONSE", "RSP")
        others = [name for name, ours in self.others if ours == each.name]
        return [self.prefix + name for name in dict.fromkeys([each.name, short, *others])]


_EXITS = (subject.EXIT, subject.PROCESSOR_EXIT)
_CODE = (subject.CODE,)
_BIT = (subject.BIT,)
_STATUS_BITS = (
    ("SEV_ENABLED", "sev"),
    ("SEV_ES_ENABLED", "sev_es"),
    ("SEV_SNP_ENABLED", "snp_active"),
    ("SNP_SMT_PROT", "smt_protection"),
    ("SNP_DEBUG_SWAP", "debug_swap"),
    ("SNP_BTB_ISOLATION", "snp_btb_isolation"),
    ("SNP_RESTRICTED_INJ", "restricted_injection"),
    ("SNP_ALT_INJ", "alternate_injection"),
    ("SNP_PREVENT_HOST_IBS", "prevent_host_ibs"),
    ("SNP_VMSA_REG_PROT", "vmsa_register_protection"),
)

_CLEAN_BITS = (
    ("PERM_MAP", "permission_maps"),
    ("INTR", "interrupts"),
    ("NPT", "nested_paging"),
    ("CR", "control_registers"),
    ("DR", "debug_registers"),
    ("DT", "descriptor_tables"),
    ("SEG", "segments"),
    ("LBR", "last_branches"),
    ("SW", "software"),
)

FAMILIES = (
    Family(
        "AVIC_IPI_FAILURE_",
        _CODE,
        "avic-incomplete-ipi-cause failure",
        (
            ("INVALID_INT_TYPE", "INVALID_TYPE"),
            ("TARGET_NOT_RUNNING", "NOT_RUNNING"),
            ("INVALID_IPI_VECTOR", "INVALID_VECTOR"),
        ),
    ),
    Family("IGVM_VHT_", _CODE, "igvm-variable-header type"),
    Family(
        "INTERCEPT_",
        _BIT,
        "intercepts-word",
        (
            ("SELECTIVE_CR0", "cr0_selective"),
            ("INTn", "int_n"),
            ("IOIO_PROT", "ioio"),
            ("MSR_PROT", "msr"),
            ("MWAIT_COND", "mwait_conditional"),
        ),
    ),
    Family("MMIO_CONFIG_", _CODE, "mmio-config-response status"),
    Family("MMIO_VALIDATE_", _CODE, "mmio-validate-response status"),
    Family("SDTE_WRITE_", _CODE, "sdte-write-response status"),
    Family("SEV_RET_SEV_STATUS_", (subject.FIRMWARE,)),
    Family("SVM_MISC_ENABLE_", _BIT, "vmcb-misc-ctl", (("NP", "nested_paging"),)),
    Family("SVM_MISC2_ENABLE_", _BIT, "vmcb-misc-ctl2"),
    Family("TIO_MSG_", _CODE, "guest-message-header msg_type"),
    Family("TIO_MSG_TDI_INFO_RSP_STATUS_", _CODE, "tdi-info-response status"),
    Family("TLB_CONTROL_", _CODE, "vmcb-control tlb_ctl"),
    Family("VMCB_", _BIT, "vmcb-clean", _CLEAN_BITS),
    Family("SVM_VMGEXIT_", _EXITS),
    Family("SVM_EXIT_", _EXITS, "", (("AVIC_UNACCELERATED_ACCESS", "AVIC_NOACCEL"),)),
    Family("VMEXIT_", _EXITS),
    Family("SVM_VMGEXIT_AP_", _CODE, "ap-creation operation"),
    Family("GHCB_ERR_", _CODE, "exit-error error"),
    Family("GHCB_HV_FT_", _BIT, "hypervisor-features"),
    Family(
        "GHCB_HV_FT_SNP_",
        _BIT,
        "hypervisor-features",
        (("RINJ", "restricted_injection"), ("RINJ_TIMER", "restricted_injection_timer")),
    ),
    Family(
        "GHCB_HV_RESP_",
        _CODE,
        "exit-status status",
        (("NO_ACTION", "DONE"), ("ISSUE_EXCEPTION", "RAISE_EVENT")),
    ),
    Family("GHCB_MSR_", (subject.MSR_MESSAGE,)),
    Family(
        "GHCB_SEV_ES_",
        (subject.REASON,),
        "set 0",
        (("GEN_REQ", "GENERAL_REQUEST"), ("PROT_UNSUPPORTED", "PROTOCOL_RANGE")),
    ),
    Family("GHCB_SNP_", (subject.REASON,), "set 0", (("UNSUPPORTED", "SNP_FEATURES"),)),
    Family("GHCB_TERM_", (subject.REASON,), "set 1,"),
    Family("MSR_AMD64_", _BIT, "sev-status", _STATUS_BITS),
    Family("MSR_AMD64_SNP_", _BIT, "sev-status"),
    Family("PSMASH_", _CODE, "psmash-status status"),
    Family("PVALIDATE_", _CODE, "rmp-status status"),
    Family("RMPUPDATE_", _CODE, "rmpupdate-status status"),
    Family(
        "SEV_RET_",
        (subject.FIRMWARE,),
        "",
        (
            ("INVALID_LEN", "INVALID_LENGTH"),
            ("INVALID_PARAM", "INVALID_PARAMETER"),
            ("DFFLUSH_REQUIRED", "DF_FLUSH_REQUIRED"),
            ("INVALID_MDATA_ENTRY", "INVALID_METADATA_ENTRY"),
            ("AEAD_OFLOW", "AEAD_OVERFLOW"),
            ("EXIT_RING_BUFFER", "RING_BUFFER_MODE_EXITED"),
            ("RMP_INITIALIZATION_FAILED", "RMP_INIT_FAILED"),
        ),
    ),
    Family(
        "HWSEV_RET_",
        (subject.FIRMWARE,),
        "",
        (("PLATFORM", "HARDWARE_ERROR_PLATFORM"), ("UNSAFE", "HARDWARE_ERROR_UNSAFE")),
    ),
    Family("SEV_CMD_", _CODE, "the commands of the firmware"),
    Family("KVM_PLANE_EVENT_", _CODE, "kvm-plane-event cause"),
    Family("KVM_", _CODE, "KVM's interface for planes"),
    Family(
        "SEV_TERM_SET_", _CODE, "ghcb-msr-termination-request reason_set", (("GEN", "GENERAL"),)
    ),
    Family("SNP_GUEST_VMM_ERR_", _CODE, "guest-request-result vmm"),
    Family("SNP_GUEST_REQ_ERR_", _CODE, "guest-request-result vmm"),
    Family("SNP_GUEST_REQ_", _CODE, "guest-request-result vmm"),
    Family("SNP_MSG_", _CODE, "guest-message-header msg_type"),
    Family("SNP_PAGE_STATE_", _CODE, "ghcb-msr-page-state-request operation"),
    Family(
        "SVM_SEV_FEAT_",
        _BIT,
        "sev-features",
        (("ALLOWED_SEV_FEATURES", "allowed_sev_features_enable"),),
    ),
    Family("SVSM_ERR_", (subject.RESULT,)),
    Family("SVSM_PVALIDATE_", (subject.RESULT,)),
    Family("SVSM_VTPM_", (subject.CALL,), "protocol VTPM", (("CMD", "SVSM_VTPM_COMMAND"),)),
    Family(
        "VMGEXIT_PSC_ERROR_",
        _CODE,
        "psc-result error",
        (("INVALID_HDR", "INVALID"), ("INVALID_ENTRY", "INVALID")),
    ),
)
"""Sources: Linux arch/x86/include/asm/sev-common.h, arch/x86/include/uapi/asm/svm.h,
arch/x86/include/asm/msr-index.h, include/uapi/linux/psp-sev.h, include/linux/psp-sev.h (with the TIO
series, mail), include/uapi/linux/sev-guest.h, arch/x86/include/asm/sev.h, arch/x86/include/asm/svm.h,
arch/x86/kvm/svm/svm.h; igvm_defs."""


@cache
def _of_kind(kind: Kind) -> list[Family]:
    return [family for family in FAMILIES if kind in family.kinds]


def family_names(each: Subject) -> list[str]:
    """What projects call a subject."""
    return [name for family in _of_kind(each.kind) for name in family.names(each)]


def family_of(name: str) -> Family | None:
    """The family with the longest prefix that a name has, in any spelling."""
    short = plain(name)
    fits = [family for family in FAMILIES if short.startswith(plain(family.prefix))]
    return max(fits, key=lambda family: len(family.prefix), default=None)
