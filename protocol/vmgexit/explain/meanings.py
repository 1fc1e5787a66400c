"""What the holes of forms hold: one row a name, with what the word is and how it is read.

A hole has the same meaning in every form. A reader gets the number and the other words of the line,
for some are read by others: an exit's information words by its code. It gives a declared word or a
text. A name without a reader is a plain number, whose title says enough.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..schema import Bits, structures
from ..show.line import describe, describe_code
from ..wire.ap_creation import ApCreation, ApOperation
from ..wire.exit_codes import ExitError, ExitStatus, processor_exit
from ..wire.exits import Where, Word, find_exit
from ..wire.faults import NpfInfo, PageFaultError
from ..wire.features import HypervisorFeatures
from ..wire.firmware_status import FirmwareStatus
from ..wire.ghcb_msr import PageOperation, decode_msr
from ..wire.guest_message import GuestRequestResult, MessageKind
from ..wire.page_state import PscResult
from ..wire.rmp import PageStatus, PsmashStatus, RmpEntry, RmpUpdateStatus
from ..wire.svsm import Protocol, ResultCode, find_call
from ..wire.termination import ReasonSet, TerminationInfo, reason
from ..wire.vmsa import EventInj, SevFeatures, SevStatus
from .form import Form, Values

Read = Callable[[int, Values], Bits | str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word is, and how it is read."""

    title: str
    read: Read | None = None


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
    meaning = MEANINGS.get(name) or _of_structure(form.of, name)
    if isinstance(value, str) or meaning.read is None:
        return Said(name, value, shown, meaning.title, "")
    try:
        held = meaning.read(value, words)
    except OverflowError:
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
        tuple(f"{note.path}: {note.text}" for note in held.notes()),
    )


def _of_structure(of: str, name: str) -> Meaning:
    """The meaning of a field of the structure that the line is a dump of."""
    if not of:
        return Meaning(name.replace("_", " "))
    field = structures()[of][""].declaration[name]
    if field.of is not None and issubclass(field.of, Bits):
        return Meaning(field.meaning, _bits(field.of))
    if field.enum is not None:
        return Meaning(field.meaning, _code(field.enum))
    return Meaning(field.meaning)


# --- readers --------------------------------------------------------------------------------------


def _bits(layout: type[Bits]) -> Read:
    def read(value: int, words: Values) -> Bits:
        return layout.decode(value.to_bytes(layout.size, "little"))

    return read


def _code(codes: type[IntEnum]) -> Read:
    def read(value: int, words: Values) -> str:
        return describe_code(codes._value2member_map_.get(value, value))

    return read


def _exit_code(value: int, words: Values) -> str:
    row = find_exit(value)
    name = processor_exit(value)
    if row is None:
        return name if not name.startswith("0x") else "no exit that is known"
    where = "" if row.where is Where.GHCB else f"; {row.direction}"
    return f"{name} ({row.meaning}{where})"


def _word_of(label: str) -> Read:
    """An information word of a request, by the exit code on the line."""

    def read(value: int, words: Values) -> Bits | str:
        code = words.get("sw_exit_code", words.get("exit_code"))
        row = find_exit(code) if isinstance(code, int) else None
        if row is None:
            return ""
        word: Word = getattr(row, label)
        if word.layout is not None:
            return _bits(word.layout)(value, words)
        if word.value:
            return word.meaning
        return "" if not value else f"{row.name} has no use for it: 0 expected"

    return read


def _vc_error(value: int, words: Values) -> str:
    """EXITINFO1 of UNSUPPORTED_EVENT: the error code of the #VC, which is an exit code."""
    return _exit_code(value, words)


def _reason_set(value: int, words: Values) -> str:
    return describe_code(ReasonSet._value2member_map_.get(value, value))


def _reason_code(value: int, words: Values) -> str:
    reason_set = words.get("reason_set")
    return reason(reason_set, value) if isinstance(reason_set, int) else ""


def _errno(value: int, words: Values) -> str:
    if not value:
        return "no error"
    return errno.errorcode.get(abs(value), "")


def _firmware(value: int, words: Values) -> str:
    if value in (-1, 0xFFFFFFFF):
        return "the firmware was not asked"
    return describe_code(FirmwareStatus._value2member_map_.get(value, value))


def _ghcb_word(value: int, words: Values) -> Bits | str:
    return decode_msr(value) if value & 0xFFF else "address of the GHCB"


def _call(value: int, words: Values) -> str:
    protocol = words.get("protocol")
    found = find_call(protocol, value) if isinstance(protocol, int) else None
    return f"{found.name} ({found.meaning})" if found else "no call that is known"


def _page_size(value: int, words: Values) -> str:
    return {0: "4 KiB", 1: "2 MiB"}.get(value, "")


def _level(value: int, words: Values) -> str:
    return {1: "4 KiB", 2: "2 MiB", 3: "1 GiB"}.get(value, "")


def _validates(value: int, words: Values) -> str:
    return {0: "make the page invalid", 1: "validate the page"}.get(value, "")


MEANINGS = {
    "action": Meaning("what PVALIDATE is to do", _validates),
    "address": Meaning("address"),
    "allowed_sev_features": Meaning(
        "what the host allows in SEV_FEATURES, in force with bit 63", _bits(SevFeatures)
    ),
    "apic_id": Meaning("APIC ID of the vCPU"),
    "ap_request": Meaning("request of AP creation", _code(ApOperation)),
    "cpu": Meaning("CPU"),
    "error": Meaning("error of the kernel", _errno),
    "event_inj": Meaning("event to deliver"),
    "exit_code": Meaning("exit code", _exit_code),
    "exit_info_1": Meaning("first information word of the request", _word_of("info1")),
    "exit_info_2": Meaning("second information word of the request", _word_of("info2")),
    "exit_result": Meaning("second information word of the answer", _word_of("result")),
    "exit_error": Meaning("why the request was malformed", _bits(ExitError)),
    "exit_status": Meaning("how the exit ended", _bits(ExitStatus)),
    "exit_event": Meaning("event that the host raises", _bits(EventInj)),
    "features": Meaning("features of the host", _bits(HypervisorFeatures)),
    "fw_error": Meaning("status of the firmware", _firmware),
    "gfn": Meaning("guest frame number"),
    "ghcb_gpa": Meaning("guest-physical address of the GHCB"),
    "ghcb_msr": Meaning("GHCB MSR", _ghcb_word),
    "ghcb_usage": Meaning("GHCB usage; only 0 is known"),
    "gpa": Meaning("guest-physical address"),
    "guest_request_result": Meaning(
        "SW_EXITINFO2 of a guest request: firmware in bits 31:0, host in bits 63:32",
        _bits(GuestRequestResult),
    ),
    "guest_sev_features": Meaning("SEV_FEATURES of the guest's VMSA", _bits(SevFeatures)),
    "guest_rip": Meaning("RIP of the guest; 0 where it is encrypted"),
    "length": Meaning("length in bytes"),
    "message_type": Meaning("type of the guest message", _code(MessageKind)),
    "npf_error": Meaning("error code of the nested page fault", _bits(NpfInfo)),
    "page_fault_error": Meaning("error code of the page fault", _bits(PageFaultError)),
    "page_operation": Meaning("operation on the page", _code(PageOperation)),
    "page_size": Meaning("size of the page", _page_size),
    "pfn": Meaning("page frame number of the host"),
    "protocol": Meaning("protocol of the SVSM", _code(Protocol)),
    "psc_result": Meaning("what the page state change reported", _bits(PscResult)),
    "psmash_ret": Meaning("what PSMASH answered", _code(PsmashStatus)),
    "pvalidate_ret": Meaning("what PVALIDATE answered", _code(PageStatus)),
    "reason_code": Meaning("reason within the set", _reason_code),
    "reason_set": Meaning("who numbers the reasons", _reason_set),
    "ret": Meaning("error of the kernel", _errno),
    "rip": Meaning("instruction pointer"),
    "rmp_entry": Meaning("first half of the RMP entry", _bits(RmpEntry)),
    "rmp_entry_high": Meaning("second half of the RMP entry, not described"),
    "rmp_level": Meaning("size of the RMP entry", _level),
    "rmpadjust_ret": Meaning("what RMPADJUST answered", _code(PageStatus)),
    "rmpupdate_ret": Meaning("what RMPUPDATE answered", _code(RmpUpdateStatus)),
    "scratch_end": Meaning("end of the scratch area"),
    "scratch_gpa": Meaning("guest-physical address of the scratch area"),
    "sev_features": Meaning("SEV_FEATURES", _bits(SevFeatures)),
    "sev_status": Meaning("SEV_STATUS", _bits(SevStatus)),
    "svsm_call": Meaning("call of that protocol", _call),
    "svsm_ret": Meaning("what the SVSM answered", _code(ResultCode)),
    "sw_exit_code": Meaning("exit code", _exit_code),
    "sw_exit_info_1": Meaning("first information word", _word_of("info1")),
    "sw_exit_info_2": Meaning("second information word", _word_of("info2")),
    "ap_creation": Meaning("first information word of AP creation", _bits(ApCreation)),
    "term_info": Meaning("reason of the termination", _bits(TerminationInfo)),
    "vc_error": Meaning("error code of the #VC: an exit code", _vc_error),
    "vcpu": Meaning("vCPU"),
    "vmpck": Meaning("key for messages to the firmware"),
    "vmpl": Meaning("VMPL"),
}
"""Every hole that is no field of a dumped structure."""
