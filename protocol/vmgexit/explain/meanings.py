"""What the holes of forms hold: one row a name, with what the word is and how it is read.

A hole has the same meaning in every form. Its reader is one of `readers`. A plain number or text has
a title, which says enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import DecodeError
from ..schema import Bits
from ..show.line import describe
from ..wire.ap_creation import ApOperation
from ..wire.faults import NpfInfo, PageFaultError
from ..wire.features import HypervisorFeatures
from ..wire.firmware_status import FirmwareCommand
from ..wire.guest_message import GuestRequestResult, MessageKind
from ..wire.page_state import PscResult
from ..wire.registry import find
from ..wire.report import GuestPolicy
from ..wire.rmp import PageStatus, PsmashStatus, RmpEntry, RmpUpdateStatus
from ..wire.svsm import Protocol, ResultCode
from ..wire.termination import ReasonSet, TerminationInfo
from ..wire.vmsa import SevFeatures
from . import readers
from .form import Form, Values


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word is, and how it is read, where it is a number and where it is a text."""

    title: str
    read: readers.Read | None = None
    read_text: readers.ReadText | None = None


# What a GHCB holds, whether a line names its fields or not.
_EXIT_CODE = Meaning("exit code", readers.exit_code)
_EXIT_INFO_1 = Meaning("first information word", readers.information_word("info1"))
_EXIT_INFO_2 = Meaning("second information word", readers.information_word("info2"))

READ = {
    "action": Meaning(
        "what PVALIDATE is to do", readers.choice("make the page invalid", "validate the page")
    ),
    "allowed_sev_features": Meaning(
        "what the host allows in SEV_FEATURES, in force with bit 63", readers.word(SevFeatures)
    ),
    "ap_request": Meaning("request of AP creation", readers.code(ApOperation)),
    "error": Meaning("error of the kernel", readers.error_number),
    "exception_data": Meaning("error code of the exception", readers.exception_data),
    "exit_code": _EXIT_CODE,
    "exit_info_1": _EXIT_INFO_1,
    "exit_info_2": _EXIT_INFO_2,
    "exit_name": Meaning("exit code", None, readers.exit_named),
    "features": Meaning("features of the host", readers.word(HypervisorFeatures)),
    "firmware_command": Meaning("command of the firmware", readers.code(FirmwareCommand)),
    "fw_error": Meaning("status of the firmware", readers.firmware_status),
    "ghcb_msr": Meaning("GHCB MSR", readers.ghcb_word),
    "guest_request_result": Meaning(
        "SW_EXITINFO2: the firmware's status in bits 31:0, the host's in bits 63:32",
        readers.word(GuestRequestResult),
    ),
    "guest_sev_features": Meaning("SEV_FEATURES of the guest's VMSA", readers.guest_sev_features),
    "is_valid": Meaning("whether the guest marked it valid", readers.choice("no", "yes")),
    "large": Meaning("size of the pages", readers.choice("4 KiB", "2 MiB where it fits")),
    "message_type": Meaning("type of the message", readers.code(MessageKind)),
    "missing_features": Meaning("features that are missing", readers.word(HypervisorFeatures)),
    "npf_error": Meaning("error code of the nested page fault", readers.word(NpfInfo)),
    "page_fault_error": Meaning("error code of the page fault", readers.word(PageFaultError)),
    "page_size": Meaning("size of the page", readers.choice("4 KiB", "2 MiB")),
    "protocol": Meaning("protocol of the SVSM", readers.code(Protocol)),
    "psc_detail": Meaning("error within the class", readers.psc_half),
    "psc_result": Meaning("what the page state change reported", readers.word(PscResult)),
    "psmash_ret": Meaning("what PSMASH answered", readers.code(PsmashStatus)),
    "pvalidate_result": Meaning(
        "what PVALIDATE answered, or an error of the kernel", readers.pvalidate_result
    ),
    "pvalidate_ret": Meaning("what the instruction answered", readers.code(PageStatus)),
    "policy": Meaning("policy of the guest", readers.word(GuestPolicy)),
    "reason_code": Meaning("reason within the set", readers.reason_code),
    "reason_set": Meaning("who numbers the reasons", readers.code(ReasonSet)),
    "report_error": Meaning("status of the firmware", readers.report_error),
    "required_features": Meaning("features that are needed", readers.word(HypervisorFeatures)),
    "rmp_assigned": Meaning(
        "whether it belongs to a guest or the firmware", readers.choice("no", "yes")
    ),
    "rmp_entry": Meaning("first half of the RMP entry", readers.word(RmpEntry)),
    "rmp_immutable": Meaning("whether RMPUPDATE may not change it", readers.choice("no", "yes")),
    "rmp_level": Meaning("size of the RMP entry", readers.choice("", "4 KiB", "2 MiB")),
    "rmp_validated": Meaning("whether the guest has validated it", readers.choice("no", "yes")),
    "rmp_vmsa": Meaning("whether it is a VMSA", readers.choice("no", "yes")),
    "rmpadjust_ret": Meaning("what RMPADJUST answered", readers.code(PageStatus)),
    "rmpupdate_ret": Meaning("what RMPUPDATE answered", readers.code(RmpUpdateStatus)),
    "sev_features": Meaning("SEV_FEATURES", readers.word(SevFeatures)),
    "svsm_call": Meaning("call of that protocol", readers.svsm_call),
    "svsm_result": Meaning("what the SVSM answers", None, readers.result_named),
    "svsm_ret": Meaning("what the SVSM answered", readers.code(ResultCode)),
    "sw_exit_code": _EXIT_CODE,
    "sw_exit_info_1": _EXIT_INFO_1,
    "sw_exit_info_2": _EXIT_INFO_2,
    "term_info": Meaning("reason of the termination", readers.word(TerminationInfo)),
    "valid_bits": Meaning("fields that are marked valid", None, readers.valid_bits),
    "vc_error": Meaning("error code of the #VC: an exit code", readers.exit_code),
    "vm_sev_features": Meaning("SEV_FEATURES of the VM", readers.word(SevFeatures)),
    "vmcb_exit_code": Meaning("exit code", readers.vmcb_exit_code),
    "vmcb_exit_info_1": Meaning("first information word of the exit", readers.vmcb_information_1),
    "vmgexit_error_2": Meaning("SW_EXITINFO2", readers.vmgexit_error),
}
"""Holes whose value has a reading."""

TITLES = {
    "address": "address",
    "ap_action": "what AP creation was to do",
    "api_build": "build of the firmware",
    "api_major": "version of the firmware's interface",
    "api_minor": "version of the firmware's interface",
    "apic_id": "APIC ID of the vCPU",
    "asid": "ASID of the guest; 0 = the firmware",
    "c_bit_mask": "mask of the C-bit",
    "cpu": "CPU",
    "cpuid_entries": "functions in the table",
    "cpuid_function": "function of CPUID",
    "cpuid_index": "sub-leaf",
    "cr_read": "reads of control registers that exit, a bit for each",
    "cr_write": "writes of control registers that exit, a bit for each",
    "cur_entry": "entry that the guest expects next",
    "cur_entry_now": "entry that the host works on next",
    "dr_read": "reads of debug registers that exit, a bit for each",
    "dr_write": "writes of debug registers that exit, a bit for each",
    "end_address": "end of the range",
    "end_entry": "last entry, as the guest wrote it",
    "end_entry_now": "last entry, as the host left it",
    "event_error": "error code of the event",
    "expected_count": "functions that the firmware expects",
    "expected_eax": "EAX that the firmware expects",
    "expected_ebx": "EBX that the firmware expects",
    "expected_ecx": "ECX that the firmware expects",
    "expected_edx": "EDX that the firmware expects",
    "expected_size": "bytes that are needed",
    "fatal_call": "number of the call within its protocol",
    "first_asid": "first ASID for guests of this kind",
    "first_pfn": "first page frame number",
    "flags_rmp": "flags of the RMP check",
    "gfn": "guest frame number",
    "gfn_end": "guest frame number after the range",
    "ghcb_gpa": "guest-physical address of the GHCB",
    "ghcb_usage": "GHCB usage",
    "gpa": "guest-physical address",
    "guest_support": "whether the host runs guests of this kind; unusable = no ASID is left for them",
    "guest_type": "kind of guest",
    "guest_visible_workarounds": "workarounds that the guest sees, base64; (null) = none",
    "host_data": "host data, base64; (null) = none",
    "hva": "address in the monitor",
    "id_auth": "ID authentication, base64; (null) = none",
    "id_block": "ID block, base64; (null) = none",
    "iommu_flags": "flags of the event",
    "last_asid": "last ASID for guests of this kind",
    "last_pfn": "page frame number after the range",
    "length": "length in bytes",
    "max_version": "highest version that the host speaks",
    "min_version": "lowest version that the host speaks",
    "msg_seqno": "sequence number",
    "msg_sz": "bytes of the payload",
    "msg_version": "version of the payload",
    "opcode": "first bytes of the instruction, as one number",
    "page_action": "what PVALIDATE was to do",
    "page_error": "what the instruction answered",
    "page_error_value": "address, or what the instruction returned",
    "page_kind": "kind of page",
    "page_state": "state of the pages afterwards",
    "pages": "number of pages",
    "pfn": "page frame number of the host",
    "provided_count": "functions that QEMU gave",
    "provided_eax": "EAX that QEMU gave",
    "provided_ebx": "EBX that QEMU gave",
    "provided_ecx": "ECX that QEMU gave",
    "provided_edx": "EDX that QEMU gave",
    "psc_class": "class of the error",
    "result": "result of the call: 0 = no error",
    "rip": "instruction pointer",
    "rip_decimal": "instruction pointer, in decimal",
    "rmp_base": "first byte of the RMP",
    "rmp_end": "last byte of the RMP",
    "rmp_entry_high": "second half of the RMP entry, which is not described",
    "rmp_gpa": "GPA field of the entry: kernels printed the address, or the frame number",
    "scratch_end": "end of the scratch area",
    "scratch_gpa": "guest-physical address of the scratch area",
    "scratch_limit": "most that is taken, in bytes",
    "segment": "segment register",
    "sev_status_names": "what is on",
    "size": "bytes that there are",
    "spa": "physical address of the host",
    "svsm_error": "error within the SVSM",
    "vc_error_type": "why it was not handled",
    "vcpu": "vCPU",
    "vmcb": "address of the VMCB, made unreadable",
    "vmcb_exit_info_2": "second information word of the exit",
    "vmg_tag": "guest that the device belongs to",
    "vmgexit_error_1": "SW_EXITINFO1, or RBX of an extended guest request",
    "vmpck": "key for messages to the firmware",
    "vmpl": "VMPL",
    "vmsa_gpa": "guest-physical address of the VMSA",
    "vmsa_hpa": "physical address of the VMSA",
}
"""Holes that hold a plain number or text."""


@dataclass(frozen=True, slots=True)
class Said:
    """One word of a line, explained."""

    name: str
    value: int | str
    shown: str  # the value as the program wrote it, or as it is implied
    title: str
    text: str  # what the value says; "" where the title says all
    fields: dict[str, Any] | None = None  # of a declared word
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def explained(form: Form, words: Values) -> list[Said]:
    """Every word of a line of this form, in the order in which they stand there."""
    return [_said(form, name, value, words) for name, value in words.items() if name in form.holes]


def _said(form: Form, name: str, value: int | str, words: Values) -> Said:
    shown = f"{value:#x}" if form.holes[name] == "x" else str(value)
    return said(name, meaning_in(form, name), value, shown, words)


def said(name: str, meaning: Meaning, value: int | str, shown: str, words: Values) -> Said:
    """A word and what it means, beside the other words of its line."""
    if isinstance(value, str):
        text = meaning.read_text(value, words) if meaning.read_text else ""
        return Said(name, value, shown, meaning.title, text)
    if meaning.read is None:
        return Said(name, value, shown, meaning.title, "")
    try:
        held = meaning.read(value, words)
    except DecodeError:
        return Said(name, value, shown, meaning.title, "does not fit the word")
    if isinstance(held, str):
        return Said(name, value, shown, meaning.title, held)
    return Said(
        name,
        value,
        shown,
        meaning.title,
        describe(held),
        held.as_dict(),
        tuple(str(problem) for problem in held.problems()),
        tuple(str(note) for note in held.notes()),
    )


def meaning_in(form: Form, name: str) -> Meaning:
    """What a hole of `form` means: by the tables, or as a field of what the line is a dump of."""
    if name in READ:
        return READ[name]
    declared = {field.name: field for field in find(form.of).declaration.fields} if form.of else {}
    if name not in declared:
        return Meaning(TITLES[name])
    field = declared[name]
    if field.of is not None and issubclass(field.of, Bits):
        return Meaning(field.meaning, readers.word(field.of))
    if field.enum is not None:
        return Meaning(field.meaning, readers.code(field.enum))
    return Meaning(field.meaning)
