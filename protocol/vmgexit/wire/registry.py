"""The structures of all chapters, by their names on the command line.

A chapter is imported when one of its structures is asked for, so that a command pays for what it
reads and not for the whole protocol.
"""

from __future__ import annotations

import functools
from importlib import import_module
from itertools import chain

from ..errors import UsageError, hint, nearest
from ..schema import Structure

_NAMES = """
ap_creation       ap-creation ap-jump-table-info apic-id-list-entry apic-id-list
apic              apic-configure-emulation apic-features apic-register-number
apic              apic-configure-vector apic-tpr apic-eoi apic-ldr apic-self-ipi apic-icr
attestation       attest-services attest-single-service services-manifest-header service-entry
attestation       services-manifest
attestation       uefi-mm-flags uefi-mm-manifest
avic              avic-incomplete-ipi avic-incomplete-ipi-cause avic-noaccel avic-noaccel-vector
avic              avic-register avic-irr-register avic-icr-register secure-avic-page
calls             svsm-call svsm-result
core              svsm-protocol-query svsm-version-range create-vcpu-apic-id configure-vtom
core              pvalidate-header pvalidate-entry pvalidate-list
cpuid_page        cpuid-function cpuid-page
doorbell          ext-int-status ext-int-descriptor doorbell-flags vmpl-events doorbell-head
doorbell          doorbell-page
doorbell_history  ext-int-status ext-int-descriptor doorbell-head doorbell-page pending-events
doorbell_history  doorbell-events
exit_codes        exit-status exit-error ioio-info msr-info mov-cr-dr-info tio-op-info
faults            npf-info page-fault-error
features          hypervisor-features
ghcb              ghcb ghcb-hypercall
ghcb_msr          ghcb-msr ghcb-msr-gpa ghcb-msr-sev-info-response ghcb-msr-sev-info-request
ghcb_msr          ghcb-msr-ap-jump-table ghcb-msr-cpuid-request ghcb-msr-cpuid-response
ghcb_msr          ghcb-msr-ap-reset-hold-request ghcb-msr-ap-reset-hold-response
ghcb_msr          ghcb-msr-preferred-gpa-request ghcb-msr-preferred-gpa-response
ghcb_msr          ghcb-msr-register-gpa-request ghcb-msr-register-gpa-response
ghcb_msr          ghcb-msr-page-state-request ghcb-msr-page-state-response
ghcb_msr          ghcb-msr-run-vmpl-request ghcb-msr-run-vmpl-response
ghcb_msr          ghcb-msr-unregister-gpa-request ghcb-msr-unregister-gpa-response
ghcb_msr          ghcb-msr-features-request ghcb-msr-features-response
ghcb_msr          ghcb-msr-termination-request ghcb-msr-hyperv-hypercall ghcb-msr-hyperv-fast-call
ghcb_msr          ghcb-msr-hyperv-output ghcb-msr-hyperv-debug-print
guest_message     guest-message-header guest-message report-key-select report-request
guest_message     report-response key-select guest-field-select key-request
guest_message     key-response tsc-info-request tsc-info-response guest-request-result
guest_message     certificate-entry certificate-table
igvm              igvm-fixed-header igvm-variable-header igvm-supported-platform igvm-guest-policy
igvm              igvm-page-data igvm-page-data-flags igvm-vp-context igvm-snp-id-block
igvm              igvm-snp-signature igvm-snp-public-key
injection         doorbell-info configure-injection disable-injection specific-eoi run-vmpl
injection         secure-avic-info
invlpgb           invlpgb-rax invlpgb-ecx invlpgb-edx
kvm_planes        kvm-plane-event
launch            launch-page-info id-block ecdsa-public-key id-authentication cc-blob-sev-info
omp               omp-flags omp-entry omp-object omp-indexes omp-name omp-identifier
page_state        psc-header psc-entry psc-request psc-result
report            guest-policy tcb-version platform-info report-key-info firmware-version
report            report-signature attestation-report
rmp               rmp-page-size rmpadjust-attributes pvalidate-action rmp-status rmp-entry
rmp               rmpupdate-status psmash-status rmp-state rmpread-flags rmpread-entry
rmp               rmp-table-entry
secrets           secrets-flags secrets-page
svsm              calling-area svsm-call-number
svsm_drafts       reboot-manifest memory-map-type
termination       termination-info
tio               tdi-info-request tdi-info-response tdi-measurement-flags tdisp-lock-flags
tio               spdm-algorithms mmio-validate-request mmio-validate-response mmio-validate-flags
tio               mmio-validate-result mmio-config-request mmio-config-response mmio-config-write
tio               mmio-config-request-flags mmio-config-response-flags
tio_dma           sdte sdte-mapping sdte-domain sdte-interrupts sdte-guest sdte-vtom
tio_dma           sdte-write-request sdte-write-response tio-mmio tio-info-wanted tio-blob-entry
tio_dma           tio-blob-table
uefi_mm           mm-communicate-header
vmcb              register-intercepts intercepts-word-3 intercepts-word-4 intercepts-word-5
vmcb              erap-control vmcb-int-ctl vmcb-int-state vmcb-misc-ctl vmcb-misc-ctl2 vmcb-clean
vmcb              avic-physical-table vmcb-control
vmsa              vintr-ctrl event-inj sev-features sev-status secure-avic-control segment vmsa
vtpm              vtpm-commands vtpm-features vtpm-request vtpm-response
"""

CHAPTERS: dict[str, list[str]] = {}
"""Every chapter, and the names that it declares. A test compares it with the declarations."""

for _chapter, *_names in map(str.split, _NAMES.strip().splitlines()):
    CHAPTERS.setdefault(_chapter, []).extend(_names)

Revisions = dict[str, type[Structure]]
"""The structures of one name by their revisions; "" is the current one."""


@functools.cache
def declared(chapter: str) -> dict[str, Revisions]:
    """The structures that one chapter declares: name, then revision, then class."""
    found: dict[str, Revisions] = {}
    module = import_module(f"{__package__}.{chapter}")
    for cls in vars(module).values():
        if getattr(cls, "__module__", "") == module.__name__ and "declaration" in vars(cls):
            _add(found, cls)
    return found


def _add(found: dict[str, Revisions], cls: type[Structure]) -> None:
    declaration = cls.declaration
    revisions = found.setdefault(declaration.name, {})
    if declaration.revision in revisions:
        which = f"{declaration.name} {declaration.revision}".rstrip()
        other = revisions[declaration.revision].__name__
        raise TypeError(f"{cls.__name__}: {which} is declared already, by {other}")
    revisions[declaration.revision] = cls


def structures() -> dict[str, Revisions]:
    """Every structure: name, then revision, then class. Imports every chapter.

    Raises TypeError where two structures have one name and revision.
    """
    found: dict[str, Revisions] = {}
    for chapter in CHAPTERS:
        for revisions in declared(chapter).values():
            for cls in revisions.values():
                _add(found, cls)
    return found


def find(name: str, revision: str | None = None) -> type[Structure]:
    """The structure called `name`, or `NAME@REVISION` as titles have it; imports its chapter alone.

    The name of its class, and any spelling of either, find it too: `EXT_INT_STATUS`, `ExtIntStatus`.
    The current revision unless one is named, or the first where all are old. Raises UsageError with
    the nearest names, or the revisions.
    """
    if revision is None and "@" in name:
        name, _, revision = name.partition("@")
    found: Revisions = {}
    for chapter, names in CHAPTERS.items():
        if name in names:
            found |= declared(chapter)[name]
            if (revision or "") in found:
                return found[revision or ""]
    if not found:
        return find(_spelled(name), revision)
    if revision is None:
        return next(iter(found.values()))
    there = ", ".join(each or "the current one" for each in found)
    raise UsageError(f"{name} has no revision {revision}; there are {there}")


_PREFIXES = (
    "svm_vmgexit_snp_",
    "svm_vmgexit_",
    "svm_",
    "snp_",
    "sev_",
    "ghcb_",
    "svsm_",
    "struct ",
)
"""What the names of other sources have before ours."""


_BETWEEN = str.maketrans("", "", "-_ ")


def _spelled(name: str) -> str:
    """The structure's name that a name in another spelling means. Raises UsageError for none."""
    names = {letters(known): known for known in chain.from_iterable(CHAPTERS.values())}
    short = (name[len(prefix) :] for prefix in _PREFIXES if name.lower().startswith(prefix))
    for each in (name, *short):
        if letters(each) in names:
            return names[letters(each)]
    for known, revisions in structures().items():
        names |= {letters(cls.__name__): known for cls in revisions.values()}
    if letters(name) in names:
        return names[letters(name)]
    near = dict.fromkeys(names[each] for each in nearest(letters(name), sorted(names)))
    raise UsageError(f"unknown structure {name}{hint(near)}; see vmgexit list")


def letters(name: str) -> str:
    """A name without what spellings differ in: case, dashes, underscores and spaces."""
    return name.lower().translate(_BETWEEN)
