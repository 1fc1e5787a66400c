"""What the holes of forms hold: one row a name, with what the word is and how it is read.

A hole has the same meaning in every form. A reader gets the number and the other words of the line,
for some are read by others: an exit's information words by its code. It gives a declared word or a
text. A plain number or text has a title, which says enough.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..errors import DecodeError
from ..schema import Bits, leaves, meaning_of, named, set_numbers
from ..show.line import describe, describe_code
from ..wire.ap_creation import ApOperation
from ..wire.calls import find_call
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode, ExitError, ExitStatus, Status, exit_name
from ..wire.exit_information import information_words
from ..wire.exits import find_exit
from ..wire.faults import NpfInfo, PageFaultError
from ..wire.features import HypervisorFeatures
from ..wire.firmware_status import FirmwareCommand, FirmwareStatus
from ..wire.ghcb import ALWAYS_VALID, GhcbPage
from ..wire.ghcb_msr import decode_msr
from ..wire.guest_message import GuestRequestResult, MessageKind
from ..wire.page_state import PscResult
from ..wire.registry import find
from ..wire.report import GuestPolicy
from ..wire.rmp import PageStatus, PsmashStatus, RmpEntry, RmpUpdateStatus
from ..wire.svsm import Protocol, ResultCode
from ..wire.termination import ReasonSet, TerminationInfo, find_reason
from ..wire.vmsa import EventInj, SevFeatures
from .form import Form, Values

_NO_UPDATE = 255  # Linux arch/x86/include/asm/sev.h PVALIDATE_FAIL_NOUPDATE

UNUSED = "has no use for it"
"""What is said of an information word that is not 0, and that the exit does not read."""

Read = Callable[[int, Values], Bits | str]
ReadText = Callable[[str, Values], str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word is, and how it is read, where it is a number and where it is a text."""

    title: str
    read: Read | None = None
    read_text: ReadText | None = None


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
        return Meaning(field.meaning, _bits(field.of))
    if field.enum is not None:
        return Meaning(field.meaning, _code(field.enum))
    return Meaning(field.meaning)


# --- readers --------------------------------------------------------------------------------------


def _bits(layout: type[Bits]) -> Read:
    def read(value: int, words: Values) -> Bits:
        return layout.of(value)

    return read


def _code(codes: type[IntEnum]) -> Read:
    def read(value: int, words: Values) -> str:
        return describe_code(named(value, codes))

    return read


def _choice(*texts: str) -> Read:
    """The text at the number's place; "" past the last."""

    def read(value: int, words: Values) -> str:
        return texts[value] if 0 <= value < len(texts) else ""

    return read


def _exit_code(value: int, words: Values) -> str:
    if value < 0:  # as a program writes it that takes codes for signed
        return ""
    row = find_exit(value)
    name = exit_name(value)
    if row is None:
        return name if not name.startswith("0x") else "no exit that is known"
    where = "" if row.where is Where.GHCB else f"; {row.direction}"
    return f"{name} ({row.meaning}{where})"


def _exit_name(text: str, words: Values) -> str:
    """An exit as OpenVMM prints it: by its name, or the number of one that it has no name for."""
    with contextlib.suppress(KeyError):
        return _exit_code(ExitCode[text], words)
    with contextlib.suppress(ValueError):
        return _exit_code(int(text, 16), words)
    return ""


def _vmcb_exit_code(value: int, words: Values) -> str:
    """Kernels before 6.20 print the low 32 bits only, of codes such as -1 too."""
    if 0xFFFFFFFC <= value <= 0xFFFFFFFF:
        value |= 0xFFFFFFFF << 32
    return _exit_code(value, words)


def _word_of(label: str) -> Read:
    """An information word of a request, by the exit code on the line."""

    def read(value: int, words: Values) -> Bits | str:
        code = words.get("sw_exit_code", words.get("exit_code"))
        row = find_exit(code) if isinstance(code, int) else None
        if row is None:
            return ""
        word: Word = getattr(row, label)
        if word.layout is not None:
            return word.layout.of(value)
        if word.value:
            return word.meaning
        if not value:
            return ""
        asked = f"{row.name} {UNUSED}: 0 expected"
        return asked + (_answered(row, value) if label == "info2" else "")

    return read


def _answered(row: Exit, value: int) -> str:
    """SW_EXITINFO2 as the result that the host wrote over it."""
    result = row.result
    if result.layout is not None:
        return f"; in an answer: {describe(result.layout.of(value))}"
    return f"; in an answer: {result.meaning}" if result.value else ""


def _reason_code(value: int, words: Values) -> str:
    reason_set = words.get("reason_set")
    if not isinstance(reason_set, int):
        return "of which set, this line does not say"
    found = find_reason(reason_set, value)
    if found is None:  # 0 is a reason too
        return "no reason that is known in this set"
    return describe_code(found)


def _errno(value: int, words: Values) -> str:
    if not value:
        return "no error"
    return errno.errorcode.get(abs(value), "")


def _firmware(value: int, words: Values) -> str:
    if value in (-1, 0xFFFFFFFF):
        return "the firmware was not asked"
    return describe_code(named(value, FirmwareStatus))


def _report_error(value: int, words: Values) -> str:
    """A status whose digits, read as hex here, may be decimal: both readings."""
    digits = f"{value:x}"
    as_hex = f"if hex, {_firmware(value, words)}"
    if not digits.isdecimal():
        return as_hex
    return f"if {digits} is decimal, {_firmware(int(digits), words)}; {as_hex}"


def _guest_sev_features(value: int, words: Values) -> Bits | str:
    """Of a VMCB that says what is allowed, what the guest asked for beyond it."""
    allowed = words.get("allowed_sev_features")
    features = SevFeatures.of(value)
    if not isinstance(allowed, int) or not SevFeatures.of(allowed).allowed_sev_features_enable:
        return features
    beyond = value & ~allowed
    if not beyond:
        return f"{describe(features)}; all of them allowed"
    return f"{describe(features)}; not allowed: {describe(SevFeatures.of(beyond))}"


def _vmgexit_error(value: int, words: Values) -> str:
    """COCONUT-SVSM puts both information words of the answer into one error, or RBX and the second."""
    status = words["vmgexit_error_1"]
    first = ExitStatus.of(status) if isinstance(status, int) else None
    if first is None or first.status not in (Status.RAISE_EVENT, Status.MALFORMED_INPUT):
        return describe(GuestRequestResult.of(value))
    layout = ExitError if first.status == Status.MALFORMED_INPUT else EventInj
    return describe(layout.of(value))


def _result_name(text: str, words: Values) -> str:
    with contextlib.suppress(KeyError):
        return f"{ResultCode[text]:#x} {meaning_of(ResultCode[text])}".strip()
    return ""


def _exception_data(value: int, words: Values) -> str:
    """edk2 prints it below the name of the exception; only that of a #VC is an exit code."""
    return _exit_code(value, words) if "apic_id" in words else ""


def _psc_half(value: int, words: Values) -> str:
    """COCONUT-SVSM prints the halves of the result apart."""
    high, low = words["psc_class"], words["psc_detail"]
    if not isinstance(high, int) or not isinstance(low, int) or high >> 32 or low >> 32:
        return ""
    return describe(PscResult.of(high << 32 | low))


def _ghcb_word(value: int, words: Values) -> Bits | str:
    return decode_msr(value) if value & 0xFFF else "address of the GHCB"


def _call(value: int, words: Values) -> str:
    protocol = words.get("protocol")
    found = find_call(protocol, value) if isinstance(protocol, int) else None
    return f"{found.name} ({found.meaning})" if found else "no call that is known"


def _pvalidate_result(value: int, words: Values) -> str:
    """PVALIDATE's own answer is positive; 255 says that the carry flag was set."""
    if value < 0:
        return _errno(value, words)
    if value == _NO_UPDATE:
        return "the page was in that state already"
    return describe_code(named(value, PageStatus))


def _vmcb_info_1(value: int, words: Values) -> Bits | str:
    code = words.get("vmcb_exit_code")
    layout = information_words(code)[0] if isinstance(code, int) else None
    return layout.of(value) if layout is not None else ""


def _valid_bits(text: str, words: Values) -> str:
    """The valid bitmap as %*pb prints it: groups of 32 bits, the highest first."""
    try:
        bitmap = int(text.replace(",", ""), 16)
    except ValueError:
        return ""
    names = {place.bit_offset // 64: place.path for place in leaves(GhcbPage)}
    marked = [names.get(number, f"bit {number}") for number in set_numbers(bitmap)]
    return (", ".join(marked) or "none") + _missing(bitmap, words)


def _missing(bitmap: int, words: Values) -> str:
    """What the exit of the same dump needs and the bitmap does not mark."""
    code, info1 = words.get("sw_exit_code"), words.get("sw_exit_info_1")
    row = find_exit(code) if isinstance(code, int) else None
    if row is None or not isinstance(info1, int) or bitmap >> 128:
        return ""
    page = GhcbPage(sw_exit_info_1=info1, valid_bitmap=bitmap)
    needs = [need.field for need in row.needs if need.applies(page)]
    missing = [name for name in (*ALWAYS_VALID, *needs) if not page.is_valid(name)]
    return f"; {row.name} needs {', '.join(missing)} too" if missing else ""


# What a GHCB holds, whether a line names its fields or not.
_EXIT_CODE = Meaning("exit code", _exit_code)
_EXIT_INFO_1 = Meaning("first information word", _word_of("info1"))
_EXIT_INFO_2 = Meaning("second information word", _word_of("info2"))

READ = {
    "action": Meaning(
        "what PVALIDATE is to do", _choice("make the page invalid", "validate the page")
    ),
    "allowed_sev_features": Meaning(
        "what the host allows in SEV_FEATURES, in force with bit 63", _bits(SevFeatures)
    ),
    "ap_request": Meaning("request of AP creation", _code(ApOperation)),
    "error": Meaning("error of the kernel", _errno),
    "exception_data": Meaning("error code of the exception", _exception_data),
    "exit_code": _EXIT_CODE,
    "exit_info_1": _EXIT_INFO_1,
    "exit_info_2": _EXIT_INFO_2,
    "exit_name": Meaning("exit code", None, _exit_name),
    "features": Meaning("features of the host", _bits(HypervisorFeatures)),
    "firmware_command": Meaning("command of the firmware", _code(FirmwareCommand)),
    "fw_error": Meaning("status of the firmware", _firmware),
    "ghcb_msr": Meaning("GHCB MSR", _ghcb_word),
    "guest_request_result": Meaning(
        "SW_EXITINFO2: the firmware's status in bits 31:0, the host's in bits 63:32",
        _bits(GuestRequestResult),
    ),
    "guest_sev_features": Meaning("SEV_FEATURES of the guest's VMSA", _guest_sev_features),
    "is_valid": Meaning("whether the guest marked it valid", _choice("no", "yes")),
    "large": Meaning("size of the pages", _choice("4 KiB", "2 MiB where it fits")),
    "message_type": Meaning("type of the message", _code(MessageKind)),
    "missing_features": Meaning("features that are missing", _bits(HypervisorFeatures)),
    "npf_error": Meaning("error code of the nested page fault", _bits(NpfInfo)),
    "page_fault_error": Meaning("error code of the page fault", _bits(PageFaultError)),
    "page_size": Meaning("size of the page", _choice("4 KiB", "2 MiB")),
    "protocol": Meaning("protocol of the SVSM", _code(Protocol)),
    "psc_detail": Meaning("error within the class", _psc_half),
    "psc_result": Meaning("what the page state change reported", _bits(PscResult)),
    "psmash_ret": Meaning("what PSMASH answered", _code(PsmashStatus)),
    "pvalidate_result": Meaning(
        "what PVALIDATE answered, or an error of the kernel", _pvalidate_result
    ),
    "pvalidate_ret": Meaning("what the instruction answered", _code(PageStatus)),
    "policy": Meaning("policy of the guest", _bits(GuestPolicy)),
    "reason_code": Meaning("reason within the set", _reason_code),
    "reason_set": Meaning("who numbers the reasons", _code(ReasonSet)),
    "report_error": Meaning("status of the firmware", _report_error),
    "required_features": Meaning("features that are needed", _bits(HypervisorFeatures)),
    "rmp_assigned": Meaning("whether it belongs to a guest or the firmware", _choice("no", "yes")),
    "rmp_entry": Meaning("first half of the RMP entry", _bits(RmpEntry)),
    "rmp_immutable": Meaning("whether RMPUPDATE may not change it", _choice("no", "yes")),
    "rmp_level": Meaning("size of the RMP entry", _choice("", "4 KiB", "2 MiB")),
    "rmp_validated": Meaning("whether the guest has validated it", _choice("no", "yes")),
    "rmp_vmsa": Meaning("whether it is a VMSA", _choice("no", "yes")),
    "rmpadjust_ret": Meaning("what RMPADJUST answered", _code(PageStatus)),
    "rmpupdate_ret": Meaning("what RMPUPDATE answered", _code(RmpUpdateStatus)),
    "sev_features": Meaning("SEV_FEATURES", _bits(SevFeatures)),
    "svsm_call": Meaning("call of that protocol", _call),
    "svsm_result": Meaning("what the SVSM answers", None, _result_name),
    "svsm_ret": Meaning("what the SVSM answered", _code(ResultCode)),
    "sw_exit_code": _EXIT_CODE,
    "sw_exit_info_1": _EXIT_INFO_1,
    "sw_exit_info_2": _EXIT_INFO_2,
    "term_info": Meaning("reason of the termination", _bits(TerminationInfo)),
    "valid_bits": Meaning("fields that are marked valid", None, _valid_bits),
    "vc_error": Meaning("error code of the #VC: an exit code", _exit_code),
    "vm_sev_features": Meaning("SEV_FEATURES of the VM", _bits(SevFeatures)),
    "vmcb_exit_code": Meaning("exit code", _vmcb_exit_code),
    "vmcb_exit_info_1": Meaning("first information word of the exit", _vmcb_info_1),
    "vmgexit_error_2": Meaning("SW_EXITINFO2", _vmgexit_error),
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
