"""Bugs of hosts, guests and codecs in what crosses between them, in our declarations and rules.

Those of rules let pass what must be refused, or judge the wrong thing; those of the codec and of
builders are planted in the structure that they concern.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from vmgexit.errors import DecodeError
from vmgexit.hosts.quirks import REFERENCE, Quirks
from vmgexit.hosts.scenario import Session
from vmgexit.machine.rules import calls as svsm
from vmgexit.machine.vm import Assertion, Vcpu
from vmgexit.rules import exits as exit_rules
from vmgexit.rules import msr as msr_rules
from vmgexit.schema import Problem, Structure
from vmgexit.wire import ghcb_msr
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.features import HypervisorFeatures
from vmgexit.wire.ghcb import ALWAYS_VALID, BUFFER_END, BUFFER_OFFSET, BUFFER_SIZE, GhcbPage
from vmgexit.wire.ghcb_msr import (
    CpuidResponse,
    GhcbInfo,
    PageStateRequest,
    PreferredGpaRequest,
    RunVmplRequest,
    RunVmplResponse,
)
from vmgexit.wire.page_size import PAGE
from vmgexit.wire.page_state import PscEntry, PscRequest
from vmgexit.wire.svsm import Protocol
from vmgexit.wire.vmsa import SevStatus
from vmgexit_fuzz.targets.ghcb import host as ghcb_host
from vmgexit_fuzz.targets.ghcb.host import GhcbHost, Request

from . import Undo, all_of, bug, replace

_Check = Callable[[GhcbPage, int], Iterator[Problem]]
_LOW = (1 << 64) - 1

# --- rules of hosts: the scratch area and the lengths -------------------------------------------------


def _passed(code: int, passes: Callable[[GhcbPage, Problem], bool]) -> Undo:
    """An exit of which the rules let some problems pass."""
    original: _Check = exit_rules._CHECKS[code]

    def check(page: GhcbPage, version: int) -> Iterator[Problem]:
        return (problem for problem in original(page, version) if not passes(page, problem))

    return replace(exit_rules._CHECKS, code, check)


@bug("Linux db3f2195", target="ghcb-exit")
def scratch_outside_the_buffer() -> Undo:
    """The scratch area may be anywhere, although version 2 wants it in the page's own buffer."""
    original = exit_rules._scratch_problems

    def check(page: GhcbPage, version: int, length: int) -> Iterator[Problem]:
        inside = BUFFER_OFFSET <= page.sw_scratch % PAGE < BUFFER_END
        return original(page, version, length) if inside else iter(())

    return replace(exit_rules, "_scratch_problems", check)


@bug("Linux 5867d7e2", target="ghcb-exit")
def scratch_past_the_buffer() -> Undo:
    """The scratch area must begin in the buffer, and may end anywhere."""
    original = exit_rules._scratch_problems

    def check(page: GhcbPage, version: int, length: int) -> Iterator[Problem]:
        return original(page, version, 0)

    return replace(exit_rules, "_scratch_problems", check)


@bug("Linux 2be54670", target="ghcb-exit")
def page_list_as_long_as_info2() -> Undo:
    """The length of a page list is taken from SW_EXITINFO2, which is 0, and not from its header."""
    return _passed(ExitCode.SNP_PAGE_STATE_CHANGE, lambda page, problem: _is_scratch(problem))


def _is_scratch(problem: Problem) -> bool:
    return problem.path == "sw_scratch"


@bug("Linux 121d88de, f185e05d", target="ghcb-exit")
def page_list_of_253_anywhere() -> Undo:
    """The last entry is held against 253, and not against what fits the buffer after the header."""
    original = exit_rules.page_list_problems

    def check(page: GhcbPage) -> Iterator[tuple[int, Problem]]:
        return (
            (index, problem)
            for index, problem in original(page)
            if not problem.rule.startswith("header.end_entry") or problem.value >= 253
        )

    return replace(exit_rules, "page_list_problems", check)


@bug("Linux 1aa8a6dc", target="ghcb-exit")
def mmio_of_no_length() -> Undo:
    """MMIO of 0 bytes reaches the device."""

    def ask(request: Request) -> None:
        if not request.info2:
            request.did("read", request.info1, 0)

    return _exit(ExitCode.MMIO_READ, ask)


@bug("Linux dcf1b2d4", target="ghcb-exit")
def mmio_above_8_bytes() -> Undo:
    """MMIO of as many bytes as the buffer holds is accepted."""
    return replace(exit_rules, "MMIO_LIMIT", BUFFER_SIZE)


@bug("Linux 3988bd27", target="ghcb-exit")
def string_of_no_element() -> Undo:
    """String input and output of no element reaches the device."""

    def ask(request: Request) -> None:
        if request.info1 & 4 and not request.info2:
            request.did("ins", request.info1 >> 16 & 0xFFFF, request.info1 >> 4 & 7, 0)

    return _exit(ExitCode.IOIO, ask)


@bug("CVE-2021-4093", target="ghcb-exit")
def string_elements_taken_for_bytes() -> Undo:
    """The count of a string form is held against the buffer as if elements were bytes."""
    return _passed(
        ExitCode.IOIO,
        lambda page, problem: (
            problem.path == "sw_exit_info_2" and 0 < page.sw_exit_info_2 <= BUFFER_SIZE
        ),
    )


# --- what hosts do ------------------------------------------------------------------------------------


def _exit(code: int, after: Callable[[Request], None]) -> Undo:
    """A host that does something wrong after an exit is carried out."""
    original = ghcb_host._EXITS[code]

    def carry_out(host: GhcbHost, request: Request) -> None:
        original(host, request)
        after(request)

    return replace(ghcb_host._EXITS, code, carry_out)


@bug("Linux c8cc2380", target="ghcb-exit")
def page_list_fetched_twice() -> Undo:
    """The header of a page list is fetched again after it was checked, when the guest can change it."""
    return _exit(
        ExitCode.SNP_PAGE_STATE_CHANGE,
        lambda request: _ignored(request.page.fetch(request.scratch(), 8)),
    )


def _ignored(value: object) -> None:
    """For an expression that is wanted for what it does."""


@bug("review of KVM SNP version 15, patch 23", target="ghcb-exit")
def hint_changes_pages() -> Undo:
    """PSMASH and UNSMASH are carried out as changes to private and to shared."""
    original = ghcb_host._change

    def change(request: Request, index: int, entry: int, most: int) -> int:
        if entry >> 52 & 15 in (ghcb_host.PSMASH, ghcb_host.UNSMASH):
            entry -= 2 << 52
        return original(request, index, entry, most)

    return replace(ghcb_host, "_change", change)


@bug("review of KVM SNP version 15, patch 23", target="ghcb-exit")
def begun_entry_from_its_start() -> Undo:
    """An entry that is joined to the one before it is worked on from its first page, begun or not."""
    original = ghcb_host._change

    def change(request: Request, index: int, entry: int, most: int) -> int:
        return original(request, index, entry & ~0xFFF if index else entry, most)

    return replace(ghcb_host, "_change", change)


@bug("review of KVM SNP version 15, patch 23", target="ghcb-exit")
def small_entry_ends_at_512() -> Undo:
    """A finished entry counts 512 pages as done, large or not."""
    return replace(ghcb_host, "_size_of", lambda entry: 512)


@bug("COCONUT-SVSM 03135882", target="ghcb-exit")
def msr_read_marks_nothing() -> Undo:
    """An MSR that was read is answered without marking RAX and RDX valid."""
    return _exit(ExitCode.MSR, lambda request: request.answers.clear())


@bug("KVM restricted-injection RFC (mail)", target="ghcb-exit")
def ipi_loses_its_destination() -> Undo:
    """Of the ICR's value of a #HV IPI only the low 32 bits are used."""

    def lose(request: Request) -> None:
        request.effects[-1] = (*request.effects[-1][:-1], 0)

    return _exit(ExitCode.HV_IPI, lose)


@bug("KVM sev.c, snp_begin_psc", target="ghcb-host")
def begun_entry_is_merged() -> Undo:
    """A begun 2 MiB entry is joined to the 4 KiB entry that stands at its frame and the pages left: pages
    past its end are changed, and the second entry's own page is not."""
    original = Session.__init__

    def begin(self: Session, quirks: Quirks = REFERENCE) -> None:
        original(self, dataclasses.replace(quirks, psc_begun_entry_merged=True))

    return replace(Session, "__init__", begin)


# --- what guests build --------------------------------------------------------------------------------


def _built(after: Callable[[GhcbPage], None]) -> Undo:
    """A builder of requests that leaves something out."""
    original = GhcbPage.for_exit

    def build(*positional: Any, **named: Any) -> GhcbPage:
        page = original(*positional, **named)
        after(page)
        return page

    return replace(GhcbPage, "for_exit", staticmethod(build))


@bug("COCONUT-SVSM 264c4a81 (pull request 684)", target="ghcb-exit")
def cpuid_without_rcx() -> Undo:
    """CPUID is asked for without marking RCX valid."""

    def leave_out(page: GhcbPage) -> None:
        if page.sw_exit_code == ExitCode.CPUID:
            page.mark("rcx", False)

    return _built(leave_out)


@bug("edk2 12a0c11e81, 8d9698ecf8", target="ghcb-exit")
def scratch_not_marked() -> Undo:
    """SW_SCRATCH is set and not marked valid."""
    return _built(lambda page: page.mark("sw_scratch", False))


@bug("edk2 6133e72c00", target="ghcb-exit")
def exit_words_not_marked() -> Undo:
    """The exit code and its words are set and not marked valid."""

    def leave_out(page: GhcbPage) -> None:
        for name in ALWAYS_VALID:
            page.mark(name, False)

    return _built(leave_out)


@bug("zyuiop/ghcb change_page_state.rs", target="ghcb-exit")
def page_list_one_too_long() -> Undo:
    """The last entry of a page list is named by how many there are."""
    original = PscRequest.__init__

    def init(self: PscRequest, **values: Any) -> None:
        original(self, **values)
        self.header.end_entry += 1

    return replace(PscRequest, "__init__", init)


# --- codecs -------------------------------------------------------------------------------------------

_Decode = Callable[[bytes], Any]


def _decoded(cls: type[Structure], change: Callable[[_Decode, bytes], Any]) -> Undo:
    """A structure that is decoded otherwise: `change` gets the right decoder and the bytes."""
    cls.decode(bytes(cls.size))  # the first one makes the decoder
    original = cls.decode

    def decode(data: Any, *, strict: bool = False) -> Any:
        return change(original, bytes(data))

    return replace(cls, "decode", staticmethod(decode))


def _encoded(cls: type[Structure], change: Callable[[Callable[[Any], bytes], Any], bytes]) -> Undo:
    """A structure that is encoded otherwise: `change` gets the right encoder and the value."""
    cls().encode()  # the first one makes the encoder
    original = cls.encode
    return replace(cls, "encode", lambda value: change(original, value))


@bug("Oak oak_sev_guest/src/ghcb.rs", target="codec-ghcb")
def page_operation_of_one_bit() -> Undo:
    """Of the operation of a page list's entry only one bit is read."""

    def change(decode: _Decode, data: bytes) -> Any:
        entry = decode(data)
        if len(data) == PscEntry.size:
            entry.operation &= 1
        return entry

    return _decoded(PscEntry, change)


@bug("edk2 e8c23d1e27", target="codec-ghcb")
def frame_shifted_in_40_bits() -> Undo:
    """The 40-bit frame number of an entry is shifted without widening: 1 TiB and above is cut off."""

    def change(encode: Callable[[Any], bytes], entry: Any) -> bytes:
        data = bytearray(encode(entry))
        data[5], data[6] = 0, data[6] & 0xF0
        return bytes(data)

    return _encoded(PscEntry, change)


@bug("zyuiop/ghcb src/structures/ghcb_page.rs", target="codec-ghcb")
def cpl_stored_as_a_quadword() -> Undo:
    """CPL is stored as 64 bits and overwrites the seven bytes after it."""

    def change(encode: Callable[[Any], bytes], page: Any) -> bytes:
        data = bytearray(encode(page))
        data[0xCB:0xD3] = page.cpl.to_bytes(8, "little")
        return bytes(data)

    return _encoded(GhcbPage, change)


@bug("zyuiop/ghcb src/msr/hypervisor_features.rs", target="codec-ghcb")
def features_are_bit_numbers() -> Undo:
    """Features are tested by their bit numbers instead of their bits: SEV-SNP is always there."""

    def change(decode: _Decode, data: bytes) -> Any:
        features, word = decode(data), int.from_bytes(data, "little")
        for field in HypervisorFeatures.declaration.fields:
            if field.rule is None:
                setattr(features, field.name, word & field.bit_offset == field.bit_offset)
        return features

    return _decoded(HypervisorFeatures, change)


@bug("zyuiop/ghcb sev_status.rs", target="codec-differential")
def sev_status_one_bit_lower() -> Undo:
    """VMSA protection, SMT protection and secure AVIC are read and written one bit too low."""

    def moved(data: bytes, left: int, right: int) -> bytes:
        word = int.from_bytes(data, "little")
        part = word >> 15 & 15
        part = (part << left | part >> right) & 15
        return (word & ~(15 << 15) | part << 15).to_bytes(len(data), "little")

    return all_of(
        _decoded(SevStatus, lambda decode, data: decode(moved(data, 1, 3))),
        _encoded(SevStatus, lambda encode, status: moved(encode(status), 3, 1)),
    )


@bug("ghcb-msr-protocol src/page_state.rs", target="codec-differential")
def frame_runs_into_operation() -> Undo:
    """The frame number of a page state request is not held to 40 bits and changes the operation."""

    def change(encode: Callable[[Any], bytes], request: Any) -> bytes:
        frame = request.frame
        if not isinstance(frame, int) or frame < 1 << 40:
            return encode(request)
        request.frame = 0
        word = int.from_bytes(encode(request), "little") | frame << 12
        return (word & _LOW).to_bytes(8, "little")

    return _encoded(PageStateRequest, change)


# --- the MSR protocol ---------------------------------------------------------------------------------


@bug("Linux f7387eff", target="msr")
def run_vmpl_without_parentheses() -> Undo:
    """A run VMPL request is made without the VMPL, which precedence of operators swallows."""
    original = RunVmplRequest.__init__

    def made(self: RunVmplRequest, **fields: Any) -> None:
        original(self, **{**fields, "vmpl": 0})

    return replace(RunVmplRequest, "__init__", made)


@bug("ghcb-msr-protocol src/cpuid.rs", target="msr")
def cpuid_reserved_bits_12_to_19() -> Undo:
    """Of the 18 reserved bits of a CPUID response only 8 are looked at."""
    original = CpuidResponse.problems

    def problems(self: CpuidResponse) -> list[Problem]:
        return [
            problem
            for problem in original(self)
            if problem.path != "reserved_29_12" or problem.value & 0xFF
        ]

    return replace(CpuidResponse, "problems", problems)


@bug("mushroom common/snp-types/src/ghcb/msr_protocol.rs", target="msr")
def preferred_request_wants_data() -> Undo:
    """A request for the preferred address is decoded only with data, and made without any."""

    def change(decode: _Decode, data: bytes) -> Any:
        if data == GhcbInfo.PREFERRED_GPA_REQUEST.to_bytes(8, "little"):
            raise DecodeError("ghcb-msr-preferred-gpa-request: no data", offset=1)
        return decode(data)

    return _decoded(PreferredGpaRequest, change)


@bug("zyuiop/ghcb src/msr/unregister_ghcb_gpa.rs", target="msr")
def unregister_awaits_another_code() -> Undo:
    """The response to an unregister request is taken to be that of the preferred address."""
    return replace(
        ghcb_msr.RESPONSE_TO,
        GhcbInfo.UNREGISTER_GPA_REQUEST,
        GhcbInfo.PREFERRED_GPA_RESPONSE,
    )


@bug("COCONUT-SVSM f4bc4bcd, switch_to_vmpl", target="msr")
def run_vmpl_error_ignored() -> Undo:
    """A run VMPL response with an error is a success."""
    original = msr_rules.failure

    def failure(response: Any) -> str:
        word = response if not isinstance(response, int) else ghcb_msr.decode_msr(response)
        return "" if isinstance(word, RunVmplResponse) else original(response)

    return replace(msr_rules, "failure", failure)


# --- calls --------------------------------------------------------------------------------------------


@bug("COCONUT-SVSM 91c3b45e (pull request 651)", target="svsm-calls")
def core_queried_as_protocol_1() -> Undo:
    """QUERY_PROTOCOL knows the core protocol by the number of the attestation protocol."""
    original = svsm._versions

    def versions(cpu: Vcpu, query: int) -> int:
        return 0 if query >> 32 == Protocol.CORE else original(cpu, query)

    return replace(svsm, "_versions", versions)


@bug("linux-svsm a2d150f, QUERY_PROTOCOL", target="svsm-calls")
def query_past_the_table() -> Undo:
    """QUERY_PROTOCOL of protocol 5 reads past a table of five protocols and stops the SVSM."""
    original = svsm._versions

    def versions(cpu: Vcpu, query: int) -> int:
        if query >> 32 == Protocol.OBSERVABILITY:
            raise Assertion("index out of bounds: the len is 5 but the index is 5")
        return original(cpu, query)

    return replace(svsm, "_versions", versions)
